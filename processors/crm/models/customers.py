"""Customers, the groups of them that promotions go to, and the addresses that must not be written to."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar
from uuid import uuid4

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

KEY_LENGTH = 100  # characters of an id


def new_key() -> str:
    """An id for a row that no other system has named yet."""
    return str(uuid4())


class Tier(models.TextChoices):
    STANDARD = "standard"
    PREMIUM = "premium"
    VIP = "vip", "VIP"


class Customer(models.Model):
    """Somebody we work for."""

    id = models.CharField(primary_key=True, max_length=KEY_LENGTH, default=new_key)
    name = models.CharField(max_length=200)
    email = models.CharField("e-mail", max_length=320, blank=True, default="")  # as the customer writes it, any script
    phone = models.CharField(max_length=50, blank=True, default="")
    tier = models.CharField(max_length=10, choices=Tier.choices, default=Tier.STANDARD)
    tags = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    stripe_id = models.CharField("Stripe id", max_length=255, null=True, blank=True, unique=True)
    payment_method = models.CharField(max_length=255, blank=True, default="", help_text="Stripe's id of it, to charge.")
    synced_at = models.DateTimeField(null=True, blank=True, editable=False)  # with Stripe
    deleted_at = models.DateTimeField(null=True, blank=True)  # at Stripe: gets no mail any more
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["name", "id"]
        indexes: ClassVar = [
            models.Index(fields=["name"], name="crm_customer_name"),
            models.Index(fields=["tier"], name="crm_customer_tier"),
            models.Index(fields=["email"], name="crm_customer_email"),
            models.Index(fields=["created_at"], name="crm_customer_created"),
        ]

    def __str__(self) -> str:
        return self.name


class CustomerChange(models.Model):
    """What synchronisation changed of a customer."""

    customer = models.ForeignKey(Customer, models.CASCADE, related_name="changes")
    job = models.UUIDField()
    before = models.JSONField()  # the fields that changed; empty: the customer is new
    after = models.JSONField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["at"], name="crm_customer_change_at")]

    def __str__(self) -> str:
        return f"{self.customer_id}: {', '.join(self.after)}"


class Segment(models.Model):
    """A group of customers, by rule: whoever fits all that is set."""

    name = models.SlugField(primary_key=True, max_length=KEY_LENGTH)
    description = models.TextField(blank=True, default="")
    tiers = ArrayField(
        models.CharField(max_length=10, choices=Tier.choices), default=list, blank=True, help_text="Empty: all."
    )
    tags = ArrayField(models.CharField(max_length=50), default=list, blank=True, help_text="All of these.")
    not_visited_for_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="No visit was done in so many days."
    )

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def customers(self) -> models.QuerySet[Customer]:
        """Who belongs to it now."""
        from .sales import Visit  # which has customers

        customers = Customer.objects.filter(deleted_at__isnull=True)
        if self.tiers:
            customers = customers.filter(tier__in=self.tiers)
        if self.tags:
            customers = customers.filter(tags__contains=self.tags)
        if self.not_visited_for_days is not None:
            since = Now() - timedelta(days=self.not_visited_for_days)
            recent = Visit.objects.filter(customer=OuterRef("pk"), status=Visit.Status.DONE, starts_at__gte=since)
            customers = customers.filter(~Exists(recent))
        return customers


class Suppression(models.Model):
    """An address that gets no mail: no marketing when its owner said so, none at all when it does not exist."""

    class Reason(models.TextChoices):
        UNSUBSCRIBED = "unsubscribed"
        COMPLAINED = "complained"
        BOUNCED = "bounced"  # a mail server says that there is no such mailbox
        BY_HAND = "by-hand"

    address = models.CharField(primary_key=True, max_length=320)  # as `addresses.normalised` writes it
    reason = models.CharField(max_length=20, choices=Reason.choices)
    detail = models.TextField(blank=True, default="")
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-at"]
        indexes: ClassVar = [models.Index(fields=["at"], name="crm_suppression_at")]

    def __str__(self) -> str:
        return self.address
