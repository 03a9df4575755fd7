"""Flower as an operator sees it in a browser, from the site's log-in on."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from jobs import lifecycle
from jobs.management.embedded import free_port
from jobs.models import Event, Job, Status
from jobs.processor import enqueue, enqueue_many
from tests.integration import servers
from tests.integration.jobtypes.tasks import whisper
from tests.integration.workers import Start, Worker, wait_for, wait_for_status

pytestmark = pytest.mark.browser


class Platform(NamedTuple):
    site: str
    flower: str
    worker: Worker


@pytest.fixture
def platform(start: Start, tmp_path: Path) -> Iterator[Platform]:
    """The site, Flower, simulated upstreams and a worker that calls them."""
    ports = free_port(), free_port()
    site = servers.site(tmp_path / "site.log", *ports)
    flower = servers.flower(tmp_path / "flower.log", *reversed(ports))
    upstreams, environment = servers.simulated_upstreams(tmp_path / "upstreams.log")
    started = (site, flower, upstreams)
    User.objects.create_superuser("operator", password="let me in")
    worker = start(queues="default,bgg", **environment)
    for server in started:
        server.wait_until_up()
    yield Platform(site.url, f"{flower.url}/flower", worker)
    for server in started:
        server.remove()
    User.objects.all().delete()


def log_in(page: Page) -> None:
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill("let me in")
    page.get_by_role("button", name="Log in").click()


def row_of(page: Page, address: str, *texts: object) -> str:
    """The text of the table row with all of this in it. Flower may hear of it only after the page was asked for."""
    row = page.get_by_role("row")
    for text in texts:
        row = row.filter(has_text=str(text))

    def is_there() -> bool:
        page.goto(address, wait_until="networkidle")
        return row.count() == 1

    wait_for(is_there, f"{texts} at {address}")
    return " ".join(row.inner_text().split())


def test_an_operator_watches_and_revokes(platform: Platform, gate: Path, page: Page) -> None:
    visited: set[str] = set()
    page.on("request", lambda request: visited.add(urlsplit(request.url).hostname or ""))

    page.goto(f"{platform.flower}/tasks")
    assert page.url.startswith(f"{platform.site}/admin/login/")  # anonymous visitors get none of it
    log_in(page)
    page.wait_for_url(f"{platform.flower}/tasks")

    row_of(page, f"{platform.flower}/", platform.worker.node, "Online")

    synced = enqueue("bgg_sync", {"gameId": "13"}).id
    running = whisper.enqueue({"secretWord": "sesame", "until": str(gate)}).id
    enqueue_many([("noop", {}, {"queue": "cpu"})] * 3)
    wait_for_status(synced, Status.COMPLETED)
    wait_for_status(running, Status.PROCESSING)

    assert re.fullmatch(r"cpu 3 0 3 0 .", row_of(page, f"{platform.flower}/broker", "cpu"))
    row_of(page, f"{platform.flower}/tasks", synced, "bgg_sync", "SUCCESS", "'gameId': '13'")
    row_of(page, f"{platform.flower}/tasks", running, "whisper", "STARTED", "'***'")
    assert "sesame" not in page.content()

    page.goto(f"{platform.flower}/task/{running}")
    page.get_by_role("button", name="Terminate").click()
    expect(page.get_by_text(f"Revoked '{running}'")).to_be_visible()
    wait_for_status(running, Status.CANCELLED)
    assert Event.objects.get(job=running).actor == "operator"

    lifecycle.retry([running], actor="operator")
    gate.touch()
    wait_for_status(running, Status.COMPLETED)
    assert Job.objects.get(id=running).run == 2

    page.goto(f"{platform.flower}/")
    page.get_by_role("link", name=re.compile("Log out")).click()
    assert page.url.startswith(f"{platform.site}/admin/login/")
    page.goto(f"{platform.flower}/tasks")
    assert page.url.startswith(f"{platform.site}/admin/login/")
    assert visited == {"127.0.0.1"}  # nothing is loaded from elsewhere
