"""What the browser asked for and complained about while a test used it."""

from typing import Self
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page

# What htmx says of a refresh that a click on a link cut short. Of one that failed it says more.
CUT_SHORT = ("htmx:afterRequest,", "htmx:sendAbort,")


class Watch:
    """Attach before the first page; at the end nothing may have come from elsewhere or been complained about."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))
        page.on("console", lambda message: self._note(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._note(str(error)))

    def _note(self, text: str) -> None:
        if not text.startswith(CUT_SHORT):
            self.complaints.append(f"{self._page.url}: {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            assert self.hosts - {""} == {"127.0.0.1"}  # a file that is made in the page has no host
            assert not self.complaints, self.complaints


def log_in(page: Page) -> None:
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill("let me in")
    page.get_by_role("button", name="Log in").click()


def follow(link: Locator) -> None:
    """Go where it leads, and wait until that page's scripts have run: buttons do nothing before."""
    with link.page.expect_navigation():
        link.click()
