"""A user brings a paper, has it analysed, watches it, and has tried again what failed.

SCREENSHOTS=docs/images pytest tests/e2e/test_papers.py
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import FilePayload, Locator, Page, expect

from jobs.management.embedded import free_port
from processors.papers.demo import TEXTS
from processors.papers.models import Analysis, Paper, ProviderState
from tests.e2e.watching import Watch, follow, log_in
from tests.integration import servers
from tests.integration.workers import Start
from tests.processors.papers.sandbox import ProvidersControl

pytestmark = pytest.mark.browser

TITLE, TEXT = TEXTS["demo-bees"]


@pytest.fixture
def providers(db: None, tmp_path: Path) -> Iterator[tuple[ProvidersControl, dict[str, Any]]]:
    """The simulated ones, and the environment that leads to them."""
    server, environment = servers.simulated_upstreams(tmp_path / "sandbox.log")
    control = ProvidersControl(server.wait_until_up().url)
    yield control, environment
    control.http.close()
    server.kill()


@pytest.fixture
def site(providers: tuple[ProvidersControl, dict[str, Any]], tmp_path: Path) -> Iterator[servers.Server]:
    User.objects.create_user("operator", email="operator@papers.example", password="let me in")  # and no staff
    server = servers.site(tmp_path / "site.log", free_port(), free_port(), **providers[1]).wait_until_up()
    yield server
    server.remove()
    for model in (Paper, ProviderState, User):  # with a paper its analyses
        model.objects.all().delete()


def picture(page: Page, name: str, *kept: str) -> None:
    """In each form nothing is wider than the screen. The `kept` ones are for the documents."""
    for form, scheme, width, height in (
        ("light", "light", 1100, 900),
        ("dark", "dark", 1100, 900),
        ("narrow", "light", 375, 812),
    ):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert beyond == 0, f"{name} is {beyond} px wider than a screen of {width}"
        if form in kept and (folder := os.environ.get("SCREENSHOTS")):
            page.screenshot(path=Path(folder) / f"{name}-{form}.png", full_page=True)
    page.set_viewport_size({"width": 1100, "height": 900})
    page.emulate_media(color_scheme="light")


def upload(page: Page, name: str, content: bytes) -> None:
    file: FilePayload = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.get_by_label("PDF or text file").set_input_files(file)
    follow(page.get_by_role("button", name="Upload"))


def test_a_paper_is_analysed_before_its_owner_s_eyes(
    site: servers.Server, providers: tuple[ProvidersControl, dict[str, Any]], start: Start, page: Page
) -> None:
    control, environment = providers
    start("threads", 8, "ai,default,crm", **environment)
    control.always("anthropic", "refusal")
    control.control("gemini", latency_ms=4000).raise_for_status()
    with Watch(page):
        page.goto(f"{site.url}/papers/")
        log_in(page)
        expect(page.get_by_role("heading", level=1)).to_have_text("Your papers")
        upload(page, "photo.png", b"\x89PNG\0")
        expect(page.get_by_text("neither a PDF nor text")).to_be_visible()
        picture(page, "papers")
        upload(page, "bees.txt", f"{TITLE}\n\n{TEXT}".encode())
        expect(page.get_by_role("heading", level=1)).to_have_text(TITLE)
        page.get_by_label("xai").uncheck()
        picture(page, "paper-new")
        follow(page.get_by_role("button", name="Start the analysis"))

        element = page.locator("job-progress")
        expect(element).to_have_attribute("state", "processing")
        expect(piece(page, "openai")).to_contain_text("Key findings")  # while another is still asked
        expect(piece(page, "gemini")).to_contain_text("Running")
        expect(page.get_by_role("button", name="Start the analysis")).to_be_hidden()
        picture(page, "paper-running", "light")
        expect(element).to_have_attribute("state", "failed")
        expect(page.get_by_role("heading", name="Partly completed")).to_be_visible()
        expect(piece(page, "anthropic")).to_contain_text("Failed")
        expect(page.get_by_role("button", name="Start the analysis")).to_be_visible()
        expect(piece(page, "gemini")).to_contain_text("Key findings")
        page.reload()
        picture(page, "paper-partial", "dark", "narrow")

        control.control("anthropic", faults=[]).raise_for_status()
        follow(page.get_by_role("button", name="Retry what failed"))
        expect(page.get_by_role("heading", name="Completed", exact=True)).to_be_visible()
        expect(piece(page, "anthropic")).to_contain_text("Key findings")
    assert [control.received(name)["total"] for name in ("openai", "gemini", "anthropic", "xai")] == [1, 1, 2, 0]
    assert set(Analysis.objects.values_list("status", flat=True)) == {"done"}


def piece(page: Page, provider: str) -> Locator:
    return page.locator(f"[data-piece={provider}]")
