"""The EVE companion's part of the demo load ends as it says it will."""

import pytest

from jobs.models import Job, Status
from jobs.testing import drain
from processors.eve import demo
from processors.eve.models import Asset, Character, Grant, JournalEntry
from tests.processors.eve.sandbox import EveSandbox

pytestmark = pytest.mark.django_db


def test_every_demo_job_ends_as_meant(eve: EveSandbox) -> None:
    jobs = demo.load()
    drain()
    ended = Job.objects.filter(id__in=[job.id for job in jobs], tags__contains=["demo"])
    assert ended.count() == len(jobs)
    unlike = [
        (job.type, job.status, str(job.failures.last()))
        for job in ended
        if job.status != (Status.FAILED if "fails" in job.tags else Status.COMPLETED)
    ]
    assert unlike == []
    assert Grant.objects.get(pk=demo.GONE).status == "dead"
    assert Asset.objects.count() == 1189
    assert JournalEntry.objects.exists()
    assert eve.told()["requests"]
    assert not [request for request in eve.told()["requests"] if request["early"] or request["too_soon"]]


def test_characters_are_made_once(eve: EveSandbox) -> None:
    demo.load()
    Grant.objects.filter(pk=demo.GONE).update(refresh_token="another")
    demo.load()
    assert Character.objects.count() == 4
    assert Grant.objects.get(pk=demo.GONE).refresh_token == "another"
