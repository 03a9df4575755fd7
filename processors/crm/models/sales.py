"""What is sold: promotions, opportunities and their offers, visits and what customers say of them."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from .customers import KEY_LENGTH, Customer, new_key


class Promotion(models.Model):
    """Something offered to many at once by mail."""

    id = models.CharField(primary_key=True, max_length=KEY_LENGTH, default=new_key)
    name = models.CharField(max_length=200)
    subject = models.CharField(max_length=200)
    text = models.TextField(help_text="Paragraphs with an empty line between them.")
    discount = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(100)], help_text="Percent.")
    code = models.CharField(max_length=50, blank=True, default="", help_text="What customers say to get it.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="No mail of it is sent after this.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name


class Opportunity(models.Model):
    """Work that a customer may give us."""

    class Status(models.TextChoices):
        NEW = "new"
        QUALIFIED = "qualified"
        PROPOSAL = "proposal"
        OFFERED = "offered"  # the customer has our offer
        WON = "won"
        LOST = "lost"

    OPEN: ClassVar = (Status.NEW, Status.QUALIFIED, Status.PROPOSAL)  # those that wait for an offer
    CLOSED: ClassVar = (Status.WON, Status.LOST)

    id = models.CharField(primary_key=True, max_length=KEY_LENGTH, default=new_key)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="opportunities")
    title = models.CharField(max_length=200)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.NEW)
    estimated_value = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    due_at = models.DateTimeField(null=True, blank=True, help_text="When the customer wants an answer.")
    offer = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    offered_at = models.DateTimeField(null=True, blank=True)
    offer_ends_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)  # won or lost
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name_plural = "opportunities"
        indexes: ClassVar = [
            models.Index(
                fields=["-estimated_value", "id"],
                name="crm_opportunity_open",
                condition=models.Q(status__in=("new", "qualified", "proposal")),
            ),
            models.Index(fields=["created_at"], name="crm_opportunity_created"),
            models.Index(fields=["offered_at"], name="crm_opportunity_offered"),
            models.Index(fields=["closed_at"], name="crm_opportunity_closed"),
        ]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        """What is won or lost has a time, by which it is counted; what is open again has none."""
        if self.status not in self.CLOSED:
            self.closed_at = None
        elif self.closed_at is None:
            self.closed_at = timezone.now()


class Visit(models.Model):
    """An appointment at a customer's."""

    class Status(models.TextChoices):
        BOOKED = "booked"
        DONE = "done"
        CANCELLED = "cancelled"

    id = models.CharField(primary_key=True, max_length=KEY_LENGTH, default=new_key)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="visits")
    service = models.CharField(max_length=200)
    address = models.TextField(blank=True, default="")
    starts_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.BOOKED)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-starts_at"]
        indexes: ClassVar = [models.Index(fields=["status", "starts_at"], name="crm_visit_status")]

    def __str__(self) -> str:
        return f"{self.service} on {self.starts_at:%Y-%m-%d}"


class Review(models.Model):
    """What a customer says of a visit."""

    visit = models.OneToOneField(Visit, models.CASCADE, related_name="review")
    rating = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    text = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="crm_review_created")]
        constraints: ClassVar = [
            models.CheckConstraint(name="crm_review_rating_1_to_5", condition=models.Q(rating__range=(1, 5)))
        ]

    def __str__(self) -> str:
        return f"{self.rating} for {self.visit_id}"
