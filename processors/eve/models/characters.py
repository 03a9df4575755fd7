"""Characters, and what their owners allowed us."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from .fields import EncryptedTextField


class CharacterQuerySet(models.QuerySet["Character"]):
    def allowed(self) -> CharacterQuerySet:
        """Those that we can ask ESI about in their name."""
        return self.filter(grant__status=Grant.Status.LIVE)


class Character(models.Model):
    """A character of EVE Online that a user has logged in with. Its public facts are as ESI last told them."""

    id = models.BigIntegerField("EVE id", primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="characters")
    name = models.CharField(max_length=100)
    owner_hash = models.CharField(max_length=100)  # another one: it was sold, or moved to another account
    corporation_id = models.BigIntegerField(null=True, blank=True)
    alliance_id = models.BigIntegerField(null=True, blank=True)
    birthday = models.DateTimeField(null=True, blank=True)
    security_status = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = CharacterQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class GrantQuerySet(models.QuerySet["Grant"]):
    def live(self) -> GrantQuerySet:
        return self.filter(status=Grant.Status.LIVE)


class Grant(models.Model):
    """What a character's owner allowed at the last login: the scopes, and the tokens to use them. Written by `sso`."""

    class Status(models.TextChoices):
        LIVE = "live"
        DEAD = "dead"  # only a new login helps: `reason`

    character = models.OneToOneField(Character, models.CASCADE, primary_key=True, related_name="grant")
    scopes = ArrayField(models.CharField(max_length=100), default=list)
    access_token = EncryptedTextField(editable=False)
    refresh_token = EncryptedTextField(editable=False)  # empty once the grant is dead
    expires_at = models.DateTimeField()  # of the access token
    serial = models.PositiveBigIntegerField(default=0)  # +1 with each pair of tokens: an older pair is not written
    status = models.CharField(max_length=4, choices=Status.choices, default=Status.LIVE)
    reason = models.CharField(max_length=300, blank=True, default="")
    refreshing_until = models.DateTimeField(null=True, blank=True)  # somebody asks for new tokens until then
    refreshed_at = models.DateTimeField(db_default=Now())
    died_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)  # when the user was told that it died
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = GrantQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                name="eve_grant_died_iff_dead",
                condition=models.Q(status="dead", died_at__isnull=False)
                | models.Q(status="live", died_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.character_id}: {self.status}"
