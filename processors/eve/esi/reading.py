"""Reading an endpoint whole, from what is kept of ESI's answers and, where that has expired, from ESI.

Nothing is asked before it expires, and what we have is asked for by its ETag. Each page is kept as it comes, so that
a later attempt goes on there; who reads gets all pages of one snapshot, or an error. What becomes of the rows is
not decided here.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from jobs.errors import Retry, Snooze

from . import answers
from .answers import Page
from .client import NotFound, Unauthorized, client
from .endpoints import Asked, Paging

STARTS: Final = 4  # from the first page on
CLOSE: Final = timedelta(seconds=10)  # to its end a snapshot is not begun: its later pages would be of the next
GONE: Final = "gone"  # no snapshot's Last-Modified

Token = Callable[[bool], str]  # a character's access token; True: a new one, the last was refused


@dataclass(frozen=True, slots=True)
class Reading:
    """An endpoint's answer. `version` is another when, and only when, ESI says that the answer is."""

    value: Any
    version: str
    expires_at: datetime
    calls: int
    cursor: str = ""  # where to go on, next time


class Reader:
    """Reads for one character. `whole` asks without ETags; `step` is called before each page."""

    def __init__(self, token: Token, *, whole: bool = False, step: Callable[[], None] = lambda: None) -> None:
        self._token = token
        self._whole = whole
        self._step = step
        self._calls = 0

    def read(self, asked: Asked, cursor: str = "") -> Reading:
        """All there is; with the `cursor` of an earlier reading, of lists with ids or cursors, what came after it."""
        self._calls = 0
        match asked.endpoint.paging:
            case Paging.PAGE:
                pages = self._numbered(asked)
                return self._reading(_joined(page.value for page in pages), pages, pages)
            case Paging.FROM_ID | Paging.LAST_ID:
                rows, pages = self._downward(asked, int(cursor or 0))
                return self._reading(list(rows.values()), pages[:1], pages, str(max(rows, default=cursor)))
            case Paging.CURSOR:
                return self._cursors(asked, cursor)
            case Paging.NONE:
                page = self._page(asked, {})
                return self._reading(page.value, [page], [page])

    def _reading(self, value: Any, told: list[Page], pages: list[Page], cursor: str = "") -> Reading:
        """`told` are the pages whose ETags say whether anything is new."""
        tags = (page.etag or json.dumps(page.value) for page in told)
        version = hashlib.sha256("\n".join(tags).encode()).hexdigest()
        return Reading(value, version, pages[0].expires_at, self._calls, cursor)

    def _page(self, asked: Asked, query: Mapping[str, str], of: str = "") -> Page:
        """One answer. One that is kept and fresh is asked for all the same when it is of another snapshot than `of`."""
        self._step()
        query = {**asked.query, **query}
        key = answers.key(asked.path, query)
        kept = answers.find(key)
        if kept and kept.fresh and of in ("", kept.modified):
            return kept
        self._calls += 1
        etag = kept.etag if kept and not self._whole else ""
        with answers.asking(key, kept) if kept else nullcontext():
            return answers.keep(key, asked, self._call(asked, query, etag), kept)

    def _call(self, asked: Asked, query: Mapping[str, str], etag: str) -> Any:
        if not asked.endpoint.scope:
            return client().get(asked, query, "", etag)
        try:
            return client().get(asked, query, self._token(False), etag)
        except Unauthorized:
            return client().get(asked, query, self._token(True), etag)

    def _numbered(self, asked: Asked) -> list[Page]:
        of = ""
        for _ in range(STARTS):
            pages: list[Page] = []
            while not pages or len(pages) < (pages[0].pages or 1):
                page = self._next(asked, len(pages) + 1, of)
                if page is None or (pages and page.modified != pages[0].modified):
                    of = _newer(asked, page)
                    break
                pages.append(page)
            else:
                return pages
        raise Retry(f"{asked.endpoint.name}: its pages are of different snapshots")

    def _next(self, asked: Asked, number: int, of: str) -> Page | None:
        """A page by its number. None: there is no such page, any more."""
        try:
            page = self._page(asked, {Paging.PAGE: str(number)}, of)
        except NotFound:
            if number > 1:
                return None
            raise
        left = page.expires_at - timezone.now()
        if number == 1 and page.asked and (page.pages or 1) > 1 and left < CLOSE:
            raise Snooze(f"{asked.endpoint.name}: its pages are about to change", after=left)
        return page

    def _downward(self, asked: Asked, known: int) -> tuple[dict[int, Any], list[Page]]:
        """Page by page until nothing new comes, or one with an id that was there before."""
        key = asked.endpoint.key
        rows: dict[int, Any] = {}
        pages: list[Page] = []
        query: dict[str, str] = {}
        while True:
            page = self._page(asked, query)
            pages.append(page)
            new = {row[key]: row for row in page.value if row[key] not in rows}
            rows |= new
            if not new or min(new) <= known:
                return rows, pages
            query = {asked.endpoint.paging: str(min(new))}

    def _cursors(self, asked: Asked, cursor: str) -> Reading:
        """From the newest page back to the oldest one, or all that came after the cursor."""
        way = "after" if cursor else "before"
        pages = [self._page(asked, {way: cursor} if cursor else {})]
        rows: list[Any] = list(pages[0].value[asked.endpoint.key])
        newest = pages[0].value["cursor"]["after"]
        while pages[-1].value[asked.endpoint.key]:
            pages.append(self._page(asked, {way: pages[-1].value["cursor"][way]}))
            rows += pages[-1].value[asked.endpoint.key]
        if cursor:
            newest = pages[-1].value["cursor"]["after"]
        return self._reading(rows, pages, pages, newest)


def _newer(asked: Asked, page: Page | None) -> str:
    """The Last-Modified of the snapshot to begin again with, after a page that did not fit those before."""
    if page and not page.asked:  # the kept one is the older
        left = page.expires_at - timezone.now()
        raise Snooze(f"{asked.endpoint.name}: a page has not expired with the others", after=left)
    return page.modified if page else GONE


def _joined(parts: Iterable[list[Any]]) -> list[Any]:
    return [row for part in parts for row in part]
