"""Every page in every form: light, dark, narrow. With the name of a folder in SCREENSHOTS, pictures for the docs too.

SCREENSHOTS=docs/images pytest tests/e2e/test_pages.py
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from django_celery_beat.models import CrontabSchedule, PeriodicTask
from playwright.sync_api import Page, expect

from benchmarks import fill
from jobs.models import (
    Alert,
    AlertRule,
    ErrorGroup,
    ErrorRollup,
    Job,
    LogLine,
    RolledUp,
    Rollup,
    ScheduleRun,
    Status,
)
from tests.e2e.watching import Watch, log_in
from tests.integration import servers

pytestmark = pytest.mark.browser

JOBS = 5_000
PICTURED = {
    "overview",
    "queues",
    "queue",
    "workers",
    "errors",
    "error",
    "audit",
    "alerts",
}  # the others by tests of theirs
NARROW = {"overview", "queues"}


class Form(NamedTuple):
    name: str
    scheme: str
    width: int
    height: int


FORMS = [Form("light", "light", 1440, 900), Form("dark", "dark", 1440, 900), Form("narrow", "light", 375, 812)]


@pytest.fixture
def history(db: None) -> Iterator[None]:
    """A few days of it."""
    fill.fill(JOBS)
    rule = AlertRule.objects.create(name="Backlog of board games", kind="backlog", queue="bgg", threshold=10)
    Alert.objects.create(rule=rule, subject="bgg", message="Queue bgg: 18 jobs wait, more than 10", value=18)
    nightly = CrontabSchedule.objects.create(minute="7", hour="2", timezone="Europe/London")
    PeriodicTask.objects.create(name="Nightly sync", task="noop", crontab=nightly)
    yield
    rule.delete()
    nightly.delete()  # with its schedule
    for model in (ErrorGroup, ErrorRollup, LogLine, RolledUp, Rollup, ScheduleRun):
        model.objects.all().delete()


def pages() -> dict[str, str]:
    """Name and address of each."""
    failed = Job.objects.filter(status=Status.FAILED).order_by("-finished_at")[0]
    running = Job.objects.filter(status=Status.PROCESSING).order_by("-id")[0]
    kind = ErrorGroup.objects.order_by("-last_seen_at")[0]
    return {
        "overview": "/",
        "jobs": "/jobs/?q=status%3Afailed",
        "job-failed": f"/jobs/{failed.pk}",
        "job-running": f"/jobs/{running.pk}",
        "new": "/jobs/new",
        "queues": "/jobs/queues",
        "queue": "/jobs/queues/bgg",
        "workers": "/jobs/workers",
        "schedules": "/jobs/schedules",
        "errors": "/jobs/errors",
        "error": f"/jobs/errors/{kind.pk}",
        "audit": "/jobs/audit",
        "alerts": "/jobs/alerts",
    }


@pytest.mark.usefixtures("history")
def test_every_page_is_whole_and_nothing_is_wider_than_the_screen(site: servers.Server, page: Page) -> None:
    with Watch(page):
        page.goto(f"{site.url}/jobs/audit")
        log_in(page)
        page.wait_for_url(f"{site.url}/jobs/audit")
        for form, (name, address) in itertools.product(FORMS, pages().items()):
            page.set_viewport_size({"width": form.width, "height": form.height})
            page.emulate_media(color_scheme=form.scheme)  # type: ignore[arg-type]
            fill.beat()
            page.goto(f"{site.url}{address}")
            expect(page.locator("#live")).to_have_text("live")
            expect(page.get_by_role("heading", level=1)).to_have_count(1)
            beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert beyond == 0, f"{name}, {form.name}, is {beyond} px wider than the screen"
            if name in (NARROW if form.name == "narrow" else PICTURED):
                picture(page, f"{name}-{form.name}")


def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=name in ("overview-light", "overview-dark"))
