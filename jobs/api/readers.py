"""Read tokens as credentials: whoever has one may look at its one job, and at nothing else."""

from dataclasses import dataclass
from typing import cast
from uuid import UUID

from django.http import HttpRequest
from django.urls import ResolverMatch
from ninja.security.apikey import APIKeyQuery

from jobs import tokens
from jobs.api import auth
from jobs.api.auth import Caller
from jobs.api.problems import Problem


@dataclass(frozen=True)
class Reader(Caller):
    """Somebody with a read token."""


class ReadToken(APIKeyQuery):
    """`?token=`, made by `jobs.read_token`. A wrong one is refused even beside a good session."""

    param_name = "token"

    def authenticate(self, request: HttpRequest, key: str | None) -> Reader | None:
        if key is None:
            return None
        job = tokens.job_of(key)
        if job is None:
            raise Problem(401, "The token is wrong or its time is over.")
        if job != _asked_for(request):
            raise Problem(403, "The token is for another job.")
        return Reader(f"token:{job}")


def _asked_for(request: HttpRequest) -> UUID | None:
    """The job in the address; an id that is none is another job's."""
    try:
        return UUID(str(cast(ResolverMatch, request.resolver_match).kwargs["jobId"]))
    except ValueError:
        return None


READ_ONE = [ReadToken(), *auth.READ]
