"""Who calls the API and whether they may: a key with a scope, or a staff session with a permission."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from ninja.security import HttpBearer
from ninja.security.apikey import APIKeyCookie
from ninja.utils import check_csrf

from jobs import keys
from jobs.api.problems import Problem
from jobs.models import ApiKey

Scope = ApiKey.Scope


@dataclass(frozen=True)
class Caller:
    """Who is asking. `name` goes into `Job.created_by` and `Event.actor`."""

    name: str
    user: AbstractBaseUser | None = None  # of a session; a key's scope has said all there is to say

    def check(self, permission: str) -> None:
        """Raise a 403 unless the caller may do this: for operations whose body says what they do."""
        if self.user is not None and not self.user.has_perm(permission):  # type: ignore[attr-defined]
            raise Problem(403, f"The permission {permission} is needed.")


class ApiRequest(HttpRequest):
    """A request that was let in."""

    auth: Caller


class BearerKey(HttpBearer):
    """`Authorization: Bearer <api key>`. A wrong key is refused even beside a good session."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope
        self.needs = [str(scope)]

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        key = keys.find(token)
        if key is None:
            raise Problem(401, "The API key is unknown or has expired.")
        if self.scope not in key.scopes:
            raise Problem(403, f"The API key lacks the scope {self.scope}.")
        return Caller(f"key:{key.name}")  # no user name has a colon


class StaffSession(APIKeyCookie):
    """A session of the site's staff, with CSRF and one of these Django permissions."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self, permissions: Sequence[str]) -> None:
        super().__init__()
        self.needs = list(permissions)

    def __call__(self, request: HttpRequest) -> Caller | None:
        return self.authenticate(request, None)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        user = request.user
        if not user.is_authenticated:
            return None
        _ = request.body  # read it before the CSRF check parses it as a form, after which it would be gone
        if check_csrf(request):
            raise Problem(403, "The CSRF token is missing or wrong.")
        if not (user.is_staff and any(map(user.has_perm, self.needs))):
            raise Problem(403, f"The permission {' or '.join(self.needs)} is needed.")
        return Caller(user.get_username(), user)


def access(scope: Scope, *permissions: str) -> list[Callable[[HttpRequest], Any]]:
    """The `auth` of an operation: a key with this scope, or a session with one of these permissions."""
    return [BearerKey(scope), StaffSession(permissions)]


READ = access(Scope.READ, "jobs.view_job")
ENQUEUE = access(Scope.WRITE, "jobs.add_job")
CANCEL = access(Scope.WRITE, "jobs.cancel_job")
RETRY = access(Scope.WRITE, "jobs.retry_job")
WATCH = access(Scope.ADMIN, "jobs.view_job")


def admin(*permissions: str) -> list[Callable[[HttpRequest], Any]]:
    """The `auth` of an administrator's operation."""
    return access(Scope.ADMIN, *permissions)
