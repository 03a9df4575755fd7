"""Secrets of payloads, looked for wherever something is shown, sent or kept: in the payload and nowhere else."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from config.celery import app
from jobs import lifecycle
from jobs.management.embedded import free_port
from jobs.models import Failure, Job, Queue, Status, Worker
from jobs.processor import enqueue
from tests.integration import servers
from tests.integration.workers import Start, wait_for, wait_for_end, wait_for_status

CANARY = "canary-7f3a"
SECRETS = [f"{CANARY}-token", f'{CANARY}-"quoted"\\word', f"{CANARY}-ünïcode", f"{CANARY}-one", f"{CANARY}-other"]
END = "nothing more to be heard"
ENDS = ("well", "failing", "retrying", "discarded", "in a batch")
MAY_HAVE_IT = {  # where payloads are: of jobs, of jobs that are still to come, of schedules
    ("jobs_job", "payload"),
    ("jobs_job", "canvas"),
    ("django_celery_beat_periodictask", "kwargs"),
}
SCHEDULE = "confessions at night"


def payload(ends: str, gate: Path | None = None) -> dict[str, Any]:
    token, quoted, password, *more = SECRETS
    return {
        "token": token if ends != "failing" else quoted,
        "account": {"user": "ada", "password": password},
        "more": more,
        "ends": ends,
        "gate": str(gate or ""),
    }


class Listener(threading.Thread):
    """Everything that anybody sends to Redis, until somebody says `END`."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.heard: list[str] = []
        self.client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=None)

    def run(self) -> None:
        with self.client.monitor() as monitor:  # type: ignore[no-untyped-call]
            while END not in (line := str(monitor.connection.read_response())):
                self.heard.append(line)


@pytest.fixture
def heard() -> Iterator[list[str]]:
    listener = Listener()
    listener.start()
    yield listener.heard
    listener.client.echo(END)
    listener.join(60)
    listener.client.close()


@pytest.fixture
def operator(db: None) -> Iterator[Client]:
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    never, _ = CrontabSchedule.objects.get_or_create(minute="0", hour="0", day_of_month="30", month_of_year="2")
    kwargs = json.dumps(payload("well"))
    PeriodicTask.objects.create(name=SCHEDULE, task="confess", kwargs=kwargs, crontab=never, enabled=False)
    yield client
    User.objects.all().delete()
    PeriodicTask.objects.filter(name=SCHEDULE).delete()
    never.delete()


def kept(secret: str = CANARY) -> list[str]:
    """Where in the database it is, besides the columns that are for it."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'")
        for table, column in cursor.fetchall():
            if (table, column) not in MAY_HAVE_IT:
                statement = f'SELECT count(*) FROM "{table}" WHERE "{column}"::text LIKE %s'  # noqa: S608
                cursor.execute(statement, [f"%{secret}%"])
                found += [f"{table}.{column}"] if cursor.fetchone()[0] else []
    return found


def addresses(jobs: list[UUID]) -> Iterator[str]:
    """Every page and call of the site that a GET may reach, filled with what these jobs have."""
    schedules = map(str, PeriodicTask.objects.values_list("pk", flat=True))
    rows = {"job": list(map(str, jobs)), "periodictask": list(schedules)}
    failure = Failure.objects.filter(job__in=jobs).first()
    queues = list(Queue.objects.values_list("name", flat=True))
    values = {
        "job_id": [str(job) for job in jobs],
        "jobId": [str(job) for job in jobs],
        "name": [SCHEDULE, *queues, *Worker.objects.values_list("name", flat=True)],
        "queue": queues,
        "fingerprint": [failure.fingerprint] if failure else [],
    }
    for route in routes(get_resolver().url_patterns):
        names = [name.partition(":")[2] or name for name in re.findall(r"<([^>]+)>", route)]
        if not names:
            yield f"/{route}"
        elif len(names) == 1:
            found = rows.get(route.split("/")[2], []) if names[0] == "object_id" else values.get(names[0], [])
            yield from (f"/{re.sub('<[^>]+>', value, route)}" for value in found)


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern).lstrip("^").rstrip("$")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif "\\" not in route and "(" not in route:
            yield route


NEVER_ENDING = re.compile(r"/live$|/events$")  # streams
EXPENSIVE = re.compile(r"/(auth|logout|password_change|login|sessions)/")


def shown(client: Client, jobs: list[UUID]) -> dict[str, str]:
    """Every answer in which it is, and how many answers there were."""
    found = {}
    seen = 0
    for address in sorted(set(addresses(jobs))):
        if EXPENSIVE.search(address):
            continue
        queries = [f"?job={job}" for job in jobs] if address.endswith("/new") else [""]
        queries += ["?include=history"] if address.startswith("/api/jobs") else []
        for query in queries:
            response = client.get(address + query)
            if NEVER_ENDING.search(address) or response.status_code in (301, 302, 404, 405):
                continue
            assert response.status_code != 500, address
            seen += 1
            body = b"".join(response) if response.streaming else response.content
            if CANARY in body.decode():
                found[address + query] = re.findall(f".{{60}}{CANARY}.{{10}}", body.decode())[0]
    assert seen > 60, seen
    return found


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_secrets_are_in_the_payload_and_nowhere_else(
    start: Start, gate: Path, operator: Client, heard: list[str], tmp_path: Path, pool: str
) -> None:
    flower = servers.flower(tmp_path / "flower.log", free_port(), 8123).wait_until_up()
    cookies = {"sessionid": operator.cookies["sessionid"].value}
    try:
        with httpx2.Client(base_url=f"{flower.url}/flower", cookies=cookies) as browser:
            worker = start(pool, LOG_LEVEL="DEBUG", LOG_FORMAT="json").wait_until_connected()
            wait_for(lambda: worker.node in browser.get("/?json=1").text, "Flower to know the worker")
            assert CANARY not in while_it_runs(gate, operator, pages=pool == "threads")
            everything = every_end()
            first = str(everything[0])
            wait_for(lambda: first in browser.get("/api/tasks").text, "Flower to know the jobs")
            pages = [
                "/tasks",
                "/api/tasks",
                *(f"/{page}/{job}" for page in ("task", "api/task/info") for job in everything),
            ]
            assert not [page for page in pages if CANARY in browser.get(page).text]
    finally:
        flower.remove()
    if pool == "threads":  # pages show rows, whatever pool wrote them
        assert shown(operator, everything[:8]) == {}
    assert kept() == []
    assert len(heard) > 50
    assert [line for line in heard if CANARY in line] == []
    written = worker.log.read_text()
    assert "***" in written
    assert [line for line in written.splitlines() if CANARY in line] == []
    assert CANARY not in flower.log.read_text()
    lines = written.rpartition("[queues]")[2]  # after Celery's banner
    for line in lines[lines.index('{"event"') :].splitlines():
        json.loads(line)


def while_it_runs(gate: Path, operator: Client, *, pages: bool) -> str:
    """What a running job shows to those who ask its worker, and in pages."""
    running = enqueue("confess", payload("well", gate)).id
    wait_for_status(running, Status.PROCESSING)
    inspect = app.control.inspect(timeout=2)
    active = inspect.active()
    assert str(running) in str(active)
    told = [active, inspect.reserved(), inspect.scheduled(), inspect.query_task(str(running)), inspect.stats()]
    seen = shown(operator, [running]) if pages else {}
    gate.touch()
    return str([told, inspect.report(), seen])


def every_end() -> list[UUID]:
    """Jobs that ended in each way, were run again with another payload, and retried by hand."""
    jobs = [enqueue("confess", payload(ends)).id for ends in ENDS]
    wait_for_end()
    assert dict(Job.objects.filter(id__in=jobs).values_list("payload__ends", "status")) == {
        "well": "completed",
        "failing": "failed",
        "retrying": "completed",
        "discarded": "failed",
        "in a batch": "completed",
    }
    lifecycle.rerun(jobs, actor="operator", payload=json.dumps(payload("failing")))
    lifecycle.retry(jobs, actor="operator")
    wait_for_end()
    return list(Job.objects.values_list("id", flat=True))
