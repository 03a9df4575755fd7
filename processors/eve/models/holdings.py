"""What a character has now, as ESI's lists tell it: things, designs, ore, mails and notifications."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from .characters import Character


class Held(models.Model):
    """A row of one character. An id of ESI's may come again with another character."""

    character = models.ForeignKey(Character, models.CASCADE, related_name="+")

    class Meta:
        abstract = True


class Asset(Held):
    """A thing, or a stack of them, somewhere."""

    item_id = models.BigIntegerField()
    type_id = models.BigIntegerField()
    quantity = models.BigIntegerField()
    location_id = models.BigIntegerField()  # a station, a structure, or another item
    location_type = models.CharField(max_length=50)
    location_flag = models.CharField(max_length=100)
    is_singleton = models.BooleanField()
    is_blueprint_copy = models.BooleanField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["character", "item_id"], name="eve_asset_once"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of type {self.type_id}"


class Blueprint(Held):
    item_id = models.BigIntegerField()
    type_id = models.BigIntegerField()
    quantity = models.BigIntegerField()  # -1: an original, -2: a copy
    runs = models.IntegerField()  # that are left; -1: without end
    material_efficiency = models.IntegerField()
    time_efficiency = models.IntegerField()
    location_id = models.BigIntegerField()
    location_flag = models.CharField(max_length=100)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["character", "item_id"], name="eve_blueprint_once"),
        ]

    def __str__(self) -> str:
        return f"Blueprint of type {self.type_id}"


class MinedOre(Held):
    """What was mined on one day in one system."""

    date = models.DateField()
    solar_system_id = models.BigIntegerField()
    type_id = models.BigIntegerField()
    quantity = models.BigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["character", "date", "solar_system_id", "type_id"], name="eve_mined_ore_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of type {self.type_id} on {self.date}"


class Mail(Held):
    mail_id = models.BigIntegerField()
    sender_id = models.BigIntegerField(null=True)
    subject = models.TextField()
    sent_at = models.DateTimeField(null=True)
    is_read = models.BooleanField(null=True)
    labels = ArrayField(models.BigIntegerField(), default=list)
    recipients = models.JSONField(default=list)  # [{"recipient_id", "recipient_type"}]
    body = models.TextField(null=True)  # null: not asked for

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["character", "mail_id"], name="eve_mail_once"),
        ]

    def __str__(self) -> str:
        return self.subject


class Notice(Held):
    """What the game tells a character: ESI's notifications."""

    notification_id = models.BigIntegerField()
    type = models.CharField(max_length=200)  # any: there are new ones at any time
    sender_id = models.BigIntegerField()
    sender_type = models.CharField(max_length=50)
    sent_at = models.DateTimeField()
    is_read = models.BooleanField(null=True)
    text = models.TextField()  # YAML

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["character", "notification_id"], name="eve_notice_once"),
        ]

    def __str__(self) -> str:
        return self.type
