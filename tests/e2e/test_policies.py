"""What a real browser makes of the policies: nothing of ours breaks them, and nothing comes from elsewhere."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from playwright.sync_api import Page, Response, expect

from jobs.processor import enqueue
from jobs.testing import perform
from tests.e2e.watching import Watch, log_in
from tests.integration import servers
from tests.integration.jobtypes import tasks as tasks  # registers them

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("db")]


@pytest.fixture
def watched(page: Page) -> Iterator[Page]:
    """A page that is asked at the end for complaints, pages without a strict policy, and other hosts."""
    without: list[str] = []

    def see(response: Response) -> None:
        if "text/html" in response.headers.get("content-type", ""):
            policy = response.headers.get("content-security-policy", "")
            if "default-src 'none'" not in policy or "//" in policy:
                without.append(response.url)

    page.on("response", see)
    with Watch(page):
        yield page
    assert without == []


def enter(page: Page, site: str) -> None:
    page.goto(f"{site}/admin/")
    log_in(page)
    page.wait_for_url(f"{site}/**")


def test_the_admin_works_under_its_policy(site: servers.Server, watched: Page) -> None:
    failed = perform(enqueue("flaky", {"times": 9}, max_attempts=1))
    waiting = enqueue("noop")
    enter(watched, site.url)
    watched.goto(f"{site.url}/admin/jobs/job/", wait_until="networkidle")
    links = watched.get_by_role("link").evaluate_all("links => links.map(link => link.href)")
    lists = {link for link in links if re.fullmatch(rf"{site.url}/admin/\w+/\w+/", link)}
    assert len(lists) > 12
    for address in sorted(lists):
        watched.goto(address, wait_until="networkidle")
        if watched.locator(f"a[href$='{urlsplit(address).path}add/']").count():
            watched.goto(f"{address}add/", wait_until="networkidle")
    watched.goto(f"{site.url}/admin/jobs/job/{failed.pk}/change/", wait_until="networkidle")
    expect(watched.get_by_text("attempt 1 fails").first).to_be_visible()
    watched.goto(f"{site.url}/admin/jobs/job/{waiting.id}/change/", wait_until="networkidle")
    watched.get_by_role("link", name="Cancel").or_(watched.get_by_role("button", name="Cancel")).first.click()
    watched.get_by_label("Reason").fill("no guests")
    watched.get_by_role("button", name="Cancel the job").click()
    expect(watched.get_by_text("1 job cancelled")).to_be_visible()


def test_the_pages_of_the_api_work_under_it(site: servers.Server, watched: Page) -> None:
    watched.goto(f"{site.url}/api/docs", wait_until="networkidle")
    watched.locator(".opblock-summary").first.click()
    expect(watched.locator(".opblock-body").first).to_be_visible()


def test_the_dashboard_works_under_the_strict_one(site: servers.Server, watched: Page) -> None:
    failed = perform(enqueue("flaky", {"times": 9}, max_attempts=1))
    enter(watched, site.url)
    names = ("overview", "jobs", "new", "queues", "workers", "schedules", "new-schedule", "errors", "audit", "alerts")
    addresses = [reverse(f"dashboard:{name}") for name in names]
    addresses += [
        reverse("dashboard:job", args=[failed.pk]),
        reverse("dashboard:rerun", args=[failed.pk]),
        reverse("dashboard:queue", args=["default"]),
        f"{reverse('dashboard:jobs')}?q=status:failed",
        f"{reverse('dashboard:bulk')}?action=retry&q=status:failed",
    ]
    for address in addresses:
        response = watched.goto(f"{site.url}{address}", wait_until="load")
        assert response is not None
        assert response.status == 200, address
        expect(watched.locator("main")).to_be_visible()
        watched.wait_for_function("document.readyState === 'complete'")
