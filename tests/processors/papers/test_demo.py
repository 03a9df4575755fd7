"""The paper manager's part of the demo load ends as it says it will."""

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from jobs.models import Job, Status
from jobs.testing import drain
from processors.papers import demo
from processors.papers.models import Analysis, Paper
from tests.processors.papers.sandbox import ProvidersControl

pytestmark = pytest.mark.django_db


def test_every_demo_job_ends_as_meant(papers: ProvidersControl) -> None:
    visitor = User.objects.create_superuser("visitor")
    jobs = demo.load()
    drain("ai")
    ended = Job.objects.filter(id__in=[job.id for job in jobs], tags__contains=["demo"])
    assert ended.count() == len(demo.TEXTS)
    (failed,) = ended.exclude(status=Status.COMPLETED)
    assert (failed.status, failed.tags, failed.payload["paperId"]) == (Status.FAILED, ["demo", "fails"], demo.REFUSED)
    assert failed.result
    assert failed.result["partial"] is True
    assert set(Paper.objects.values_list("owner", flat=True)) == {visitor.pk}
    statuses = Analysis.objects.filter(paper=demo.REFUSED).values_list("provider", "status").order_by("provider")
    assert list(statuses) == [("anthropic", "failed"), ("gemini", "done"), ("openai", "done"), ("xai", "done")]
    assert "sandbox:" not in str(list(Analysis.objects.values_list("structure", flat=True)))


def test_rows_are_made_once_and_without_a_provider_nothing_is_asked(
    papers: ProvidersControl, settings: Settings
) -> None:
    settings.AI_PROVIDERS = {}
    assert demo.load() == []
    assert demo.load() == []
    assert Paper.objects.count() == len(demo.TEXTS)
