"""Jobs as an operator works with them in a browser: watched, cancelled, retried, changed, found, exported, in bulk."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, expect

from jobs import lifecycle
from jobs.lifecycle import Error, Outcome, Verb
from jobs.models import Event, Job, Status
from jobs.processor import enqueue_many
from tests.e2e.watching import Watch, follow, log_in
from tests.integration import servers
from tests.integration.jobtypes.tasks import flaky, nap, step_by_step
from tests.integration.workers import PATIENCE, Start, wait_for, wait_for_end, wait_for_status

pytestmark = pytest.mark.browser
LONG = PATIENCE * 1000  # ms


class Browser(NamedTuple):
    page: Page
    site: str

    def show(self, path: str) -> None:
        self.page.goto(f"{self.site}{path}")

    def state(self) -> Locator:
        return self.page.get_by_role("heading", level=1).locator(".badge").first


@pytest.fixture
def browser(site: servers.Server, page: Page) -> Iterator[Browser]:
    """Logged in; at the end nothing came from elsewhere, and the browser had no complaint."""
    with Watch(page):
        page.goto(f"{site.url}/jobs/")
        log_in(page)
        page.wait_for_url(f"{site.url}/jobs/")
        yield Browser(page, site.url)


def failed(count: int) -> list[UUID]:
    """Jobs that failed, and will not when they run again."""
    made = [job.id for job in enqueue_many([("noop", {"number": n}, {"tags": ["night"]}) for n in range(count)])]
    claimed = lifecycle.claim_these(made, worker="gone:1", lease=60.0)
    error = Error("ConnectionError", "nobody there", "Traceback (most recent call last) …", "permanent")
    lifecycle.finish([Outcome(*job.key, Verb.FAIL, error=error) for job in claimed])
    assert Job.objects.filter(id__in=made, status=Status.FAILED).count() == count
    return made


def test_a_job_is_watched_and_another_one_cancelled(start: Start, gate: Path, browser: Browser) -> None:
    page = browser.page
    start()
    job = step_by_step.enqueue({"total": 4, "pause": 0.2, "lines": 1, "until": str(gate), "secretWord": "sesame"}).id
    browser.show(f"/jobs/{job}")
    page.evaluate("window.unloaded = false; addEventListener('pagehide', () => { window.unloaded = true; })")
    expect(browser.state()).to_have_text("processing")
    bar = page.get_by_role("region", name="Progress").get_by_role("progressbar")
    expect(bar).to_have_attribute("value", re.compile("^(25|50|75|100)$"))
    expect(page.get_by_role("list", name="Lines of the log")).to_contain_text("step 1, line 0 ***")
    gate.touch()
    expect(browser.state()).to_have_text("completed", timeout=LONG)
    expect(page.locator("#result")).to_be_visible()
    assert "sesame" not in page.content()
    assert page.evaluate("window.unloaded") is False  # all of this without asking for the page again

    gate.unlink()
    sleeper = nap.enqueue({"journal": str(gate.parent / "journal"), "until": str(gate)}).id
    wait_for_status(sleeper, Status.PROCESSING)
    browser.show("/jobs/?q=status:processing")
    follow(page.get_by_role("link", name="nap", exact=True))
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_label("Reason").fill("slept enough")
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_text("The job was asked to stop.")).to_be_visible()
    expect(browser.state()).to_have_text("cancelled", timeout=LONG)
    event = Event.objects.get(job=sleeper)
    assert (event.kind, event.actor, event.reason) == ("cancel requested", "operator", "slept enough")


def test_a_failed_job_is_retried_and_another_one_runs_again_changed(start: Start, browser: Browser) -> None:
    page = browser.page
    (broken,) = failed(1)
    start()
    browser.show("/jobs/?q=status:failed")
    row = page.get_by_role("row").filter(has_text="nobody there")
    follow(row.get_by_role("link", name="noop"))
    expect(page.get_by_text("Traceback (most recent call last)").first).to_be_visible()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("The job will run again.")).to_be_visible()
    expect(browser.state()).to_have_text("completed", timeout=LONG)
    assert Event.objects.get(job=broken).actor == "operator"

    hopeless = flaky.enqueue({"times": 3}).id
    wait_for_status(hopeless, Status.FAILED)
    browser.show(f"/jobs/{hopeless}")
    expect(page.locator("details.attempt")).to_have_count(3)
    follow(page.get_by_role("link", name="Edit and run again"))
    page.get_by_label("Times").fill("1")
    page.get_by_role("button", name="Run as a new job").click()
    expect(page.get_by_text("This is the new job.")).to_be_visible()
    expect(browser.state()).to_have_text("completed", timeout=LONG)
    changed = Job.objects.get(parent=hopeless)
    assert (changed.payload["times"], changed.result, changed.created_by) == (1, 2, "operator")
    follow(page.get_by_role("region", name="What it belongs to").get_by_role("link", name="flaky"))
    page.wait_for_url(f"{browser.site}/jobs/{hopeless}")


def test_a_thousand_failed_jobs_are_retried_by_a_filter(start: Start, browser: Browser, tmp_path: Path) -> None:
    page = browser.page
    jobs = failed(1000)
    start(concurrency=8)
    page.get_by_label("Query").fill("tag:night")
    follow(page.get_by_role("button", name="Search"))
    follow(page.get_by_role("navigation", name="States").get_by_role("link", name=re.compile("Failed")))
    expect(page.get_by_role("navigation", name="States")).to_contain_text("Failed 1,000")

    # Ticks are not lost when something changes.
    page.get_by_label("Select all on this page").check()
    expect(page.get_by_text("50 selected")).to_be_visible()
    page.get_by_role("button", name="Select all 1,000 that match").click()
    expect(page.get_by_text("All 1,000 jobs that match are selected")).to_be_visible()
    page.locator("#do").get_by_role("button", name="Retry").click()
    expect(page.get_by_role("heading", name="Retry 1,000 jobs?")).to_be_visible()
    page.get_by_label("Reason").fill("they are back")
    page.get_by_role("button", name="Retry 1,000 jobs").click()

    # It is a job, and its page says how it goes.
    expect(page.get_by_role("heading", name="bulk_operation")).to_be_visible()
    expect(browser.state()).to_have_text("completed", timeout=LONG)
    expect(page.locator("#result")).to_contain_text('"changed": 1000')
    wait_for_end(jobs)
    assert Job.objects.filter(id__in=jobs, status=Status.COMPLETED).count() == 1000
    assert Event.objects.filter(job__in=jobs, kind="retried", actor="operator", reason="they are back").count() == 1000

    # Found by a field of the payload, and taken along.
    browser.show("/jobs/?q=tag:night")
    page.get_by_label("Query").fill("tag:night payload.number:777")
    page.get_by_label("Query").press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("row").nth(1).get_by_role("link", name="noop")).to_have_attribute(
        "href", f"/jobs/{jobs[777]}"
    )
    page.get_by_label("Query").fill("tag:night")
    page.get_by_label("Query").press("Enter")
    expect(page.get_by_role("row")).to_have_count(51)
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "jobs.csv")
    with (tmp_path / "jobs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["id"] for row in rows} == {str(job) for job in jobs}
    assert {row["status"] for row in rows} == {"completed"}


def test_a_job_is_made_in_the_browser(start: Start, browser: Browser) -> None:
    page = browser.page
    start()
    follow(page.get_by_role("link", name="New job").first)
    page.get_by_label("Search among the types").fill("give the number")
    expect(page.locator("#types a:visible")).to_have_count(1)
    follow(page.get_by_role("link", name=re.compile("^noop")))
    page.get_by_label("Number").fill("7")
    page.get_by_label("Tags").fill("by hand")
    page.get_by_role("button", name="Enqueue").click()
    expect(page.get_by_text("The job is enqueued.")).to_be_visible()
    expect(browser.state()).to_have_text("completed", timeout=LONG)
    wait_for(lambda: Job.objects.filter(tags=["by hand"], result=7, created_by="operator").exists(), "the job")
