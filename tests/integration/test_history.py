"""What happened is in numbers soon, and stays there: with real workers that are killed and start again."""

from datetime import timedelta

from jobs import statistics
from jobs.models import ErrorGroup, Job, RolledUp, Status
from tests.integration.jobtypes.tasks import letter, noop
from tests.integration.workers import Start, wait_for, wait_for_end
from tests.jobs.history import job_at, minute, rolled_up


def caught_up() -> bool:
    return RolledUp.objects.filter(until__gte=minute(1)).exists()


def test_after_downtime_history_is_caught_up_with_and_outlives_jobs_and_workers(start: Start) -> None:
    for ago in (3, 20, 50):
        job_at(minute(ago), type="noop")
        job_at(minute(ago), Status.FAILED, type="noop")
    rolled_up(minute(60))
    assert statistics.summary("1h").completed < 3  # all workers were down; the last minutes are read from jobs
    first = start("threads", 2)
    wait_for(caught_up, "history")
    wait_for_end([noop.enqueue({}).id])
    found = statistics.summary(timedelta(hours=2))
    assert (found.completed, found.failed) == (4, 3)
    first.kill()
    Job.objects.filter(finished_at__lt=minute(10)).delete()
    start("threads", 2)
    wait_for_end([noop.enqueue({}).id])
    found = statistics.summary(timedelta(hours=2))
    assert (found.completed, found.failed) == (5, 3)


def test_a_new_kind_of_error_shows_within_seconds_and_opens_again_when_it_is_seen_again(start: Start) -> None:
    start("threads", 2)
    job = letter.enqueue({"text": "a", "fails": True}).id
    wait_for(lambda: ErrorGroup.objects.filter(sample=job).exists(), "the error")
    group = ErrorGroup.objects.get()
    assert statistics.resolve(group.pk, "ann")
    again = letter.enqueue({"text": "a", "fails": True}).id
    wait_for(lambda: ErrorGroup.objects.filter(sample=again, resolved_at=None, count=2).exists(), "it to come back")
