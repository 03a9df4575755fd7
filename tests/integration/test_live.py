"""Live changes: jobs in real workers, followed through a real web process."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from jobs import broker, events, keys, lifecycle
from jobs.management.embedded import free_port
from jobs.models import ApiKey, Event, Status
from jobs.tokens import read_token
from tests.integration import servers as processes
from tests.integration.conftest import Servers
from tests.integration.jobtypes.tasks import noop, step_by_step
from tests.integration.test_outages import postgres_stopped
from tests.integration.workers import Start, wait_for, wait_for_status

NO_REDIS = "redis://127.0.0.1:1/0"


class Told(NamedTuple):
    """An event of a stream."""

    name: str
    data: Any
    id: str


class Site:
    """A web process, and who calls it with a key."""

    def __init__(self, server: processes.Server) -> None:
        self.server = server
        key = keys.create("live", [ApiKey.Scope.READ, ApiKey.Scope.WRITE])
        headers = {"Authorization": f"Bearer {key}"}
        self.client = httpx2.Client(base_url=server.url, timeout=60, headers=headers)

    def get(self, job: object) -> Any:
        return self.client.get(f"/api/jobs/{job}").json()

    @contextmanager
    def follow(self, path: str, **headers: str) -> Iterator[Iterator[Told]]:
        with self.client.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200, response.read()
            yield _told(response.iter_lines())

    def events_of(self, job: object, **headers: str) -> list[Told]:
        """All of the stream of a job that ends."""
        with self.follow(f"/api/jobs/{job}/events", **headers) as stream:
            return list(stream)


def _told(lines: Iterator[str]) -> Iterator[Told]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        fields[name] = value
        if not line and "event" in fields:
            yield Told(fields["event"], json.loads(fields["data"]), fields.get("id", ""))
        if not line:
            fields = {}


@pytest.fixture
def start_site(db: None, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    with ExitStack() as stack:

        def start_site(**changes: str) -> Site:
            port = free_port()
            command = ["-m", "uvicorn", "config.asgi:application", "--port", str(port), "--lifespan", "off"]
            log = tmp_path / f"site-{port}.log"
            server = processes.Server(log, command, port, "/readyz", role="web", DEBUG="true", **changes)
            stack.callback(server.remove)
            site = Site(server.wait_until_up())
            stack.callback(site.client.close)
            return site

        yield start_site
    ApiKey.objects.all().delete()
    User.objects.all().delete()


@pytest.fixture
def servers_and_site(servers: Servers, start_site: Callable[..., Site]) -> tuple[Servers, Site]:
    """Servers that the test may stop, and a site on them."""
    return servers, start_site()


@pytest.fixture
def site(start_site: Callable[..., Site]) -> Site:
    return start_site()


def listeners() -> int:
    """Web processes that hear what changes."""
    return int(broker.client().pubsub_numsub(events.CHANGED)[0][1])


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_job_is_followed_from_waiting_to_its_end(site: Site, start: Start, pool: str) -> None:
    job = step_by_step.enqueue({"total": 20, "pause": 0.1, "lines": 2, "secretWord": "sesame"}).id
    with site.follow(f"/api/jobs/{job}/events") as stream:
        first = next(stream)
        assert (first.name, first.data["status"], first.data["progress"]) == ("job", "pending", 0)
        start(pool, 2)
        seen = [first, *stream]
    jobs = [event.data for event in seen if event.name == "job"]
    assert jobs[-1] == site.get(job)
    assert (jobs[-1]["status"], jobs[-1]["progress"], jobs[-1]["result"]) == ("completed", 100, 20)
    running = [data["progress"] for data in jobs if data["status"] == "processing"]
    assert len(set(running)) > 4  # the row alone would have given two
    assert running == sorted(running)
    lines = [event for event in seen if event.name == "log"]
    assert len(lines) == 41
    assert lines[0].data["message"] == "step 1, line 0 ***"
    assert (lines[-1].data["message"], lines[-1].data["level"]) == ("done", "WARNING")
    assert [event.id for event in lines] == [str(event.data["id"]) for event in lines]
    assert seen[-1].name == "job"  # who stops at the end has all lines


def test_lines_come_while_the_job_runs(site: Site, start: Start, gate: Path) -> None:
    start("prefork", 1)
    job = step_by_step.enqueue({"total": 1, "lines": 3, "until": str(gate)}).id
    with site.follow(f"/api/jobs/{job}/events") as stream:
        lines = [event for event in stream if event.name == "log" or gate.touch()][:3]  # type: ignore[func-returns-value]
    assert [line.data["message"].strip() for line in lines] == [f"step 1, line {number}" for number in range(3)]
    wait_for_status(job, Status.COMPLETED)


def test_who_connects_again_gets_the_job_again_and_the_lines_after_the_last(site: Site, start: Start) -> None:
    start()
    job = step_by_step.enqueue({"total": 1, "lines": 2}).id
    wait_for_status(job, Status.COMPLETED)
    first, second, third, last = site.events_of(job)
    assert last.data == site.get(job)
    assert site.events_of(job, **{"Last-Event-ID": second.id}) == [third, last]
    with site.follow(f"/api/jobs/{job}/events?after={first.id}") as stream:
        assert list(stream) == [second, third, last]


def test_without_redis_it_comes_by_looking(start_site: Callable[..., Site], start: Start) -> None:
    site = start_site(REDIS_URL=NO_REDIS)
    job = step_by_step.enqueue({"total": 1, "lines": 1}).id
    with site.follow(f"/api/jobs/{job}/events") as stream:
        assert next(stream).data["status"] == "pending"
        start(REDIS_URL=NO_REDIS)
        *_, last = stream
    assert last.data["status"] == "completed"


def test_what_no_message_told_comes_by_looking(site: Site, start: Start) -> None:
    job = step_by_step.enqueue({"total": 1}).id
    with site.follow(f"/api/jobs/{job}/events") as stream:
        assert next(stream).data["status"] == "pending"
        start(REDIS_URL=NO_REDIS)
        *_, last = stream
    assert last.data["status"] == "completed"


def test_an_operator_s_change_comes_too(site: Site) -> None:
    job = noop.enqueue({}, delay=600).id
    with site.follow(f"/api/jobs/{job}/events") as stream:
        assert next(stream).data["priority"] == 5
        lifecycle.set_priority([job], 8, actor="ann")
        assert next(stream).data["priority"] == 8
        site.client.delete(f"/api/jobs/{job}")
        assert [event.data["status"] for event in stream] == ["cancelled"]


def test_a_job_that_is_removed_ends_the_stream(site: Site) -> None:
    job = noop.enqueue({}, delay=600).id
    with site.follow(f"/api/jobs/{job}/events") as stream:
        assert next(stream).data["status"] == "scheduled"
        lifecycle.cancel([job], actor="ann")
        lifecycle.remove([job], actor="ann")
        assert [event.data["status"] for event in stream] in ([], ["cancelled"])
    assert site.client.get(f"/api/jobs/{job}/events").status_code == 404


def test_a_token_shows_its_job_without_the_log(site: Site, start: Start) -> None:
    start()
    job = step_by_step.enqueue({"total": 1, "lines": 2, "secretWord": "sesame"}).id
    wait_for_status(job, Status.COMPLETED)
    with httpx2.Client(base_url=site.server.url) as anybody:
        token = read_token(job)
        response = anybody.get(f"/api/jobs/{job}/events", params={"token": token})
    (last,) = _told(iter(response.text.split("\n")))
    assert last.data == site.get(job)
    assert "sesame" not in response.text
    log = site.server.log.read_text()
    assert f"/api/jobs/{job}/events" in log
    assert token not in log


def test_who_leaves_leaves_nothing(start_site: Callable[..., Site]) -> None:
    """And who stays needs no connection to the database: there are fewer of them than clients here."""
    site = start_site(DATABASE_POOL_SIZE="2")
    jobs = [noop.enqueue({}, delay=600).id for _ in range(20)]
    with ExitStack() as stack:
        streams = [stack.enter_context(site.follow(f"/api/jobs/{job}/events")) for job in jobs]
        assert [next(stream).data["id"] for stream in streams] == [str(job) for job in jobs]
        assert listeners() == 1
        assert site.get(jobs[0])["status"] == "scheduled"
    wait_for(lambda: listeners() == 0, "the end of the subscription")


def test_streams_outlive_postgres_and_redis(servers_and_site: tuple[Servers, Site], start_on_servers: Start) -> None:
    servers, site = servers_and_site
    job = step_by_step.enqueue({"total": 1}, delay=600).id
    with site.follow(f"/api/jobs/{job}/events") as stream:
        assert next(stream).data["status"] == "scheduled"
        with postgres_stopped(servers):
            servers.valkey.kill()
            wait_for(lambda: "watched jobs not read" in site.server.log.read_text(), "the site to notice")
        servers.valkey.start()
        wait_for(lambda: listeners() == 1, "a new subscription")
        lifecycle.run_now([job], actor="ann")
        start_on_servers()
        *_, last = stream
    assert last.data["status"] == "completed"


def test_dashboards_are_told_of_every_change(site: Site, start: Start) -> None:
    cookie = log_in()
    assert site.client.get("/jobs/live").status_code == 403  # a key is no session
    with site.follow("/jobs/live", Cookie=cookie) as stream:
        wait_for(lambda: listeners() == 1, "the subscription")
        noop.enqueue({})
        assert next(stream).name == "changed"
        lifecycle.pause("default", actor="ann")
        assert next(stream).name == "changed"


def test_dashboards_are_told_without_redis_too(start_site: Callable[..., Site]) -> None:
    """By looking, of what nobody has published: here the rows of the audit trail."""
    site = start_site(REDIS_URL=NO_REDIS)
    told = threading.Event()

    def act() -> None:
        while not told.wait(0.5):
            Event.objects.create(kind="note", actor="ann")
        connection.close()

    with site.follow("/jobs/live", Cookie=log_in()) as stream:
        acting = threading.Thread(target=act)
        acting.start()
        try:
            assert next(stream).name == "changed"
        finally:
            told.set()
            acting.join()


def log_in() -> str:
    """The cookie of a superuser's session."""
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    return f"sessionid={client.cookies['sessionid'].value}"
