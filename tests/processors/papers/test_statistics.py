"""What providers were asked and how they failed, by provider, class and time."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from jobs.testing import perform
from processors.papers import statistics
from processors.papers.failures import Kind
from processors.papers.models import Call
from tests.processors.papers.rows import asked
from tests.processors.papers.sandbox import ProvidersControl

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def test_failures_and_usage_of_a_time(papers: ProvidersControl) -> None:
    now = timezone.now()
    papers.fail("anthropic", "refusal")
    perform(asked())
    papers.fail("openai", "overloaded", "overloaded")
    for _ in range(2):
        perform(asked(["openai"]))
    found = statistics.failures(now - DAY, now + DAY)
    assert [(row.provider, row.kind, row.count) for row in found] == [
        ("openai", Kind.OVERLOADED, 2),
        ("anthropic", Kind.REFUSED, 1),
    ]
    assert found[0].last == Call.objects.filter(provider="openai").latest("pk").sent_at
    anthropic, openai = statistics.usage(now - DAY, now + DAY)
    assert (anthropic.provider, anthropic.calls, anthropic.failed) == ("anthropic", 1, 1)
    assert (openai.provider, openai.calls, openai.failed) == ("openai", 3, 2)
    tokens = papers.received("openai")["tokens"]
    assert (openai.input_tokens, openai.output_tokens) == (tokens["input"], tokens["output"])
    assert openai.cost > Decimal(0)

    assert [row.provider for row in statistics.failures(now - DAY, now + DAY, "anthropic")] == ["anthropic"]
    assert [row.provider for row in statistics.usage(now - DAY, now + DAY, "openai")] == ["openai"]
    assert statistics.failures(now - 2 * DAY, now - DAY) == []
    assert statistics.usage(now + DAY, now + 2 * DAY) == []
