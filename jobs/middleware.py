"""What every answer of the site carries: the id of its request, and what a browser may do with the page.

The policies themselves are settings. Here is which one a page has, and the line that tells of each request; and who is
at fault where Postgres cannot take a text.
"""

import logging
import re
import time
from collections.abc import Callable

from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.defaults import bad_request

from jobs import logs, observing

log = logging.getLogger("jobs.web")

PROBES = frozenset({"/livez", "/readyz", "/metrics"})  # asked every few seconds, by machines


class RequestId:
    """Gives each request an id, its own or the one it came with, for all log lines and for the jobs it enqueues."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = logs.sane(request.headers.get("X-Request-ID", "")) or logs.new_request_id()
        started = time.monotonic()
        with logs.of_request(request_id), observing.of_request(request, request_id):
            response = self.get_response(request)
            response["X-Request-ID"] = request_id
            _tell(request, response, time.monotonic() - started)
        return response


def _tell(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    """One line for each request, without its query: that may have a token in it."""
    level = logging.DEBUG if request.path in PROBES and response.status_code == 200 else logging.INFO
    fields = {"status": response.status_code, "duration_ms": round(seconds * 1000, 1)}
    log.log(level, "%s %s", request.method, _CONTROL.sub("?", request.path)[:200], extra=fields)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Policies(CSPMiddleware):
    """Content-Security-Policy, strict but for the Django admin, and Permissions-Policy."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        return super().process_response(request, response)

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        page = request.resolver_match
        if page is not None and "admin" in page.app_names:
            parts.replace = {**settings.ADMIN_CONTENT_SECURITY_POLICY, **(parts.replace or {})}
        return parts


class NulBytes:
    """400 where a page asks Postgres for a text with a NUL byte, which none can have: only an address or form has one.

    The API checks its fields by itself, and says which one it was.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, DataError) and "NUL (0x00)" in str(error):
            return bad_request(request, error)
        return None
