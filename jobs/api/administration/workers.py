"""Workers: what they do, and asking one to leave."""

from typing import Annotated

from django.http import HttpRequest
from ninja import Path
from ninja.responses import Status as Answer

from jobs import lifecycle
from jobs.api import auth
from jobs.api.administration.schemas import WorkerOut
from jobs.api.auth import ApiRequest
from jobs.api.fields import Word
from jobs.api.problems import Problem, declared
from jobs.api.routing import Router
from jobs.models import Worker

router = Router("administration")


@router.get("/workers", auth=auth.WATCH, response={200: list[WorkerOut], **declared()})
def list_workers(request: HttpRequest) -> list[WorkerOut]:
    """Workers that are alive, and those that fell silent within a day."""
    return workers_out()


@router.post(
    "/workers/{workerName}/drain", auth=auth.admin("jobs.drain_worker"), response={202: WorkerOut, **declared(404)}
)
def drain_worker(request: ApiRequest, name: Annotated[Word, Path(alias="workerName")]) -> Answer[WorkerOut]:
    """Ask a worker to take no more jobs, finish those that it runs, and end. It sees this within 10 s."""
    lifecycle.drain(name, actor=request.auth.name)
    for worker in workers_out():
        if worker.name == name:
            return Answer(202, worker)
    raise Problem(404, f"There is no worker {name}.")


def workers_out() -> list[WorkerOut]:
    alive = set(Worker.objects.alive().values_list("name", flat=True))
    return [_worker(worker, worker.name in alive) for worker in Worker.objects.all()]


def _worker(worker: Worker, is_alive: bool) -> WorkerOut:
    return WorkerOut(
        name=worker.name,
        pool=worker.pool,
        concurrency=worker.concurrency,
        queues=worker.queues,
        running=is_alive,
        active_jobs=worker.running,
        active=worker.running,
        processed=worker.processed,
        failed=worker.failed,
        heartbeat_at=worker.heartbeat_at,
        draining=worker.draining or worker.drain_requested_at is not None,
    )
