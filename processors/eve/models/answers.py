"""What ESI told: each answer as it came, for as long as it may be used again, and what became of them.

An `EsiAnswer` is one page and may go at any time; a `Snapshot` is an endpoint whole, and stays until a newer one.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from .characters import Character


class EsiAnswerQuerySet(models.QuerySet["EsiAnswer"]):
    def expired(self) -> EsiAnswerQuerySet:
        """Those that ESI may be asked about again. Until they are deleted their ETag is still of use."""
        return self.filter(expires_at__lte=Now())


class EsiAnswer(models.Model):
    """One page of an answer.

    `key` is the path with colons, and the query: `esi:characters:1337512245:assets?page=2`.
    """

    key = models.CharField(max_length=400, unique=True)  # the index for patterns comes with it
    character = models.ForeignKey(Character, models.CASCADE, null=True, blank=True, related_name="answers")
    endpoint = models.CharField(max_length=100)  # such as `wallet/journal`
    pages = models.PositiveIntegerField(null=True, blank=True)  # of numbered pages: how many there are
    etag = models.CharField(max_length=200, blank=True, default="")
    modified = models.CharField(max_length=50, blank=True, default="")  # Last-Modified as it came
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(db_default=Now(), db_index=True)
    fetched_at = models.DateTimeField(db_default=Now())
    asked_until = models.DateTimeField(null=True, blank=True)  # somebody asks for a newer one until then
    body = models.JSONField()
    size = models.PositiveIntegerField(default=0)  # bytes of the body

    objects = EsiAnswerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["key"]
        verbose_name = "ESI answer"

    def __str__(self) -> str:
        return self.key


class Snapshot(models.Model):
    """What ESI last told of one endpoint of a character, all pages together, or which answer the endpoint's rows show.

    `expires_at` moves with each look; the other columns are written only when the answer has changed.
    """

    character = models.ForeignKey(Character, models.CASCADE, related_name="snapshots")
    endpoint = models.CharField(max_length=100)  # such as `wallet/journal`
    data = models.JSONField(null=True, blank=True)  # null: rows of a table
    version = models.CharField(max_length=64)  # another when, and only when, ESI says that the answer is
    cursor = models.CharField(max_length=500, blank=True, default="")  # where the next reading goes on
    changed_at = models.DateTimeField(db_default=Now())
    job = models.UUIDField(null=True, blank=True)  # the one that wrote it
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering: ClassVar = ["character", "endpoint"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["character", "endpoint"], name="eve_snapshot_once")]

    def __str__(self) -> str:
        return f"{self.endpoint} of {self.character_id}"
