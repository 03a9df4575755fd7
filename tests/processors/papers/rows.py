"""Papers to test with, and what became of their analyses."""

from typing import Any

from jobs.lifecycle import Enqueued
from jobs.models import Job
from processors.papers.models import Analysis, Call, Paper
from processors.papers.tasks import ai_analysis
from tests.processors.papers.sandbox import ProvidersControl
from tests.processors.papers.test_reading import SENTENCE

TWO = ["openai", "anthropic"]


def paper(**fields: Any) -> Paper:
    return Paper.objects.create(**{"title": "Bees on caffeine", "text": SENTENCE * 3, **fields})


def asked(providers: list[str] = TWO, about: Paper | None = None, **options: Any) -> Enqueued:
    """A job that waits."""
    return ai_analysis.enqueue({"paperId": (about or paper()).pk, "providers": providers}, **options)


def result(job: Job) -> Any:
    assert job.result is not None
    return job.result


def statuses(job: Job | Enqueued) -> dict[str, str]:
    return dict(Analysis.objects.filter(job=job.id).order_by("provider").values_list("provider", "status"))


def account(papers: ProvidersControl, *providers: str) -> dict[str, int]:
    """How many calls we have entered; and it is as many, for as many tokens, as the providers received."""
    counts = {}
    for provider in providers:
        received = papers.received(provider)
        calls = Call.objects.filter(provider=provider)
        told = {"input": sum(c.input_tokens for c in calls), "output": sum(c.output_tokens for c in calls)}
        assert (received["total"], received["tokens"]) == (calls.count(), told)
        assert {request["retry"] for request in received["requests"]} <= {"0"}
        counts[provider] = calls.count()
    return counts
