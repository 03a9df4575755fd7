"""Pages of the site that are neither the admin's nor the API's: the way to Flower, and a log-in that is refused."""

import math

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.shortcuts import resolve_url
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobs.roles import may_watch

FLOWER = "/flower/"  # where a proxy has Flower, and what every address of Flower's begins with
_REFRESH = '<!doctype html><meta http-equiv="refresh" content="0; url={0}">'
_GO_ON = _REFRESH + '<a href="{0}">Go on</a> to Flower.'
_LOG_IN = _REFRESH + '<a href="{0}">Log in</a> to see Flower.'


@never_cache
@require_safe
@login_required
def flower(request: HttpRequest, path: str = "") -> HttpResponse:
    """The same page at Flower's own port. Behind a proxy nobody comes here: it has Flower at this address."""
    if not may_watch(request.user):
        raise PermissionDenied
    if settings.SESSION_COOKIE_SECURE:  # then Flower would not see who comes, and send them back for ever
        raise Http404("With TLS, Flower is behind the same proxy as the site.")
    host, _ = split_domain_port(request.get_host())
    query = f"?{request.META['QUERY_STRING']}" if request.META["QUERY_STRING"] else ""
    # Not a redirect: browsers count one as part of sending the log-in form, which may go nowhere but to us.
    return HttpResponse(format_html(_GO_ON, f"http://{host}:{settings.FLOWER_PORT}{FLOWER}{path}{query}"))


def login_name(request: HttpRequest, credentials: dict[str, str] | None) -> str:
    """By which name somebody tries to log in, as far as it can be written down."""
    return ((credentials or {}).get("username") or "")[:255]


def locked_out(request: HttpRequest, response: HttpResponse, credentials: dict[str, str]) -> HttpResponse:
    """The log-in page for who has failed too often, whatever the password: 429, saying when to come again."""
    address = request.axes_ip_address  # type: ignore[attr-defined]
    attempts = AccessAttempt.objects.filter(username=login_name(request, credentials), ip_address=address)
    latest = attempts.aggregate(at=Max("attempt_time"))["at"] or timezone.now()
    left = max(1, math.ceil((latest + settings.AXES_COOLOFF_TIME - timezone.now()).total_seconds()))
    if isinstance(response, TemplateResponse) and response.context_data:
        form = response.context_data["form"]
        form.errors.clear()
        form.add_error(None, f"Too many failed log-ins. Try again in {math.ceil(left / 60)} min.")
        response.content = response.rendered_content
    response.status_code = 429
    response["Retry-After"] = str(left)
    return response


@never_cache
@require_safe
def flower_auth(request: HttpRequest) -> HttpResponse:
    """For a proxy that asks, request by request, who may pass to Flower: 204, or 401 with the way to log in."""
    if may_watch(request.user):
        return HttpResponse(status=204)
    wanted = request.headers.get("X-Forwarded-Uri", FLOWER)
    login = resolve_url("admin:login") + "?" + urlencode({"next": wanted if wanted.startswith(FLOWER) else FLOWER})
    return HttpResponse(format_html(_LOG_IN, login), status=401)
