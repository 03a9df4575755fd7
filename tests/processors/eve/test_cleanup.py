"""Cleaning up kept answers of ESI's, through the real life of a job."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from jobs.errors import InvalidPayload
from jobs.models import Job, Queue, Status
from jobs.processor import enqueue
from jobs.testing import perform
from processors.eve import cleaning
from processors.eve.models import EsiAnswer, Snapshot
from processors.eve.tasks import SCHEDULES
from processors.eve.tasks.cleanup import cache_cleanup
from tests.processors.eve.rows import logged_in
from tests.processors.eve.sandbox import EveSandbox

pytestmark = pytest.mark.django_db

MANY = """
INSERT INTO eve_esianswer (key, endpoint, etag, modified, body, size, expires_at, used_at, fetched_at)
SELECT 'esi:characters:' || 90000000 + n || CASE n %% 4 WHEN 0 THEN ':wallet' ELSE ':assets?page=' || n %% 4 END,
    CASE n %% 4 WHEN 0 THEN 'wallet' ELSE 'assets' END, '', '', '[]', 100,
    now() + CASE n %% 5 WHEN 0 THEN interval '1 hour' ELSE interval '-1 hour' END,
    now() - n * interval '1 second', now()
FROM generate_series(1, %s) n
"""


def fill(count: int) -> None:
    """A quarter of them wallets, a fifth not expired; the higher their number, the longer ago used."""
    with connection.cursor() as cursor:
        cursor.execute(MANY, [count])


def clean(**wanted: Any) -> dict[str, Any]:
    job = perform(cache_cleanup.enqueue(wanted))
    assert job.status == Status.COMPLETED
    assert job.result
    return {name: job.result[name] for name in ("removed", "freed", "kept")}


def answer(key: str, **fields: Any) -> EsiAnswer:
    now = timezone.now()
    return EsiAnswer.objects.create(key=key, **{"body": [], "size": 2, "expires_at": now, "used_at": now} | fields)


def left() -> list[str]:
    return list(EsiAnswer.objects.order_by("key").values_list("key", flat=True))


def test_100_000_answers_in_each_mode() -> None:
    fill(100_000)
    counts: dict[str, tuple[dict[str, Any], int]] = {
        "expired": ({}, 80_000),
        "pattern": ({"pattern": "esi:characters:*:wallet"}, 25_000),
        "lru": ({"maxSize": 10_000}, 90_000),
        "all": ({}, 100_000),
    }
    for mode, (more, count) in counts.items():
        dry = clean(mode=mode, dryRun=True, **more)
        assert dry == {"removed": count, "freed": 100 * count, "kept": 100_000 - count}
    assert EsiAnswer.objects.count() == 100_000

    assert clean(mode="pattern", pattern="esi:characters:*:wallet") == {
        "removed": 25_000,
        "freed": 2_500_000,
        "kept": 75_000,
    }
    assert clean(mode="expired") == {"removed": 60_000, "freed": 6_000_000, "kept": 15_000}
    used = list(EsiAnswer.objects.order_by("-used_at").values_list("key", flat=True)[:10_000])
    assert clean(mode="lru", maxSize=10_000) == {"removed": 5_000, "freed": 500_000, "kept": 10_000}
    assert set(left()) == set(used)
    assert clean(mode="lru", maxSize=10_000) == {"removed": 0, "freed": 0, "kept": 10_000}
    assert clean(mode="all") == {"removed": 10_000, "freed": 1_000_000, "kept": 0}


def test_progress_is_told_by_chunk() -> None:
    fill(cleaning.CHUNK + 10)
    job = perform(cache_cleanup.enqueue({"mode": "all"}))
    assert job.progress
    assert (job.progress["done"], job.progress["total"]) == (cleaning.CHUNK + 10, cleaning.CHUNK + 10)


def test_what_may_be_used_for_longer_stays() -> None:
    answer("esi:new", expires_at=timezone.now() + timedelta(minutes=1))
    answer("esi:old", expires_at=timezone.now() - timedelta(minutes=1))
    assert clean() == {"removed": 1, "freed": 2, "kept": 1}
    assert left() == ["esi:new"]


@pytest.mark.parametrize(
    ("pattern", "stays"),
    [
        ("esi:a.b?x=1_%", ["esi:a.b?x=12%", "esi:aXb?x=1_%"]),
        ("esi:a?b*", []),
        ("*", []),
        ("esi:a", ["esi:a.b?x=12%", "esi:a.b?x=1_%", "esi:aXb?x=1_%"]),
        ("*x=1?%", []),
    ],
)
def test_a_pattern_means_itself_but_for_stars_and_question_marks(pattern: str, stays: list[str]) -> None:
    for key in ("esi:a.b?x=1_%", "esi:a.b?x=12%", "esi:aXb?x=1_%"):
        answer(key)
    clean(mode="pattern", pattern=pattern)
    assert left() == stays


def test_least_recently_used_goes_first_of_equals_the_older() -> None:
    now = timezone.now()
    for number in range(4):
        answer(f"esi:{number}", used_at=now)
    answer("esi:unused", used_at=now - timedelta(days=1))
    clean(mode="lru", maxSize=2)
    assert left() == ["esi:2", "esi:3"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mode": "oldest"}, "mode"),
        ({"mode": "pattern"}, "pattern: expected with mode pattern"),
        ({"pattern": "esi:*"}, "pattern: expected with mode pattern"),
        ({"mode": "lru"}, "maxSize: expected with mode lru"),
        ({"mode": "lru", "maxSize": -1}, "maxSize"),
        ({"mode": "all", "maxSize": 1}, "maxSize: expected with mode lru"),
    ],
)
def test_what_makes_no_sense_is_told_when_it_is_enqueued(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidPayload, match=message):
        cache_cleanup.enqueue(wrong)


def test_a_refresh_after_it_asks_anew_and_rewrites_nothing(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    wallet = {"characterId": pilot.pk, "userId": pilot.user_id, "group": "CHARACTER_WALLET"}
    perform(enqueue("esi_refresh", wallet))
    changed = Snapshot.objects.in_bulk()
    assert clean(mode="pattern", pattern="esi:characters:*")["removed"] == EsiAnswer.objects.count() or not left()
    job = perform(enqueue("esi_refresh", wallet))
    assert job.result
    assert [each["changed"] for each in job.result["endpoints"]] == [False] * 3
    assert {pk: row.changed_at for pk, row in Snapshot.objects.in_bulk().items()} == {
        pk: row.changed_at for pk, row in changed.items()
    }


def test_it_is_background_work_done_once_at_a_time_every_night() -> None:
    (schedule,) = [each for each in SCHEDULES if each.type == "cache_cleanup"]
    assert (schedule.cron, schedule.timezone, schedule.payload) == ("0 3 * * *", "UTC", {"mode": "expired"})
    enqueued = enqueue("cache-cleanup", {})
    job = Job.objects.get(id=enqueued.id)
    assert (job.queue, job.priority, job.max_attempts) == ("cache_cleanup", 3, 1)
    assert Queue.objects.get(name="cache_cleanup").max_running == 1
