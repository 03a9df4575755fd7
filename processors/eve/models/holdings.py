"""What a character has and was told, as ESI's lists have it."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from .characters import Character


class Asset(models.Model):
    """Something that a character owns. All of a character's rows are replaced together."""

    item_id = models.BigIntegerField()
    character = models.ForeignKey(Character, models.CASCADE, related_name="assets")
    type_id = models.BigIntegerField()
    quantity = models.BigIntegerField()
    location_id = models.BigIntegerField()  # a station, a structure, or another item
    location_type = models.CharField(max_length=20)
    location_flag = models.CharField(max_length=50)
    is_singleton = models.BooleanField()
    is_blueprint_copy = models.BooleanField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["character", "item_id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["character", "item_id"], name="eve_asset_once")]
        indexes: ClassVar = [models.Index(fields=["type_id"], name="eve_asset_type")]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.type_id}"


class Blueprint(models.Model):
    character = models.ForeignKey(Character, models.CASCADE, related_name="blueprints")
    item_id = models.BigIntegerField()
    type_id = models.BigIntegerField()
    quantity = models.BigIntegerField()  # -1: an original, -2: a copy
    runs = models.IntegerField()  # that are left; -1: without end
    material_efficiency = models.IntegerField()
    time_efficiency = models.IntegerField()
    location_id = models.BigIntegerField()
    location_flag = models.CharField(max_length=100)

    class Meta:
        ordering: ClassVar = ["character", "item_id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["character", "item_id"], name="eve_blueprint_once")]

    def __str__(self) -> str:
        return f"Blueprint of type {self.type_id}"


class MinedOre(models.Model):
    """What was mined on one day in one system."""

    character = models.ForeignKey(Character, models.CASCADE, related_name="mined")
    date = models.DateField()
    solar_system_id = models.BigIntegerField()
    type_id = models.BigIntegerField()
    quantity = models.BigIntegerField()

    class Meta:
        ordering: ClassVar = ["-date"]
        verbose_name_plural = "mined ore"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["character", "date", "solar_system_id", "type_id"], name="eve_mined_ore_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of type {self.type_id} on {self.date}"


class Mail(models.Model):
    character = models.ForeignKey(Character, models.CASCADE, related_name="mails")
    mail_id = models.BigIntegerField()
    sender_id = models.BigIntegerField(null=True, blank=True)
    subject = models.TextField()
    sent_at = models.DateTimeField(null=True, blank=True)
    is_read = models.BooleanField(null=True, blank=True)
    labels = ArrayField(models.BigIntegerField(), default=list, blank=True)
    recipients = models.JSONField(default=list, blank=True)  # [{"recipient_id", "recipient_type"}]
    body = models.TextField(null=True, blank=True)  # null: not asked for

    class Meta:
        ordering: ClassVar = ["-sent_at", "-mail_id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["character", "mail_id"], name="eve_mail_once")]

    def __str__(self) -> str:
        return self.subject


class Notice(models.Model):
    """What the game tells a character: ESI's notifications."""

    character = models.ForeignKey(Character, models.CASCADE, related_name="notices")
    notification_id = models.BigIntegerField()
    type = models.CharField(max_length=200)  # any: there are new ones at any time
    sender_id = models.BigIntegerField()
    sender_type = models.CharField(max_length=50)
    sent_at = models.DateTimeField()
    is_read = models.BooleanField(null=True, blank=True)
    text = models.TextField()  # YAML

    class Meta:
        ordering: ClassVar = ["-sent_at", "-notification_id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["character", "notification_id"], name="eve_notice_once")
        ]

    def __str__(self) -> str:
        return self.type
