"""The board games' part of the demo load ends as it says it will."""

import pytest

from jobs.models import Job, Status
from jobs.testing import drain
from processors.bgg import demo
from processors.bgg.models import Game
from tests.processors.bgg.conftest import SandboxControl

pytestmark = pytest.mark.django_db


def test_every_demo_job_ends_as_meant(bgg: SandboxControl) -> None:
    jobs = demo.load()
    drain("bgg")
    ended = Job.objects.filter(id__in=[job.id for job in jobs], tags__contains=["demo"])
    assert ended.count() == len(jobs)
    assert {(job.status, "fails" in job.tags) for job in ended} == {(Status.COMPLETED, False), (Status.FAILED, True)}
    assert {job.type for job in ended} == {"bgg_sync", "bgg_bulk_sync", "cache_warmup"}
    assert bgg.received()["statuses"].keys() == {"200"}
    assert set(Game.objects.filter(pk__in=[13, 9209, 266192]).values_list("year", flat=True)) == {1995, 2004, 2019}
