"""A real Chromium, and the platform for it to visit."""

import shutil
from collections.abc import Iterator

import pytest
from django.db import connection
from playwright.sync_api import Page, expect, sync_playwright

from tests.integration.conftest import db, gate, start

__all__ = ["db", "gate", "start"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A page of a fresh browser; the last fixture of a test, since processes inherit what it sets.

    In place of pytest-playwright's, which lives as long as the session, and with it an event loop in this thread:
    Django would refuse to work in all tests that follow.
    """
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield page
        connection.close()  # within the loop a test has one of its own
        browser.close()
