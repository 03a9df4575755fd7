"""/livez and /readyz, for whoever restarts this process or sends it requests."""

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobs import health


@never_cache
@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """The process answers. Looks at nothing outside: a restart would mend none of it."""
    return JsonResponse({"live": True})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """503 without a migrated database. Redis is reported only: the API takes jobs without it."""
    broker = "away" if health.broker_is_away() else "ok"
    try:
        health.check_ready()
        database = "ok"
    except health.NotReady as error:
        database = str(error)
    except (OperationalError, InterfaceError):
        database = "the database cannot be reached"
    ready = database == "ok"
    return JsonResponse({"ready": ready, "database": database, "broker": broker}, status=200 if ready else 503)
