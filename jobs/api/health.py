"""Whether the platform can do its work now."""

from http import HTTPStatus

from django.http import HttpRequest
from ninja.responses import Status as Answer

from jobs import health
from jobs.api import auth
from jobs.api.platform import DetailsOut, HealthOut, PartOut, QueuesOut, SchedulerOut, WorkersOut
from jobs.api.problems import declared
from jobs.api.routing import Router
from jobs.api.schemas import QueueStatusOut

router = Router("platform")


@router.get("/health", auth=auth.READ, response={200: HealthOut, **declared(), 503: HealthOut})
def jobs_health(request: HttpRequest) -> Answer[HealthOut]:
    """200 when everything that jobs need is there, 503 when not: `issues` says what is missing."""
    report = health.report()
    status = HTTPStatus.OK if report.healthy else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, _health_out(report))


def _health_out(report: health.Report) -> HealthOut:
    parts = {
        "queues": QueuesOut.model_validate(report.queues, from_attributes=True),
        "workers": WorkersOut.model_validate(report.workers, from_attributes=True),
        "scheduler": SchedulerOut.model_validate(report.scheduler, from_attributes=True),
        "database": PartOut.model_validate(report.database, from_attributes=True),
        "broker": PartOut.model_validate(report.broker, from_attributes=True),
    }
    details = DetailsOut(queue_status=QueueStatusOut(**report.queue_status._asdict()))
    return HealthOut(healthy=report.healthy, issues=report.issues, details=details, **parts)
