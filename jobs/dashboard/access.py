"""Who may see a page or press a button, and where they are taken then."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def staff_only(permission: str = "jobs.view_job") -> Callable[[View[P]], View[P]]:
    """Anonymous visitors go to the log-in, whoever is not staff or lacks the permission gets a 403."""

    def decorate(view: View[P]) -> View[P]:
        @never_cache
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            user = request.user
            if not user.is_authenticated:
                if request.htmx:  # type: ignore[attr-defined]  # a log-in page is no part of a page
                    return HttpResponseClientRefresh()
                return redirect_to_login(request.get_full_path())
            if not (user.is_active and user.is_staff and user.has_perm(permission)):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def page(view: View[P]) -> View[P]:
    """A page that whoever may see jobs may see."""
    return staff_only()(require_safe(view))


def action(permission: str) -> Callable[[View[P]], View[P]]:
    """A button: POST only, and by those who have the permission."""

    def decorate(view: View[P]) -> View[P]:
        pressed = staff_only(permission)(require_POST(view))

        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if request.method == "POST" and not request.user.is_authenticated:
                # A log-in goes on by GET, and at the button's own address there is nothing to see.
                return redirect_to_login(back(request, "dashboard:overview").url)
            return pressed(request, *args, **kwargs)

        return guarded

    return decorate


def show(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    """The page; for htmx, which refreshes a part, only the block `content`."""
    layout = "jobs/part.html" if request.htmx else "base.html"  # type: ignore[attr-defined]
    return render(request, template, {"layout": layout, **context})


def actor(request: HttpRequest) -> str:
    """Who asks, as events show it."""
    return request.user.get_username()


def back(request: HttpRequest, otherwise: str, *args: object) -> HttpResponseRedirect:
    """To the page that the form names in `next`, else to the named one."""
    wanted = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(wanted if ours else resolve_url(otherwise, *args))


def tell(request: HttpRequest, done: bool | int, what: str, otherwise: str = "It was so already.") -> None:
    """The message after an action: `what`, or that it changed nothing."""
    if done:
        messages.success(request, what)
    else:
        messages.warning(request, otherwise)
