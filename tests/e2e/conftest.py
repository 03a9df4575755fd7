"""A real Chromium, and the platform for it to visit."""

import shutil
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection
from playwright.sync_api import Page, expect, sync_playwright

from jobs.management.embedded import free_port
from tests.integration import servers
from tests.integration.conftest import db, gate, start

__all__ = ["db", "gate", "start"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def running_site(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """One for all tests of a file."""
    server = servers.site(tmp_path_factory.mktemp("site") / "log", free_port(), free_port())
    yield server.wait_until_up()
    server.remove()


@pytest.fixture
def operator(db: None) -> Iterator[User]:
    """Somebody who may do everything."""
    yield User.objects.create_superuser("operator", password="let me in")
    User.objects.all().delete()


@pytest.fixture
def site(running_site: servers.Server, operator: User) -> servers.Server:
    """The site, and who may log in there. A test that strikes the site down starts one of its own."""
    return running_site


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
