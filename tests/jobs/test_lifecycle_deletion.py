"""Taking jobs away: what is old, what an operator removes, what a queue is cleaned of."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db.models.functions import Now

from jobs import lifecycle
from jobs.models import BatchItem, Chord, Event, Failure, Job, LogLine, Status
from tests.jobs.rows import ended, enqueued, job_in, started, statuses

pytestmark = pytest.mark.django_db


def owners() -> set[UUID | None]:
    """The jobs of which anything is kept beside their rows."""
    kept = Failure.objects.values_list("job"), Event.objects.values_list("job"), BatchItem.objects.values_list("job")
    return {job for rows in (*kept, LogLine.objects.values_list("job")) for (job,) in rows}


class TestPruning:
    def aged(self, status: Status, **fields: Any) -> UUID:
        """A job that ended an hour ago."""
        job = job_in(status, **fields)
        Job.objects.filter(id=job).update(finished_at=Now() - timedelta(hours=1))
        return job

    def test_deletes_what_ended_long_enough_ago_in_this_status(self) -> None:
        old, fresh = self.aged(Status.COMPLETED), job_in(Status.COMPLETED)
        others = [self.aged(Status.FAILED), self.aged(Status.CANCELLED), job_in(Status.PROCESSING)]
        assert lifecycle.prune(Status.COMPLETED, 3599.0, 100) == 1
        assert set(Job.objects.values_list("id", flat=True)) == {fresh, *others}
        assert old not in others

    def test_takes_all_that_is_kept_of_a_job_along(self) -> None:
        old, kept = self.aged(Status.FAILED), job_in(Status.FAILED)
        for job in (old, kept):
            Event.objects.create(job_id=job, kind="retried", actor="ann")
            BatchItem.objects.create(job=job, key="1")
            LogLine.objects.create(job=job, run=1, level=20, message="line?")
        assert lifecycle.prune(Status.FAILED, 60.0, 100) == 1
        assert owners() == {kept}

    def test_is_for_one_type_or_for_all_but_some(self) -> None:
        spell, other = self.aged(Status.COMPLETED, type="spell"), self.aged(Status.COMPLETED)
        assert lifecycle.prune(Status.COMPLETED, 60.0, 100, but_types=["spell", "improvise"]) == 0
        assert lifecycle.prune(Status.COMPLETED, 60.0, 100, but_types=["spell"]) == 1
        assert list(Job.objects.values_list("id", flat=True)) == [spell]
        assert lifecycle.prune(Status.COMPLETED, 60.0, 100, of_type="spell") == 1
        assert other != spell

    def test_takes_the_oldest_first_and_no_more_than_its_limit(self) -> None:
        jobs = [self.aged(Status.COMPLETED) for _ in range(3)]
        Job.objects.filter(id=jobs[1]).update(finished_at=Now() - timedelta(days=1))
        assert lifecycle.prune(Status.COMPLETED, 60.0, 1) == 1
        assert set(Job.objects.values_list("id", flat=True)) == {jobs[0], jobs[2]}

    def test_keeps_the_members_of_a_chord_that_is_there(self) -> None:
        group = uuid4()
        member = self.aged(Status.COMPLETED, group=group)
        Chord.objects.create(id=group, size=2, body=[])
        assert lifecycle.prune(Status.COMPLETED, 60.0, 100) == 0
        Chord.objects.all().delete()
        assert lifecycle.prune(Status.COMPLETED, 60.0, 100) == 1
        assert Job.objects.filter(id=member).count() == 0


class TestPruningChords:
    BODY = UUID("01a00000-0000-7000-8000-000000000009")

    def chord(self, *, fired: bool, age: timedelta = timedelta(hours=2)) -> Chord:
        at = Now() - age
        return Chord.objects.create(
            id=uuid4(), size=1, body=[{"id": str(self.BODY)}], created_at=at, fired_at=at if fired else None
        )

    def test_deletes_one_whose_body_has_ended(self) -> None:
        self.chord(fired=True)
        ended(started(id=self.BODY))
        assert lifecycle.prune_chords(age=3600, open_age=86400) == 1

    def test_deletes_no_more_than_its_limit(self) -> None:
        for _ in range(3):
            self.chord(fired=True)
        assert [lifecycle.prune_chords(3600, 86400, limit=2) for _ in range(3)] == [2, 1, 0]

    def test_keeps_one_whose_body_waits_or_runs_or_whose_member_does(self) -> None:
        chord = self.chord(fired=True)
        body = enqueued(id=self.BODY)
        assert lifecycle.prune_chords(age=3600, open_age=3600) == 0
        claimed = started(body)
        assert lifecycle.prune_chords(age=3600, open_age=3600) == 0
        ended(claimed)
        enqueued(group=chord.id)
        assert lifecycle.prune_chords(age=3600, open_age=3600) == 0

    def test_keeps_a_young_one(self) -> None:
        self.chord(fired=True, age=timedelta(minutes=1))
        assert lifecycle.prune_chords(age=3600, open_age=86400) == 0

    def test_keeps_one_that_a_person_may_still_complete_for_as_long_as_failed_jobs_stay(self) -> None:
        self.chord(fired=False)
        assert lifecycle.prune_chords(age=3600, open_age=86400) == 0
        assert lifecycle.prune_chords(age=3600, open_age=3600) == 1


class TestRemoval:
    def test_is_for_jobs_that_do_not_run(self) -> None:
        jobs = {status: job_in(status) for status in Status}
        running, unknown = jobs[Status.PROCESSING], uuid4()
        removed, skipped = lifecycle.remove([*jobs.values(), unknown], actor="ann")
        assert removed == [job for job in jobs.values() if job != running]
        assert skipped == {running: "it is processing", unknown: "no such job"}
        assert list(Job.objects.values_list("id", flat=True)) == [running]

    def test_leaves_one_event_a_job_and_nothing_else_of_it(self) -> None:
        failed, kept = job_in(Status.FAILED), job_in(Status.FAILED)
        for job in (failed, kept):
            Event.objects.create(job_id=job, kind="retried", actor="bob")
            BatchItem.objects.create(job=job, key="1")
            LogLine.objects.create(job=job, run=1, level=20, message="line?")
        lifecycle.remove([failed], actor="ann")
        event = Event.objects.get(kind="removed")
        assert (event.subject, event.job_id, event.queue, event.actor) == (f"job {failed}", None, "default", "ann")
        assert event.before == {"status": "failed", "type": "improvise"}
        assert owners() == {kept, None}

    def test_of_a_waiting_job_ends_what_would_have_followed(self) -> None:
        step = {"id": str(uuid4()), "type": "improvise", "payload": {}, "queue": "default", "priority": 5}
        job = enqueued(canvas={"then": [step | {"max_attempts": 1, "timeout": 60.0}]})
        assert lifecycle.remove([job.id], actor="ann").removed == [job.id]
        assert list(Job.objects.values_list("id", "status")) == [(UUID(str(step["id"])), Status.FAILED)]

    def test_is_not_for_members_of_a_chord_that_is_not_finished(self) -> None:
        group = uuid4()
        chord = {"chord": {"id": str(group), "size": 3, "index": 0, "body": []}}
        waiting = enqueued(group=group, canvas=chord)
        ended(started(done := enqueued(group=group, canvas=chord)))
        removed, skipped = lifecycle.remove([waiting.id, done.id], actor="ann")
        assert removed == []
        assert set(skipped.values()) == {"the group that it belongs to is not finished"}
        assert statuses(waiting, done) == [Status.PENDING, Status.COMPLETED]
        Chord.objects.all().delete()
        assert lifecycle.remove([done.id], actor="ann").removed == [done.id]

    def test_is_for_members_of_a_plain_group(self) -> None:
        members = [enqueued(group=uuid4()).id, job_in(Status.COMPLETED, group=uuid4())]
        assert lifecycle.remove(members, actor="ann").removed == members

    def test_of_nothing_changes_nothing(self) -> None:
        assert lifecycle.remove([], actor="ann") == ([], {})
        assert not Event.objects.exists()


class TestCleaning:
    @pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED])
    def test_takes_what_ended_long_enough_ago(self, status: Status) -> None:
        old, fresh, elsewhere = job_in(status), job_in(status), job_in(status, queue="cpu")
        Job.objects.filter(id__in=[old, elsewhere]).update(finished_at=Now() - timedelta(hours=1))
        others = [job_in(other) for other in Status if other != status]
        assert lifecycle.clean("default", status, 3600, 100, actor="ann") == 1
        assert set(Job.objects.values_list("id", flat=True)) == {fresh, elsewhere, *others}
        event = Event.objects.get(kind="cleaned")
        assert (event.queue, event.actor) == ("default", "ann")
        assert event.after == {"removed": 1, "status": status.value, "older than": 3600}

    @pytest.mark.parametrize("status", [Status.PENDING, Status.SCHEDULED])
    def test_takes_what_has_waited_long_enough(self, status: Status) -> None:
        old, fresh = job_in(status), job_in(status)
        Job.objects.filter(id=old).update(created_at=Now() - timedelta(hours=1))
        assert lifecycle.clean("default", status, 3600, 100, actor="ann") == 1
        assert list(Job.objects.values_list("id", flat=True)) == [fresh]

    def test_takes_the_oldest_first_and_no_more_than_its_limit(self) -> None:
        jobs = [job_in(Status.COMPLETED) for _ in range(3)]
        Job.objects.filter(id=jobs[2]).update(finished_at=Now() - timedelta(hours=1))
        assert lifecycle.clean("default", Status.COMPLETED, 0, 1, actor="ann") == 1
        assert set(Job.objects.values_list("id", flat=True)) == set(jobs[:2])

    def test_that_finds_nothing_leaves_no_event(self) -> None:
        assert lifecycle.clean("default", Status.COMPLETED, 0, 100, actor="ann") == 0
        assert not Event.objects.exists()

    def test_is_not_for_running_jobs(self) -> None:
        with pytest.raises(ValueError, match="running jobs cannot be removed"):
            lifecycle.clean("default", Status.PROCESSING, 0, 100, actor="ann")
