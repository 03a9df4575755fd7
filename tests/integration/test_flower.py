"""A real Flower beside real workers: what it shows, to whom, and what its buttons do."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from flower.urls import handlers
from tornado.routing import URLSpec

from jobs import lifecycle
from jobs.management.embedded import free_port
from jobs.models import Event, Job, Status, Worker
from jobs.processor import enqueue_many
from tests.integration import servers
from tests.integration.jobtypes.tasks import noop, whisper
from tests.integration.workers import Start, wait_for, wait_for_end, wait_for_status

OPEN = {"/metrics", "/healthcheck", "/static/x", "/login", "/logout"}  # the last two lead to the site


SITE_PORT = 8123  # where nothing listens: the way to the site is looked at, not gone


class Flower:
    """Flower, and visits to it."""

    def __init__(self, server: servers.Server) -> None:
        self.url = f"{server.url}/flower"

    def visit(self, session: str = "") -> httpx2.Client:
        """A browser with this session of the site, or with none. It can post, as Flower's pages do."""
        cookies = {"_xsrf": "token"} | ({"sessionid": session} if session else {})
        return httpx2.Client(base_url=self.url, cookies=cookies, headers={"X-XSRFToken": "token"})


@pytest.fixture(scope="module")
def flower(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flower]:
    server = servers.flower(tmp_path_factory.mktemp("flower") / "log", free_port(), SITE_PORT)
    yield Flower(server.wait_until_up())
    server.remove()


@pytest.fixture
def site(db: None) -> Iterator[Client]:
    """The site, where one logs in."""
    yield Client()
    User.objects.all().delete()


def log_in(site: Client, *permissions: str) -> str:
    """As staff with these permissions. Returns the session's key."""
    user = User.objects.create_user("operator", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    site.force_login(user)
    return site.cookies["sessionid"].value


@pytest.fixture
def operator(flower: Flower, site: Client) -> Iterator[httpx2.Client]:
    with flower.visit(log_in(site, "view_job", "cancel_job", "add_job", "drain_worker")) as client:
        yield client


def know_worker(operator: httpx2.Client, node: str) -> None:
    """Wait until Flower hears its events."""
    wait_for(lambda: node in operator.get("/?json=1").text, "Flower to know the worker")


def task(operator: httpx2.Client, job: UUID) -> dict[str, Any]:
    shown: dict[str, Any] = operator.get(f"/api/task/info/{job}").json()
    return shown


def shows(operator: httpx2.Client, job: UUID, state: str) -> bool:
    answer = operator.get(f"/api/task/info/{job}")
    return answer.status_code == 200 and answer.json()["state"] == state


def routes() -> Iterator[str]:
    """Every address of Flower's, but for the catch-all."""
    for handler in handlers:
        pattern = handler.regex.pattern.rstrip("$") if isinstance(handler, URLSpec) else handler[0]
        if pattern != ".*":
            yield re.sub(r"\(\.[+*]\)", "x", pattern.removesuffix("/?"))


def test_anonymous_visitors_get_none_of_it(flower: Flower) -> None:
    with flower.visit() as anybody, flower.visit("made-up") as impostor:
        for path in routes():
            for visitor in (anybody, impostor):
                answers = visitor.get(path), visitor.post(path)
                if path not in OPEN:
                    assert {answer.status_code for answer in answers} <= {302, 401, 403, 405}, path
                for answer in answers:
                    if answer.status_code == 302 and path not in OPEN:
                        assert answer.headers["Location"].startswith("/flower/login?next=%2Fflower"), path
    assert len(list(routes())) >= 30


def test_whoever_is_not_logged_in_is_sent_to_the_site(flower: Flower) -> None:
    with flower.visit() as anybody:
        login = anybody.get("/tasks?search=x").headers["Location"]
        answer = httpx2.get(f"{flower.url.removesuffix('/flower')}{login}")
        assert answer.headers["Location"] == f"http://127.0.0.1:{SITE_PORT}/flower/tasks?search=x"
        elsewhere = anybody.get("/login?next=//evil.example/").headers["Location"]
        assert elsewhere == f"http://127.0.0.1:{SITE_PORT}/flower"


def test_logging_out_of_the_site_works_at_once(flower: Flower, site: Client) -> None:
    with flower.visit(log_in(site, "view_job")) as watcher:
        assert watcher.get("/tasks").status_code == 200
        site.logout()
        assert watcher.get("/tasks").status_code == 302
        assert watcher.get("/api/tasks").status_code == 401


def test_logging_out_of_flower_is_logging_out_of_the_site(flower: Flower, site: Client) -> None:
    with flower.visit(log_in(site, "view_job")) as watcher:
        watcher.get("/logout", headers={"Sec-Fetch-Site": "cross-site"})
        assert watcher.get("/tasks").status_code == 200
        watcher.get("/logout", headers={"Sec-Fetch-Site": "same-origin"})
        assert watcher.get("/tasks").status_code == 302


def test_who_may_only_look_cannot_act(flower: Flower, site: Client) -> None:
    job = noop.enqueue({}, queue="cpu").id
    with flower.visit(log_in(site, "view_job")) as watcher:
        assert watcher.get("/api/queues/length").status_code == 200
        assert watcher.post(f"/api/task/revoke/{job}").status_code == 403
        assert watcher.post("/api/task/async-apply/noop").status_code == 403
    assert Job.objects.get().status == Status.PENDING


def test_acting_needs_the_permission_for_it_and_is_recorded(flower: Flower, site: Client) -> None:
    actions = {
        "/api/task/revoke/0192f000-0000-7000-8000-000000000000": "cancel_job",
        "/api/task/async-apply/noop": "add_job",
        "/api/worker/pool/grow/nobody@nowhere": "drain_worker",
        "/api/worker/shutdown/nobody@nowhere": "drain_worker",
    }
    for action, needed in actions.items():
        others = set(actions.values()) - {needed}
        with flower.visit(log_in(site, "view_job", *others)) as visitor:
            assert visitor.post(action).status_code == 403
        User.objects.all().delete()
    assert not Event.objects.exists()
    with flower.visit(log_in(site, "view_job", *actions.values())) as visitor:
        assert {visitor.post(action).status_code for action in actions} <= {200, 404}
    assert list(Event.objects.order_by("id").values_list("subject", "kind", "actor")) == [
        ("job type noop", "task async-apply in Flower", "operator"),
        ("worker nobody@nowhere", "worker pool grow in Flower", "operator"),
        ("worker nobody@nowhere", "worker shutdown in Flower", "operator"),
    ]


def test_posts_of_other_sites_are_refused(operator: httpx2.Client) -> None:
    job = noop.enqueue({}, queue="cpu").id
    for headers in ({"X-XSRFToken": "another"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
        assert operator.post(f"/api/task/revoke/{job}", headers=headers).status_code == 403
    assert Job.objects.get().status == Status.PENDING


def test_jobs_are_shown_live_and_without_their_secrets(start: Start, operator: httpx2.Client, gate: Path) -> None:
    worker = start(queues="default")
    know_worker(operator, worker.node)
    ended = whisper.enqueue({"secretWord": "sesame"}).id
    failed = whisper.enqueue({"secretWord": "sesame", "fails": True}, max_attempts=1).id
    again = whisper.enqueue({"secretWord": "sesame", "fails": True}).id
    running = whisper.enqueue({"secretWord": "sesame", "until": str(gate)}).id
    states = {ended: "SUCCESS", failed: "FAILURE", again: "RETRY", running: "STARTED"}
    for job, state in states.items():
        wait_for(partial(shows, operator, job, state), f"{state} of {job}")
    for job in states:
        shown = task(operator, job)
        assert (shown["name"], shown["args"], shown["worker"]) == ("whisper", "()", worker.node)
        assert "'secretWord': '***'" in shown["kwargs"]
    assert task(operator, ended)["result"] == '"was not heard"'
    assert task(operator, ended)["runtime"] > 0
    assert task(operator, failed)["exception"] == "ValueError: was heard: ***"
    assert "Traceback" in task(operator, failed)["traceback"]
    pages = [operator.get(path).text for path in ("/api/tasks", *(f"/task/{job}" for job in states))]
    assert all("whisper" in page and "sesame" not in page for page in pages)
    assert "sesame" not in worker.log.read_text()
    [counted] = [row for row in operator.get("/?json=1").json()["data"] if row["hostname"] == worker.node]
    assert counted["task-received"] == 4


def test_queues_are_shown_with_what_waits_in_postgres(start: Start, operator: httpx2.Client, gate: Path) -> None:
    Worker.objects.all().delete()  # of workers that were killed
    know_worker(operator, start().node)
    running = whisper.enqueue({"secretWord": "", "until": str(gate)}).id
    wait_for_status(running, Status.PROCESSING)
    enqueue_many([("noop", {}, {"queue": "cpu"})] * 3 + [("noop", {}, {"queue": "bgg"})] * 2)
    queues = operator.get("/api/queues/length").json()["active_queues"]
    shown = {queue["name"]: (queue["messages"], queue["consumers"]) for queue in queues}
    others = dict.fromkeys(settings.JOBS_QUEUES, (0, 0))
    assert shown == {**others, "bgg": (2, 0), "cpu": (3, 0), "default": (0, 1)}
    page = re.sub(r"<[^>]*>|\s", " ", operator.get("/broker").text)
    assert re.search(r" cpu +3 +0 +3 +0 ", page)
    assert re.search(r" default +0 +1 +0 +1 ", page)


def test_revoke_cancels_a_running_job_which_can_be_retried(start: Start, operator: httpx2.Client, gate: Path) -> None:
    worker = start()
    know_worker(operator, worker.node)
    job = whisper.enqueue({"secretWord": "", "until": str(gate)}).id
    wait_for(lambda: shows(operator, job, "STARTED"), "the job to be shown as running")
    answer = operator.post(f"/api/task/revoke/{job}", params={"terminate": "true"})
    assert answer.json() == {"message": f"Revoked '{job}'"}
    wait_for_status(job, Status.CANCELLED)
    assert Event.objects.get(job=job).actor == "operator"
    wait_for(lambda: shows(operator, job, "REVOKED"), "the job to be shown as revoked")
    lifecycle.retry([job], actor="test")
    wait_for(lambda: shows(operator, job, "STARTED"), "the job to be shown as running again")
    gate.touch()
    assert wait_for_status(job, Status.COMPLETED).run == 2
    wait_for(lambda: shows(operator, job, "SUCCESS"), "the job to be shown as completed")


def test_revoke_cancels_a_waiting_job_at_once(start: Start, operator: httpx2.Client) -> None:
    know_worker(operator, start().node)
    job = whisper.enqueue({"secretWord": "", "fails": True}).id
    wait_for(lambda: shows(operator, job, "RETRY"), "its failed attempt")
    operator.post(f"/api/task/revoke/{job}")
    assert Job.objects.get(id=job).status == Status.CANCELLED
    wait_for(lambda: shows(operator, job, "REVOKED"), "the job to be shown as revoked")
    operator.post("/api/task/revoke/no-job")


def test_its_other_buttons_make_jobs_too(start: Start, operator: httpx2.Client) -> None:
    know_worker(operator, start().node)
    answer = operator.post("/api/task/async-apply/noop", json={"kwargs": {"number": 3}}).json()
    wait_for_end([answer["task-id"]])
    assert operator.get(f"/api/task/result/{answer['task-id']}").json()["result"] == 3


def test_workers_keep_their_settings_secret(start: Start, operator: httpx2.Client) -> None:
    worker = start()
    know_worker(operator, worker.node)
    wait_for(lambda: operator.get(f"/worker/{worker.node}").status_code == 200, "the worker's page")
    password = settings.REDIS_URL.split(":")[2].split("@")[0]
    for shown in (operator.get(f"/worker/{worker.node}").text, operator.get("/api/workers?refresh=1").text):
        assert "CELERY_TASK_DEFAULT_QUEUE" in shown
        assert password not in shown
        assert settings.SECRET_KEY not in shown


def test_it_finds_postgres_again(operator: httpx2.Client) -> None:
    assert operator.get("/api/queues/length").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'jobyard flower'"
        )
        assert cursor.rowcount > 0
    assert operator.get("/api/queues/length").status_code == 200
