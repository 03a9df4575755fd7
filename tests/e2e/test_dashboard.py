"""The dashboard as an operator uses it: watched live, a queue paused and resumed, by mouse and by keyboard."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from jobs.management.embedded import free_port
from jobs.models import Event, Queue, Status
from tests.e2e.watching import Watch, follow, log_in
from tests.integration import servers
from tests.integration.jobtypes.tasks import noop, whisper
from tests.integration.workers import Start, Worker, wait_for, wait_for_status

pytestmark = pytest.mark.browser

IS_DRAWN = """canvas => {
    const blank = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    return canvas.toDataURL() !== blank.toDataURL();
}"""


@pytest.fixture
def worker(start: Start) -> Worker:
    return start(queues="default,bgg")


def live(page: Page) -> None:
    expect(page.locator("#live")).to_have_text("live")


def test_the_overview_is_live(site: servers.Server, worker: Worker, gate: Path, page: Page) -> None:
    with Watch(page):
        page.goto(f"{site.url}/")
        assert page.url == f"{site.url}/admin/login/?next=/"
        log_in(page)
        page.wait_for_url(f"{site.url}/")
        live(page)
        running = page.get_by_role("region", name="Running now")
        expect(running).to_contain_text("Nothing runs.")

        job = whisper.enqueue({"secretWord": "sesame", "until": str(gate)}).id
        expect(running.get_by_role("link", name="whisper")).to_be_visible()
        expect(page.get_by_role("link", name=re.compile(r"^Processing\s*1$"))).to_be_visible()

        gate.touch()
        expect(running).to_contain_text("Nothing runs.")
        wait_for_status(job, Status.COMPLETED)
        page.get_by_role("link", name=re.compile(r"^Completed\s*1$")).click()
        page.wait_for_url(f"{site.url}/jobs/?q=status%3Acompleted")


@pytest.mark.usefixtures("operator")
def test_it_says_when_it_is_stale_and_catches_up(worker: Worker, tmp_path: Path, page: Page) -> None:
    site = servers.site(tmp_path / "site.log", free_port(), free_port()).wait_until_up()
    page.goto(f"{site.url}/")
    log_in(page)
    live(page)
    site.kill()
    expect(page.locator("#live")).to_have_text(re.compile(r"stale since \d\d:\d\d"))
    wait_for_status(noop.enqueue({"number": 1}).id, Status.COMPLETED)
    again = servers.site(tmp_path / "again.log", int(site.url.rpartition(":")[2]), free_port())
    try:
        live(page)
        expect(page.get_by_role("link", name=re.compile(r"^Completed\s*1$"))).to_be_visible()
    finally:
        again.kill()


def test_a_queue_is_paused_and_resumed(site: servers.Server, worker: Worker, page: Page) -> None:
    with Watch(page):
        page.goto(f"{site.url}/jobs/queues")
        log_in(page)
        live(page)
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="default"))
        row.get_by_role("button", name="Pause").click()
        dialog = page.get_by_role("dialog", name="Pause queue default?")
        dialog.get_by_label("Reason").fill("upgrade")
        dialog.get_by_role("button", name="Pause").click()
        expect(page.get_by_role("status").filter(has_text="Queue default is paused.")).to_be_visible()
        expect(row).to_contain_text("upgrade")

        job = noop.enqueue({"number": 1}).id
        expect(row.get_by_role("cell").nth(1)).to_have_text("1")  # it waits, and the page knows without a reload
        follow(row.get_by_role("link", name="default"))
        expect(page.get_by_role("region", name="Next in line").get_by_role("link", name="noop")).to_be_visible()
        wait_for_status(job, Status.PENDING)

        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_role("status").filter(has_text="Queue default runs again.")).to_be_visible()
        wait_for_status(job, Status.COMPLETED)
        expect(page.get_by_role("region", name="Next in line")).to_contain_text("Nothing waits.")
    kinds = Event.objects.filter(queue="default").order_by("id").values_list("kind", "actor", "reason")
    assert list(kinds) == [("paused", "operator", "upgrade"), ("resumed", "operator", "")]


def test_a_refresh_leaves_what_is_unfolded_focused_and_drawn(
    site: servers.Server, worker: Worker, gate: Path, page: Page
) -> None:
    whisper.enqueue({"secretWord": "sesame", "until": str(gate)})
    with Watch(page):
        page.goto(f"{site.url}/jobs/workers")
        log_in(page)
        page.get_by_text("1 job", exact=True).click()
        queue = page.get_by_role("link", name="bgg")
        queue.focus()
        whisper.enqueue({"secretWord": "sesame", "until": str(gate)})
        page.get_by_text("2 jobs", exact=True).wait_for()
        expect(page.get_by_role("link", name="whisper")).to_have_count(2)  # it is still unfolded
        expect(queue).to_be_focused()

        page.goto(f"{site.url}/?range=15m")
        live(page)
        charts = page.get_by_role("img", name=re.compile("^Chart: "))
        expect(charts).to_have_count(4)
        for turn in range(2):
            wait_for(lambda: all(chart.evaluate(IS_DRAWN) for chart in charts.all()), f"the charts, {turn}")
            with page.expect_response(lambda answer: answer.request.headers.get("hx-target") == "history"):
                page.evaluate("htmx.ajax('GET', location.href, {target: '#history', swap: 'outerHTML'})")
            expect(charts).to_have_count(4)
        gate.touch()


def test_by_keyboard(site: servers.Server, page: Page) -> None:
    with Watch(page):
        page.goto(f"{site.url}/")
        log_in(page)
        live(page)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("/")
        expect(page.get_by_role("searchbox", name="Search jobs")).to_be_focused()
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.keyboard.press("q")
        page.wait_for_url(f"{site.url}/jobs/queues")
        row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="bgg"))
        row.get_by_role("button", name="Limit").press("Enter")
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.type("9")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").filter(has_text="At most 9 jobs")).to_be_visible()
    assert Queue.objects.get(name="bgg").max_running == 9


def test_the_colours_are_the_systems_until_others_are_chosen(site: servers.Server, page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="dark")
    page.goto(f"{site.url}/")
    log_in(page)
    live(page)
    button = page.get_by_role("button", name="Colours")
    dark = page.evaluate(ground)
    button.click()
    expect(button).to_have_accessible_name("Colours: light")
    light = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == light  # kept
    button.click()
    assert page.evaluate(ground) == dark
    button.click()
    expect(button).to_have_accessible_name("Colours: as the system has them")
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) == light
