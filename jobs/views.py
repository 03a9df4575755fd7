"""Pages of the site that are neither the admin's nor the API's: the way to Flower, and who may go it."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.request import split_domain_port
from django.shortcuts import resolve_url
from django.utils.html import format_html
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

FLOWER = "/flower/"  # where a proxy has Flower, and what every address of Flower's begins with


def may_watch(user: User | AnonymousUser) -> bool:
    """Staff who may see jobs."""
    return user.is_active and user.is_staff and user.has_perm("jobs.view_job")


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
    return HttpResponseRedirect(f"http://{host}:{settings.FLOWER_PORT}{FLOWER}{path}{query}")


@never_cache
@require_safe
def flower_auth(request: HttpRequest) -> HttpResponse:
    """For a proxy that asks, request by request, who may pass to Flower: 204, or 401 with the way to log in."""
    if may_watch(request.user):
        return HttpResponse(status=204)
    wanted = request.headers.get("X-Forwarded-Uri", FLOWER)
    login = resolve_url("admin:login") + "?" + urlencode({"next": wanted if wanted.startswith(FLOWER) else FLOWER})
    page = '<!doctype html><meta http-equiv="refresh" content="0; url={0}"><a href="{0}">Log in</a> to see Flower.'
    return HttpResponse(format_html(page, login), status=401)
