"""Kinds of errors: how often, since when, dealt with or not."""

from datetime import timedelta

import pytest

from jobs import statistics
from jobs.models import ErrorGroup, Event, Failure, Job, Status
from jobs.rollups import roll_up, roll_up_errors
from tests.jobs.history import failure_at, job_at, minute, roll_up_all, rolled_up
from tests.jobs.rows import now

pytestmark = pytest.mark.django_db
FELL, BROKE, LATE = "f" * 32, "b" * 32, "1" * 32


def some_errors() -> None:
    """FELL three times in two types, BROKE once, LATE two days ago."""
    failure_at(minute(50), FELL)
    failure_at(minute(40), FELL)
    failure_at(minute(3), FELL, job_at(minute(3), Status.FAILED, type="juggle"), message="the set fell again")
    failure_at(minute(30), BROKE, error="KeyError", classification="permanent")
    failure_at(now() - timedelta(days=2), LATE, error="JobTimeout", classification="timeout")
    rolled_up(now() - timedelta(days=3))
    while roll_up(timedelta(days=1)):
        pass


def groups(**wanted: object) -> list[tuple[str, int]]:
    return [(one.group.pk, one.seen) for one in statistics.error_groups(**wanted)]  # type: ignore[arg-type]


class TestGroups:
    def test_say_when_they_were_seen_first_and_last_and_show_the_last(self) -> None:
        some_errors()
        group = ErrorGroup.objects.get(pk=FELL)
        last = Failure.objects.get(failed_at=minute(3))
        assert (group.count, group.first_seen_at, group.last_seen_at) == (3, minute(50), minute(3))
        assert (group.type, group.error, group.message) == ("juggle", "ValueError", "the set fell again")
        assert group.sample == last.job_id

    def test_are_listed_the_last_seen_first_with_how_often_in_the_time_asked_for(self) -> None:
        some_errors()
        assert groups() == [(FELL, 3), (BROKE, 1), (LATE, 1)]
        assert groups(start=minute(45)) == [(FELL, 2), (BROKE, 1)]
        assert groups(end=minute(3)) == [(FELL, 2), (BROKE, 1), (LATE, 1)]
        assert groups(start=minute(55), end=minute(35)) == [(FELL, 2)]
        assert groups(start=now() - timedelta(days=3), end=now() - timedelta(days=1)) == [(LATE, 1)]
        assert groups(start=minute(2)) == []

    def test_of_a_type_are_counted_for_that_type(self) -> None:
        some_errors()
        assert groups(type="juggle") == [(FELL, 1)]
        assert groups(type="improvise", start=minute(45)) == [(FELL, 1), (BROKE, 1)]

    def test_come_in_pages(self) -> None:
        some_errors()
        first = statistics.error_groups(limit=2)
        assert groups(limit=2, cursor=first[-1].cursor) == [(LATE, 1)]
        with pytest.raises(ValueError, match="isoformat"):
            statistics.error_groups(cursor="nonsense")

    def test_show_within_seconds_and_count_once(self) -> None:
        rolled_up(minute())
        failure_at(now(), FELL)
        for _ in range(3):
            roll_up_errors()
        assert groups() == groups(start=minute(10)) == [(FELL, 1)]
        failure_at(now(), FELL)
        roll_up_errors()
        assert groups() == [(FELL, 2)]
        assert ErrorGroup.objects.get().count == 2

    def test_outlive_their_jobs(self) -> None:
        some_errors()
        Job.objects.all().delete()
        roll_up_all(minute(60))
        assert groups() == [(FELL, 3), (BROKE, 1), (LATE, 1)]

    def test_wait_while_history_is_far_behind(self) -> None:
        failure_at(now(), FELL)
        rolled_up(minute(30))
        roll_up_errors()
        assert groups() == []


class TestResolving:
    def test_is_for_an_operator_and_told(self) -> None:
        some_errors()
        assert statistics.resolve(FELL, "ann")
        assert not statistics.resolve(FELL, "ben")
        assert not statistics.resolve("unknown", "ann")
        assert groups(resolved=True) == [(FELL, 3)]
        assert groups(resolved=False) == [(BROKE, 1), (LATE, 1)]
        group = ErrorGroup.objects.get(pk=FELL)
        assert (group.resolved_by, group.resolved_at is not None) == ("ann", True)
        assert list(Event.objects.values_list("subject", "kind", "actor")) == [(f"error {FELL}", "resolved", "ann")]

    def test_can_be_undone(self) -> None:
        some_errors()
        assert not statistics.reopen(FELL, "ann")
        statistics.resolve(FELL, "ann")
        assert statistics.reopen(FELL, "ben")
        assert groups(resolved=True) == []
        assert Event.objects.latest("id").kind == "reopened"

    def test_ends_when_it_is_seen_again(self) -> None:
        some_errors()
        statistics.resolve(FELL, "ann")
        ErrorGroup.objects.filter(pk=FELL).update(resolved_at=minute(2))
        failure_at(minute(1), FELL)
        roll_up_errors()
        assert groups(resolved=True) == []
        back = Event.objects.latest("id")
        assert (back.kind, back.subject, back.actor) == ("error came back", f"error {FELL}", "upkeep")
        assert back.before is not None
        assert back.before["resolved_by"] == "ann"
        roll_up_errors()
        assert Event.objects.filter(kind="error came back").count() == 1

    def test_holds_against_what_failed_before(self) -> None:
        failure_at(minute(1), FELL)
        rolled_up(minute())
        roll_up_errors()
        statistics.resolve(FELL, "ann")
        failure_at(minute(1), FELL)
        roll_up_errors()
        assert groups(resolved=True) == [(FELL, 2)]


class TestStatistics:
    def test_of_nothing(self) -> None:
        assert statistics.error_statistics() == statistics.ErrorStatistics(0, {}, {}, {}, [])

    def test_are_by_type_class_classification_and_kind(self) -> None:
        some_errors()
        found = statistics.error_statistics()
        assert found.total == 5
        assert found.by_type == {"improvise": 4, "juggle": 1}
        assert found.by_class == {"ValueError": 3, "JobTimeout": 1, "KeyError": 1}
        assert found.by_classification == {"retryable": 3, "permanent": 1, "timeout": 1}
        assert [(one.group.pk, one.seen) for one in found.by_fingerprint] == [(FELL, 3), (LATE, 1), (BROKE, 1)]
        assert list(found.by_type) == ["improvise", "juggle"]

    def test_are_of_the_time_asked_for(self) -> None:
        some_errors()
        assert statistics.error_statistics(start=minute(45)).by_class == {"ValueError": 2, "KeyError": 1}
        assert statistics.error_statistics(end=now() - timedelta(days=1)).by_class == {"JobTimeout": 1}
        assert len(statistics.error_statistics(limit=1).by_fingerprint) == 1
