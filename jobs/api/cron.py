"""For a scheduler outside that calls an address now and then. It shows CRON_SECRET, and needs no key."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from ninja.security import HttpBearer
from pydantic import ConfigDict

from jobs import crons
from jobs.api.auth import Caller
from jobs.api.fields import Camel
from jobs.api.problems import Problem, declared
from jobs.api.routing import Router

router = Router("cron")


class CronSecret(HttpBearer):
    """`Authorization: Bearer <CRON_SECRET>`. Without the setting nobody gets in."""

    def __call__(self, request: HttpRequest) -> Any:
        return super().__call__(request) or self.authenticate(request, "")

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        secret = settings.CRON_SECRET
        if not (secret and constant_time_compare(token, secret)):
            raise Problem(401, "The cron secret is missing or wrong.")
        return Caller("cron")


class CronOut(Camel):
    """What was done, and in numbers how much: `queued`, `deleted` …"""

    model_config = ConfigDict(extra="allow")

    success: bool


@router.post("/{name}", auth=CronSecret(), response={200: CronOut, **declared(404)})
def run_cron(request: HttpRequest, name: str) -> CronOut:
    """Do what is due: the rooms say which names there are."""
    if (cron := crons.declared().get(name)) is None:
        raise Problem(404, f"There is no cron {name!r}.")
    with transaction.atomic():
        return CronOut.model_validate({"success": True, **cron()})
