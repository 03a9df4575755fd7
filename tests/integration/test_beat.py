"""Real beats on a real database, without Redis: a schedule goes on through kills and outages, each due time once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobs import lifecycle, scheduling
from jobs.models import Job, Leader, ScheduleOptions, ScheduleRun

pytestmark = pytest.mark.django_db(transaction=True)
NO_REDIS = "redis://127.0.0.1:1/0"

Start = Callable[[], subprocess.Popen[bytes]]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def database_url() -> str:
    """The test's database, for another process."""
    name = quote(connection.settings_dict["NAME"], safe="")
    head, _, query = os.environ["DATABASE_URL"].partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a beat; kills it at the end if it still runs."""
    beats: list[subprocess.Popen[bytes]] = []

    def start_one() -> subprocess.Popen[bytes]:
        environment = {**os.environ, "DATABASE_URL": database_url(), "REDIS_URL": NO_REDIS}
        with (tmp_path / f"beat-{len(beats)}.log").open("wb") as log:
            command = [sys.executable, "-m", "celery", "-A", "config", "beat", "--loglevel", "INFO"]
            beats.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))
        return beats[-1]

    yield start_one
    for beat in beats:
        beat.kill()
        beat.wait()


def every(seconds: int, name: str) -> PeriodicTask:
    interval = IntervalSchedule.objects.create(every=seconds, period="seconds")
    return PeriodicTask.objects.create(name=name, task="bgg_sync", kwargs='{"gameId": "13"}', interval=interval)


def leader() -> int:
    """The process that leads, 0 if none does."""
    holders = Leader.objects.filter(duty="beat", expires_at__gt=Now()).values_list("holder", flat=True)
    return next((int(holder.split(":")[1]) for holder in holders), 0)


def runs(task: PeriodicTask) -> list[datetime]:
    return list(ScheduleRun.objects.filter(schedule=task.name).order_by("due_at").values_list("due_at", flat=True))


def grid(task: PeriodicTask) -> list[datetime]:
    """Its due times from when it was made to its latest run."""
    every = timedelta(seconds=task.interval.every)
    made = PeriodicTask.objects.get(pk=task.pk).date_changed
    first = made - timedelta(seconds=made.timestamp() % task.interval.every) + every
    return [first + every * n for n in range((runs(task)[-1] - first) // every + 1)]


def jobs_of_runs_are_its_jobs(task: PeriodicTask) -> bool:
    ran = ScheduleRun.objects.filter(schedule=task.name, outcome="enqueued").values_list("job", flat=True)
    made = Job.objects.filter(schedule=task.name, type="bgg_sync").values_list("id", flat=True)
    return sorted(map(str, ran)) == sorted(map(str, made))


def outcomes(task: PeriodicTask) -> list[str]:
    return list(ScheduleRun.objects.filter(schedule=task.name).order_by("due_at").values_list("outcome", flat=True))


def test_two_beats_one_killed_fire_each_due_time_of_a_minute_once(start: Start) -> None:
    beats = {beat.pid: beat for beat in (start(), start())}
    wait_for(lambda: leader() in beats, "no beat leads")
    slow, fast = every(10, "slow"), every(2, "fast")
    wait_for(lambda: len(runs(slow)) >= 3, "the schedule does not run")
    killed = leader()
    beats[killed].kill()
    wait_for(lambda: leader() in beats.keys() - {killed}, "the other beat does not take over")
    wait_for(lambda: len(runs(slow)) >= 7, "the schedule does not go on")
    for task in (slow, fast):
        assert runs(task) == grid(task)
        assert jobs_of_runs_are_its_jobs(task)


def test_two_beats_after_an_outage_follow_each_schedules_policy(start: Start) -> None:
    """Of three hours, while all beats were down."""
    half_hourly = IntervalSchedule.objects.create(every=30, period="minutes")
    stopped = timezone.now() - timedelta(hours=3)
    first = stopped + timedelta(minutes=5)
    tasks = {}
    for policy in ("skip", "one", "all"):
        task = PeriodicTask.objects.create(
            name=policy, task="bgg_sync", kwargs='{"gameId": "13"}', interval=half_hourly, start_time=first
        )
        ScheduleOptions.objects.create(schedule=task, missed_runs=policy)
        tasks[policy] = task
    PeriodicTask.objects.update(date_changed=stopped)
    beats = [start(), start()]
    for task in tasks.values():
        wait_for(lambda task=task: len(runs(task)) == 6, "the due times of the outage are not settled")  # type: ignore[misc]
    beats[0].kill()
    beats[1].kill()
    start()
    often = every(1, "often")
    wait_for(lambda: runs(often), "no beat took over")
    assert {policy: outcomes(task) for policy, task in tasks.items()} == {
        "skip": 6 * ["missed"],
        "one": [*(5 * ["missed"]), "enqueued"],
        "all": 6 * ["enqueued"],
    }
    for task in tasks.values():
        assert runs(task) == [first + timedelta(minutes=30) * n for n in range(6)]
        assert jobs_of_runs_are_its_jobs(task)


def test_a_buffered_due_time_starts_when_the_job_before_it_ends(start: Start) -> None:
    task = every(3600, "hourly")
    PeriodicTask.objects.update(start_time=timezone.now() + timedelta(hours=1))
    ScheduleOptions.objects.create(schedule=task, overlap="buffer-one")
    earlier = scheduling.run("hourly", actor="ada").id
    start(), start()
    wait_for(leader, "no beat leads")
    due = timezone.now()
    PeriodicTask.objects.update(start_time=due, date_changed=due - timedelta(minutes=1))
    ScheduleRun.objects.create(schedule="hourly", due_at=due, outcome="buffered")
    often = every(1, "often")
    wait_for(lambda: len(runs(often)) >= 3, "beat does not look")
    assert Job.objects.filter(schedule="hourly").count() == 1
    lifecycle.cancel([earlier], actor="ada")
    wait_for(lambda: "enqueued" in outcomes(task), "the due time waits on", seconds=30)
    assert Job.objects.filter(schedule="hourly").count() == 2


def test_a_beat_that_is_stopped_hands_over(start: Start) -> None:
    first = start()
    wait_for(lambda: leader() == first.pid, "the beat does not lead")
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=60) == 0
    assert leader() == 0


def test_a_frozen_leader_is_replaced_and_does_no_harm_when_it_wakes(start: Start) -> None:
    beats = {beat.pid: beat for beat in (start(), start())}
    wait_for(lambda: leader() in beats, "no beat leads")
    task = every(1, "often")
    wait_for(lambda: len(runs(task)) >= 3, "the schedule does not run")
    frozen = leader()
    beats[frozen].send_signal(signal.SIGSTOP)
    wait_for(lambda: leader() in beats.keys() - {frozen}, "the other beat does not take over")
    beats[frozen].send_signal(signal.SIGCONT)
    seen = len(runs(task))
    wait_for(lambda: len(runs(task)) >= seen + 5, "the schedule does not go on")
    assert runs(task) == grid(task)
    assert jobs_of_runs_are_its_jobs(task)


def test_a_beat_outlives_the_database(start: Start, tmp_path: Path) -> None:
    beat = start()
    task = every(1, "often")
    wait_for(lambda: runs(task), "the schedule does not run")
    name = connection.settings_dict["NAME"]
    beats = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other, connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            other.execute(beats, (name, *cursor.fetchone()))
            log = tmp_path / "beat-0.log"
            wait_for(lambda: b"does not answer" in log.read_bytes(), "the beat does not notice")
            seen = len(runs(task))
        finally:
            other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    wait_for(lambda: len(runs(task)) >= seen + 3, "the schedule does not go on")
    assert beat.poll() is None
    assert runs(task) == grid(task)
