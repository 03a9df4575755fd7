"""Figures of a day, and reports over a period with the files that people download."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class DailyAnalytics(models.Model):
    """What happened on a day (UTC): counted from the other rows, and counted again whenever asked."""

    day = models.DateField(primary_key=True)
    revenue = models.JSONField(default=dict)  # currency → minor units of the invoices paid
    invoices_paid = models.PositiveIntegerField(default=0)
    payments_failed = models.PositiveIntegerField(default=0)
    new_customers = models.PositiveIntegerField(default=0)
    new_opportunities = models.PositiveIntegerField(default=0)
    offers = models.PositiveIntegerField(default=0)
    offered_value = models.DecimalField(max_digits=14, decimal_places=2, default=0)
    won = models.PositiveIntegerField(default=0)
    won_value = models.DecimalField(max_digits=14, decimal_places=2, default=0)
    lost = models.PositiveIntegerField(default=0)
    visits_done = models.PositiveIntegerField(default=0)
    reviews = models.PositiveIntegerField(default=0)
    average_rating = models.FloatField(null=True, blank=True)
    mails_sent = models.JSONField(default=dict)  # kind of mail → how many
    mails_refused = models.PositiveIntegerField(default=0)
    unsubscribed = models.PositiveIntegerField(default=0)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-day"]
        verbose_name_plural = "daily analytics"

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"


class Report(models.Model):
    """A report over the days from `starts_on` to `ends_on`, both counted."""

    class Kind(models.TextChoices):
        REVENUE = "revenue"
        OPPORTUNITIES = "opportunities"
        PROMOTIONS = "promotions"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    starts_on = models.DateField()
    ends_on = models.DateField()
    job = models.UUIDField(unique=True)  # the job that made it
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="crm_report_created")]

    def __str__(self) -> str:
        return f"{self.kind}, {self.starts_on} to {self.ends_on}"


class ReportFile(models.Model):
    """A report in one format, in Django's storage. Who may see reports may download it."""

    class Format(models.TextChoices):
        XLSX = "xlsx", "XLSX"
        PDF = "pdf", "PDF"

    PERMISSION: ClassVar = "crm.view_report"
    CONTENT_TYPES: ClassVar[dict[str, str]] = {
        Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Format.PDF: "application/pdf",
    }

    report = models.ForeignKey(Report, models.CASCADE, related_name="files")
    format = models.CharField(max_length=10, choices=Format.choices)
    file = models.FileField(upload_to="crm/reports/", max_length=255)
    size = models.PositiveBigIntegerField(help_text="Bytes.")

    class Meta:
        ordering: ClassVar = ["report", "format"]
        constraints: ClassVar = [models.UniqueConstraint(name="crm_report_file_once", fields=["report", "format"])]

    def __str__(self) -> str:
        return self.file.name or ""

    @property
    def download_name(self) -> str:
        """What it is called where it is downloaded."""
        report = self.report
        return f"{report.kind}-{report.starts_on}-{report.ends_on}.{self.format}"
