"""Who may use the API."""

from datetime import timedelta
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class ApiKey(models.Model):
    """Access to the API. The key is `prefix.secret`; only the secret's SHA-256 is stored."""

    class Scope(models.TextChoices):
        READ = "jobs:read"
        WRITE = "jobs:write"
        ADMIN = "jobs:admin"

    name = models.CharField(max_length=100, unique=True)
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices), default=list)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name


class IdempotencyKey(models.Model):
    """The answer to a request that named a key, given again for 24 h to the same request."""

    KEPT: ClassVar = timedelta(hours=24)

    caller = models.CharField(max_length=150)
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)  # SHA-256 of method, path and body
    status = models.PositiveSmallIntegerField()
    answer = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(name="idempotency_key_once", fields=["caller", "key"])]

    def __str__(self) -> str:
        return self.key
