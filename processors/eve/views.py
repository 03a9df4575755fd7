"""One's characters: their login at EVE Online, there and back, with PKCE; and their end.

What a browser brings back counts only with the state that its session has, and a code is exchanged once.
"""

import hmac
import secrets
from typing import Final

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobs.errors import JobError
from jobs.processor import enqueue

from . import sso
from .esi.endpoints import SCOPES
from .models import Character

SESSION: Final = "eve-login"  # state and verifier of the login that was begun last


@never_cache
@login_required
@require_safe
def characters(request: HttpRequest) -> HttpResponse:
    """The user's characters, what they allow, and what went wrong."""
    own = (
        Character.objects.with_grants()
        .filter(user=request.user.pk)
        .annotate(known=Count("snapshots"))
        .order_by("name", "id")
    )
    return render(request, "eve/characters.html", {"characters": own})


@never_cache
@login_required
@require_safe
def login(request: HttpRequest) -> HttpResponse:
    """Send the browser to EVE Online, where a character is chosen."""
    begun = {"state": secrets.token_urlsafe(24), "verifier": secrets.token_urlsafe(48)}
    try:
        address = sso.sso().login_url(**begun, scopes=SCOPES, back=_back(request))
    except JobError as error:
        return _failed(request, str(error))
    request.session[SESSION] = begun
    return HttpResponseRedirect(address)


@never_cache
@login_required
@require_safe
def callback(request: HttpRequest) -> HttpResponse:
    """The browser is back, with a code or a refusal. It always goes on to a page whose address has no code."""
    begun = request.session.pop(SESSION, None)
    state = request.GET.get("state", "")
    if begun is None or not hmac.compare_digest(begun["state"].encode(), state.encode()):
        return _failed(request, "This login was not begun here, or it was used already.")
    if "code" not in request.GET:
        return _failed(request, "EVE Online was told not to allow it.")
    try:
        told, tokens = sso.logged_in(request.GET["code"], verifier=begun["verifier"], back=_back(request))
    except (JobError, sso.Untrue) as error:
        return _failed(request, str(error))
    user = int(request.user.pk)  # type: ignore[arg-type]  # who is logged in has one
    with transaction.atomic():
        character = sso.log_in(user, told, tokens)
        payload = {"characterId": character.pk, "userId": user, "group": "CHARACTER_OVERVIEW"}
        enqueue("esi_refresh", payload, created_by=request.user.get_username())
    messages.success(request, f"{character} is logged in.")
    return redirect("eve:characters")


@login_required
@require_POST
def forget(request: HttpRequest, character_id: int) -> HttpResponse:
    """Delete one's character with its tokens and all that is known of it. Its jobs that still wait will find nobody."""
    character = get_object_or_404(Character, pk=character_id, user=request.user.pk)
    character.delete()
    messages.success(request, f"{character} is forgotten.")
    return redirect("eve:characters")


def _back(request: HttpRequest) -> str:
    """Our address, as it is registered with the application."""
    path = reverse("eve:callback")
    return f"{settings.SITE_URL.rstrip('/')}{path}" if settings.SITE_URL else request.build_absolute_uri(path)


def _failed(request: HttpRequest, reason: str) -> HttpResponse:
    messages.error(request, f"The character is not logged in: {reason}")
    return redirect("eve:characters")
