"""`<job-progress>` on a page of an application, under a strict policy, in front of a real worker."""

from pathlib import Path
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.template import Context, Template
from django.test import Client
from playwright.sync_api import Page, Route, expect

from jobs import lifecycle
from jobs.management.embedded import free_port
from jobs.models import Job, Status
from tests.e2e.watching import Watch
from tests.integration import servers
from tests.integration.jobtypes.tasks import step_by_step, whisper
from tests.integration.workers import Start, wait_for_status

pytestmark = pytest.mark.browser

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'"
PAGE = Template(
    "{% load jobyard %}<!doctype html><html lang=en><meta charset=utf-8><title>Shop</title>"
    "{% job_progress job ttl=ttl %}"
)


def show(page: Page, site: servers.Server, job: UUID, ttl: float = 600) -> None:
    """Open a page that shows the job to somebody who is not logged in."""
    html = PAGE.render(Context({"job": job, "ttl": ttl}))

    def answer(route: Route) -> None:
        route.fulfill(body=html, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    page.route(f"{site.url}/shop", answer)
    page.add_init_script(
        """
        window.told = [];
        const tell = ({ type, detail }) => told.push([type, detail.status, detail.progress]);
        for (const name of ["job-change", "job-end", "job-error"]) document.addEventListener(name, tell);
        """
    )
    page.goto(f"{site.url}/shop")


def test_a_job_is_watched_to_its_end(site: servers.Server, start: Start, gate: Path, page: Page) -> None:
    start()
    job = step_by_step.enqueue({"total": 4, "pause": 0.3, "until": str(gate), "secretWord": "sesame"}).id
    with Watch(page):
        show(page, site, job)
        bar = page.get_by_role("progressbar", name="Progress")
        expect(bar).to_have_attribute("aria-valuenow", "100")
        expect(bar).to_have_attribute("aria-valuetext", "Running, 100 %, step 4")
        expect(page.get_by_text("step 4")).to_be_visible()
        expect(page.locator("job-progress")).to_have_attribute("connection", "live")
        gate.touch()
        expect(page.get_by_text("Completed")).to_be_visible()
        expect(page.locator("job-progress")).to_have_attribute("state", "completed")
        told = page.evaluate("told")
        assert told[-2:] == [["job-change", "completed", 100], ["job-end", "completed", 100]]
        assert {"processing"} <= {status for _, status, _ in told}
        assert "sesame" not in page.content()


def test_a_failure_says_why(site: servers.Server, start: Start, page: Page) -> None:
    start()
    job = whisper.enqueue({"secretWord": "sesame", "fails": True}, max_attempts=1).id
    with Watch(page):
        show(page, site, job)
        expect(page.get_by_role("alert")).to_have_text("was heard: ***")
        expect(page.locator("job-progress")).to_have_attribute("state", "failed")


def test_it_comes_back_after_the_site_was_away(start: Start, gate: Path, page: Page, tmp_path: Path) -> None:
    site = servers.site(tmp_path / "site.log", free_port(), free_port()).wait_until_up()
    start()
    job = step_by_step.enqueue({"total": 1, "until": str(gate)}).id
    show(page, site, job)
    element = page.locator("job-progress")
    expect(element).to_have_attribute("connection", "live")
    site.kill()
    expect(element).to_have_attribute("connection", "polling")
    port = int(site.url.rpartition(":")[2])
    again = servers.site(tmp_path / "again.log", port, free_port()).wait_until_up()
    try:
        expect(element).to_have_attribute("connection", "live")
        gate.touch()
        expect(element).to_have_attribute("state", "completed")
    finally:
        again.kill()


def test_without_events_it_reads_the_job(site: servers.Server, start: Start, gate: Path, page: Page) -> None:
    start()
    job = step_by_step.enqueue({"total": 2, "until": str(gate)}).id
    page.route("**/events?*", lambda route: route.abort())
    show(page, site, job)
    element = page.locator("job-progress")
    expect(element).to_have_attribute("state", "processing")
    expect(element).to_have_attribute("connection", "polling")
    gate.touch()
    expect(element).to_have_attribute("state", "completed")


def test_a_token_whose_time_is_over_shows_nothing(site: servers.Server, page: Page) -> None:
    job = step_by_step.enqueue({}).id
    show(page, site, job, ttl=-1)
    expect(page.get_by_role("alert")).to_have_text("The token is wrong or its time is over.")
    assert page.evaluate("told.map(([type]) => type)") == ["job-error"]


def test_staff_s_pages_enqueue_and_ask(site: servers.Server, operator: User, start: Start, page: Page) -> None:
    start()
    client = Client()
    client.force_login(operator)
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": site.url}])
    page.goto(f"{site.url}/jobs/queues")  # a page that gives the CSRF cookie
    made, lines, counts, health, refused = page.evaluate(
        """async () => {
            const jobs = await import("/static/jobs/progress.js");
            const made = await jobs.createJob("step_by_step", { total: 1 }, { priority: "high" });
            const [lines, onLog] = [[], (line) => lines.push(line.message)];
            const end = await new Promise((onEnd) => jobs.follow(made.jobId, { onEnd, onLog }));
            const refused = await jobs.createJob("step_by_step", { total: "one" }).catch((error) => error);
            const why = [refused.status, refused.problem.errors[0].loc];
            return [end, lines, await jobs.queueStatus(), await jobs.health(), why];
        }"""
    )
    assert (made["status"], made["result"], made["priority"], lines) == ("completed", 1, 8, ["done"])
    assert counts == {
        "waiting": 0,
        "active": 0,
        "completed": 1,
        "failed": 0,
        "delayed": 0,
        "paused": 0,
        "approximate": False,
    }
    assert {"healthy", "issues"} <= health.keys()
    assert refused == [422, ["body", "payload", "total"]]
    assert Job.objects.get(id=made["id"]).created_by == "operator"


def test_another_job_in_the_same_element(site: servers.Server, page: Page) -> None:
    """As frameworks do it: the attributes change, the element stays."""
    first, second = (step_by_step.enqueue({}, delay=600).id for _ in range(2))
    lifecycle.cancel([second], actor="test")
    wait_for_status(second, Status.CANCELLED)
    show(page, site, first)
    element = page.locator("job-progress")
    expect(element).to_have_attribute("state", "scheduled")
    other = Template("{% load jobyard %}{% read_token job %}").render(Context({"job": second}))
    element.evaluate(
        "(it, [job, token]) => { it.setAttribute('job-id', job); it.setAttribute('token', token); }",
        [str(second), other],
    )
    expect(element).to_have_attribute("state", "cancelled")
