"""Papers, their analyses by providers, every call that was made for them, and which providers are switched off.

The calls are the account of what was asked and paid: a row is written before its request goes out. What an
analysis says is shaped by `structure`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from .failures import Kind

if TYPE_CHECKING:
    from uuid import UUID

KEY_LENGTH = 100
TELL_EVERY = timedelta(hours=1)  # so often, at most, admins hear of one provider's failures


def new_key() -> str:
    return str(uuid4())


class Paper(models.Model):
    """A paper that somebody brought. One that another system knows by an id keeps it as its key."""

    id = models.CharField(primary_key=True, max_length=KEY_LENGTH, default=new_key)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="papers"
    )  # who is told how an analysis ended
    title = models.CharField(max_length=500)
    text = models.TextField()  # what is analysed; see `reading` for how it comes out of a file
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.title


class AnalysisQuerySet(models.QuerySet["Analysis"]):
    def latest_of(self, paper: Paper) -> AnalysisQuerySet:
        """Each provider's newest analysis of a paper."""
        newest = self.filter(paper=paper).order_by("provider", "-id").distinct("provider").values("pk")
        return self.filter(pk__in=newest).order_by("provider")

    def current(self, job: UUID, run: int) -> AnalysisQuerySet:
        """What this run of a job may still write. A later run takes them away from it."""
        return self.filter(job=job, run=run)


class Analysis(models.Model):
    """What one provider says about a paper, asked by one job; a job asked anew makes another."""

    class Status(models.TextChoices):
        WAITING = "waiting"  # not asked yet, or to be asked again
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"  # for good, as far as this job goes
        CANCELLED = "cancelled"

    paper = models.ForeignKey(Paper, models.CASCADE, related_name="analyses")
    provider = models.CharField(max_length=50)
    job = models.UUIDField()
    run = models.IntegerField()  # of the job: the fence
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    structure = models.JSONField(null=True, blank=True)  # `structure.Structure`, once done
    parts = models.PositiveSmallIntegerField(default=1)  # calls that the paper takes: its parts, and their merging
    parts_done = models.PositiveSmallIntegerField(default=0)
    model = models.CharField(max_length=200, blank=True, default="")  # as the provider names it
    request_id = models.CharField(max_length=200, blank=True, default="")  # the provider's, of the last call
    input_tokens = models.PositiveBigIntegerField(default=0)  # of all calls, those of no use too
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.DecimalField("cost in USD", max_digits=12, decimal_places=6, null=True, blank=True)  # null: not known
    error_class = models.CharField(max_length=20, choices=Kind.choices, blank=True, default="")
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, blank=True)  # of the latest run
    finished_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)  # when the owner heard how it ended

    objects = AnalysisQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "analyses"
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "provider"], name="papers_one_analysis_per_job_and_provider"),
            models.CheckConstraint(
                condition=Q(status="done", structure__isnull=False) | ~Q(status="done"),
                name="papers_done_has_structure",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.paper_id} by {self.provider}"


class Call(models.Model):
    """One request to a provider. Without an end: its worker was lost, and what became of it is not known."""

    analysis = models.ForeignKey(Analysis, models.CASCADE, related_name="calls")
    provider = models.CharField(max_length=50)
    run = models.IntegerField()  # of the job
    part = models.PositiveSmallIntegerField()  # of the paper, from 1; the merging of `n` parts is n + 1
    digest = models.CharField(max_length=64)  # of what was asked: the same question is not paid twice
    sent_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    answer = models.JSONField(null=True, blank=True)  # `structure.Structure`, when it was of use
    model = models.CharField(max_length=200, blank=True, default="")
    request_id = models.CharField(max_length=200, blank=True, default="")
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.DecimalField("cost in USD", max_digits=12, decimal_places=6, null=True, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)  # of a refusal
    error_class = models.CharField(max_length=20, choices=Kind.choices, blank=True, default="")
    error = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(
                fields=["sent_at", "provider", "error_class"], name="papers_failed_calls", condition=~Q(error_class="")
            ),
            models.Index(fields=["sent_at"], name="papers_calls_sent"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.pk}"


class ProviderState(models.Model):
    """A provider that was switched off, or whose failures admins were told of."""

    provider = models.CharField(primary_key=True, max_length=50)
    off_until = models.DateTimeField(null=True, blank=True)
    error_class = models.CharField(max_length=20, choices=Kind.choices, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    told_at = models.DateTimeField(null=True, blank=True)  # when admins heard of it

    class Meta:
        ordering: ClassVar = ["provider"]

    def __str__(self) -> str:
        return self.provider

    @classmethod
    def off(cls, provider: str) -> ProviderState | None:
        """The state of a provider that is switched off now."""
        return cls.objects.filter(provider=provider, off_until__gt=Now()).first()

    @classmethod
    def switch_off(cls, provider: str, seconds: float, kind: Kind, reason: str) -> bool:
        """Switch a provider off for so long. False: it was off already, and admins know."""
        with transaction.atomic():
            cls.objects.get_or_create(provider=provider)
            on = cls.objects.filter(provider=provider).filter(Q(off_until=None) | Q(off_until__lte=Now()))
            until = Now() + timedelta(seconds=seconds)
            return on.update(off_until=until, error_class=kind, reason=reason, told_at=Now()) == 1

    @classmethod
    def may_tell(cls, provider: str) -> bool:
        """Whether admins may be told now that a provider fails; the next may only after a while."""
        with transaction.atomic():
            cls.objects.get_or_create(provider=provider)
            quiet = cls.objects.filter(provider=provider).filter(Q(told_at=None) | Q(told_at__lte=Now() - TELL_EVERY))
            return quiet.update(told_at=Now()) == 1


def spent(calls: models.Manager[Call]) -> dict[str, Any]:
    """Tokens and cost of calls, as an analysis has them. Calls whose cost is not known are left out of it."""
    return calls.aggregate(
        input_tokens=Coalesce(models.Sum("input_tokens"), 0),
        output_tokens=Coalesce(models.Sum("output_tokens"), 0),
        cost=models.Sum("cost"),
    )
