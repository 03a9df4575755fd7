"""Tells open pages that something they show may have changed; each part then asks for itself anew."""

from collections.abc import AsyncIterator

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_GET

from jobs import sse
from jobs.live import hub

PAUSE = 1.0  # seconds between two events


@require_GET  # after the answer to a HEAD a client uses the connection again: it must be over
def live(request: HttpRequest) -> HttpResponseBase:
    """`event: changed`, at most once a second. 403 where the pages would ask to log in: this is no page."""
    if not (request.user.is_staff and request.user.has_perm("jobs.view_job")):
        raise PermissionDenied
    return sse.EventStream(_changes())


async def _changes() -> AsyncIterator[str]:
    async with hub().watching_all() as news:

        def take() -> tuple[list[str], bool]:
            news.clear()
            return [sse.event("changed", "{}")], True

        async for frame in sse.stream(news, take, PAUSE):
            yield frame
