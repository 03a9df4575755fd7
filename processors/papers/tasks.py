"""The paper manager's job type: a paper analysed by several providers at once.

What is asked and stored for each is `analysing`'s, how a provider is called `client`'s.
"""

import random
from collections.abc import Sequence
from typing import Annotated, Final

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

from jobs.processor import Backoff, Discard, JobContext, Payload, RateLimited, Retry, Snooze, processor

from . import notices
from .analysing import analyse
from .failures import RETRYABLE, Failure, Kind
from .models import KEY_LENGTH, Analysis, Paper, ProviderState

QUEUE: Final = "ai"
TIMEOUT: Final = 15 * 60.0  # seconds
MARGIN: Final = 20.0  # of these: to tell what there is, before the platform ends the job
JITTER: Final = 1.0  # seconds: not all at once when a provider is back
BACKOFF: Final = Backoff(base=settings.AI_RETRY_BASE_DELAY, max=settings.AI_RETRY_MAX_DELAY)


def _paper_id(value: object) -> object:
    """Systems with numbered rows send numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _known(names: list[str]) -> list[str]:
    if unknown := [name for name in names if name not in settings.AI_PROVIDERS]:
        raise ValueError(f"no provider {', '.join(unknown)}; there are {', '.join(settings.AI_PROVIDERS)}")
    return list(dict.fromkeys(names))


PaperId = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=KEY_LENGTH),
    BeforeValidator(_paper_id),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1, "maxLength": KEY_LENGTH}, {"type": "integer"}]}),
]
Providers = Annotated[list[str], Field(min_length=1, max_length=50), AfterValidator(_known)]


class AiAnalysis(Payload):
    paper_id: PaperId
    providers: Providers = Field(description="Who is asked, such as openai, anthropic, gemini, xai.")


class Told(BaseModel):
    """A result, in camelCase like the payloads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class ProviderAnalysed(Told):
    status: str  # of the Analysis
    analysis: int
    model: str = ""
    request_id: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None  # USD
    error_class: str = ""
    error: str = ""


class AiAnalysed(Told):
    paper_id: str
    partial: bool  # some providers failed for good
    providers: dict[str, ProviderAnalysed]


@processor(queue=QUEUE, priority="normal", max_attempts=settings.AI_MAX_ATTEMPTS, backoff=BACKOFF, timeout=TIMEOUT)
def ai_analysis(payload: AiAnalysis, job: JobContext) -> AiAnalysed:
    """Have a paper analysed by several providers side by side; what each of them says is kept."""
    paper = Paper.objects.select_related("owner").filter(pk=payload.paper_id).first()
    if paper is None:
        raise Discard(f"no paper {payload.paper_id}")
    if not paper.text.strip():
        raise Discard(f"the paper {payload.paper_id} has no text")
    steps = analyse(paper, payload.providers, job, TIMEOUT - MARGIN)
    waiting = [step.failure for step in steps if step.state == Analysis.Status.WAITING and step.failure]
    if waiting and job.attempt < job.max_attempts:
        raise _again(waiting, job, None)
    for step in steps:
        step.give_up()
    if later := [step.postponed for step in steps if step.postponed is not None]:
        raise Snooze("not all providers can be asked now", after=min(later))
    result = _ended(paper, payload.providers, job)
    failed = [f"{name}: {outcome.error}" for name, outcome in result.providers.items() if outcome.error]
    if not failed:
        return result
    told = f"{'partly completed: ' if result.partial else ''}{'; '.join(failed)}"
    raise _again(waiting, job, result, told) if waiting else Discard(told, result=result)


def _again(failures: Sequence[Failure], job: JobContext, result: AiAnalysed | None, told: str = "") -> Retry:
    """Another attempt, when those that failed may be asked again; without one left, the end."""
    limited = any(failure.kind is Kind.RATE_LIMIT for failure in failures)
    after = max((failure.after for failure in failures if failure.after), default=None)
    if after is not None:
        after = max(after, BACKOFF.delay(job.attempt)) + random.uniform(0, JITTER)
    told = told or "; ".join(failure.message for failure in failures)
    return (RateLimited if limited else Retry)(told, after=after, result=result)


def _ended(paper: Paper, providers: list[str], job: JobContext) -> AiAnalysed:
    """How all analyses of the job ended, of which the owner of the paper is told once."""
    with transaction.atomic():
        rows = Analysis.objects.current(job.id, job.run).filter(provider__in=providers).order_by("provider")
        untold = [row.provider for row in rows.select_for_update() if row.told_at is None]
        rows.update(told_at=Now())
        by_name = {row.provider: row for row in rows}
        if untold:
            notices.ended(job, paper, [by_name[name] for name in providers])
        for name in untold:
            if by_name[name].error_class in RETRYABLE and ProviderState.may_tell(name):
                notices.failing(job, by_name[name])
    done = sum(row.status == Analysis.Status.DONE for row in by_name.values())
    return AiAnalysed(
        paper_id=paper.pk,
        partial=0 < done < len(by_name),
        providers={name: _told(by_name[name]) for name in providers},
    )


def _told(row: Analysis) -> ProviderAnalysed:
    return ProviderAnalysed(
        status=row.status,
        analysis=row.pk,
        model=row.model,
        request_id=row.request_id,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost=None if row.cost is None else float(row.cost),
        error_class=row.error_class,
        error=row.error,
    )
