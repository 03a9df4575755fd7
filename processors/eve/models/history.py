"""What happened to characters, kept for longer than ESI keeps it.

Each row is unique by ESI's own id within its character, so that whatever is told twice is there once.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from .characters import Character


class DataType(models.TextChoices):
    """The histories that are kept."""

    WALLET_JOURNAL = "wallet_journal"
    WALLET_TRANSACTIONS = "wallet_transactions"
    MARKET_ORDERS = "market_orders"
    INDUSTRY_JOBS = "industry_jobs"
    SKILL_HISTORY = "skill_history"


class JournalEntry(models.Model):
    """Money that came or went."""

    character = models.ForeignKey(Character, models.CASCADE, related_name="journal")
    entry_id = models.BigIntegerField()
    date = models.DateTimeField()
    ref_type = models.CharField(max_length=100)  # new ones appear at any time
    amount = models.DecimalField(max_digits=24, decimal_places=2, null=True, blank=True)
    balance = models.DecimalField(max_digits=24, decimal_places=2, null=True, blank=True)
    description = models.TextField(blank=True, default="")
    reason = models.TextField(blank=True, default="")
    first_party_id = models.BigIntegerField(null=True, blank=True)
    second_party_id = models.BigIntegerField(null=True, blank=True)
    context_id = models.BigIntegerField(null=True, blank=True)
    context_id_type = models.CharField(max_length=50, blank=True, default="")
    tax = models.DecimalField(max_digits=24, decimal_places=2, null=True, blank=True)
    tax_receiver_id = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-date", "-entry_id"]
        verbose_name_plural = "journal entries"
        constraints: ClassVar = [models.UniqueConstraint(fields=["character", "entry_id"], name="eve_journal_once")]
        indexes: ClassVar = [models.Index(fields=["character", "date"], name="eve_journal_date")]

    def __str__(self) -> str:
        return f"{self.ref_type} {self.entry_id}"


class WalletTransaction(models.Model):
    """Something bought or sold."""

    character = models.ForeignKey(Character, models.CASCADE, related_name="transactions")
    transaction_id = models.BigIntegerField()
    date = models.DateTimeField()
    type_id = models.BigIntegerField()
    quantity = models.BigIntegerField()
    unit_price = models.DecimalField(max_digits=24, decimal_places=2)
    is_buy = models.BooleanField()
    is_personal = models.BooleanField()
    client_id = models.BigIntegerField()
    location_id = models.BigIntegerField()
    journal_ref_id = models.BigIntegerField()

    class Meta:
        ordering: ClassVar = ["-date", "-transaction_id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["character", "transaction_id"], name="eve_transaction_once")
        ]
        indexes: ClassVar = [models.Index(fields=["character", "date"], name="eve_transaction_date")]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.type_id}"


class MarketOrder(models.Model):
    """An order on the market, as it was last seen: open, or how it ended."""

    character = models.ForeignKey(Character, models.CASCADE, related_name="orders")
    order_id = models.BigIntegerField()
    issued = models.DateTimeField()
    state = models.CharField(max_length=20)  # open, or ESI's cancelled or expired
    type_id = models.BigIntegerField()
    region_id = models.BigIntegerField()
    location_id = models.BigIntegerField()
    price = models.DecimalField(max_digits=24, decimal_places=2)
    volume_total = models.BigIntegerField()
    volume_remain = models.BigIntegerField()
    min_volume = models.BigIntegerField(null=True, blank=True)
    is_buy_order = models.BooleanField(default=False)
    is_corporation = models.BooleanField(default=False)
    duration = models.PositiveIntegerField(help_text="Days.")
    range = models.CharField(max_length=20)
    escrow = models.DecimalField(max_digits=24, decimal_places=2, null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-issued", "-order_id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["character", "order_id"], name="eve_order_once")]
        indexes: ClassVar = [models.Index(fields=["character", "issued"], name="eve_order_issued")]

    def __str__(self) -> str:
        return f"{self.volume_total} of {self.type_id}"


class IndustryJob(models.Model):
    """A job in a factory or a laboratory, as it was last seen."""

    character = models.ForeignKey(Character, models.CASCADE, related_name="industry_jobs")
    job_id = models.BigIntegerField()
    activity_id = models.PositiveIntegerField()
    blueprint_id = models.BigIntegerField()
    blueprint_type_id = models.BigIntegerField()
    product_type_id = models.BigIntegerField(null=True, blank=True)
    facility_id = models.BigIntegerField()
    runs = models.PositiveIntegerField()
    successful_runs = models.PositiveIntegerField(null=True, blank=True)
    cost = models.DecimalField(max_digits=24, decimal_places=2, null=True, blank=True)
    status = models.CharField(max_length=20)
    duration = models.PositiveBigIntegerField(help_text="Seconds.")
    start_date = models.DateTimeField()
    end_date = models.DateTimeField()
    completed_date = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-start_date", "-job_id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["character", "job_id"], name="eve_industry_once")]
        indexes: ClassVar = [models.Index(fields=["character", "start_date"], name="eve_industry_start")]

    def __str__(self) -> str:
        return f"{self.runs} of {self.blueprint_type_id}"


class SkillTraining(models.Model):
    """A level of a skill that a character has reached. ESI tells the present only: these are our own observations."""

    character = models.ForeignKey(Character, models.CASCADE, related_name="trainings")
    skill_id = models.BigIntegerField()
    level = models.PositiveSmallIntegerField()
    skillpoints = models.PositiveBigIntegerField()
    trained_at = models.DateTimeField()  # by the queue where it tells, else when it was first seen

    class Meta:
        ordering: ClassVar = ["-trained_at", "skill_id", "level"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["character", "skill_id", "level"], name="eve_training_once")
        ]
        indexes: ClassVar = [models.Index(fields=["character", "trained_at"], name="eve_training_trained")]

    def __str__(self) -> str:
        return f"{self.skill_id} at {self.level}"


class HistoryRun(models.Model):
    """A collection that has stored everything. A job that runs again, because it could not say so, finds it."""

    job = models.UUIDField(unique=True)
    character = models.ForeignKey(Character, models.CASCADE, related_name="history_runs")
    data_type = models.CharField(max_length=20, choices=DataType.choices)
    from_date = models.DateTimeField(null=True, blank=True)
    to_date = models.DateTimeField(null=True, blank=True)
    stored = models.PositiveBigIntegerField(help_text="Rows that were not there.")
    changed = models.PositiveBigIntegerField(help_text="Rows of which something else was told before.")
    oldest = models.DateTimeField(null=True, blank=True)  # of all that ESI told
    finished_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["-finished_at"]
        indexes: ClassVar = [models.Index(fields=["character", "data_type"], name="eve_history_run_type")]

    def __str__(self) -> str:
        return f"{self.data_type} of {self.character_id}"
