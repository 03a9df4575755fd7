"""A job as it goes on: its state and its log lines, as server-sent events, and the lines by themselves."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query
from ninja.responses import NinjaJSONEncoder
from pydantic import BaseModel

from jobs import sse
from jobs.api import auth
from jobs.api.answers import job_out_of
from jobs.api.auth import ApiRequest
from jobs.api.jobs import JobId, the_job
from jobs.api.problems import declared
from jobs.api.readers import READ_ONE, Reader
from jobs.api.routing import Router
from jobs.api.schemas import LogLineOut, LogOut
from jobs.live import hub
from jobs.models import LogLine

router = Router("jobs")

After = Annotated[int, Query(ge=0, le=2**63 - 1, description="The `id` of the last line that is known.")]

STREAM: dict[str, Any] = {
    "description": "Until the job has ended: `event: job` with the job, at once and after each change, and "
    "`event: log` with a line of its log.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": 'event: job\ndata: {"id": "0199…", "status": "processing", "progress": 40, …}\n\n',
        }
    },
}


@router.get(
    "/{jobId}/events",
    auth=READ_ONE,
    response=declared(404, 422),
    openapi_extra={"responses": {200: STREAM}},
)
def job_events(request: ApiRequest, job_id: JobId, after: After = 0) -> sse.EventStream:
    """Follow a job by server-sent events.

    The data of `event: job` is what `GET /api/jobs/{jobId}` answers. The stream ends after the one that says how the
    job ended; whoever connects again gets the job again, and the log lines after `Last-Event-ID` or `after`. Those
    with a read token get no log lines.
    """
    the_job(job_id)
    last = request.headers.get("Last-Event-ID", "")
    known = int(last) if last.isdecimal() and len(last) < 19 else after
    return sse.EventStream(_follow(job_id, None if isinstance(request.auth, Reader) else known))


async def _follow(job_id: UUID, after: int | None) -> AsyncIterator[str]:
    async with hub().watching(job_id, after) as watcher:
        sent = ""

        def take() -> tuple[list[str], bool]:
            nonlocal sent
            lines, seen = watcher.take()
            frames = [sse.event("log", _json(_line(line)), line.id) for line in lines]
            if seen is None:
                return frames, not watcher.gone
            shown = _json(job_out_of(seen.job, seen.failure))
            if shown != sent:
                frames.append(sse.event("job", shown))
            sent = shown
            return frames, not seen.ended

        async for frame in sse.stream(watcher.news, take):
            yield frame


def _json(answer: BaseModel) -> str:
    """As the other operations write it."""
    return json.dumps(answer.model_dump(by_alias=True), cls=NinjaJSONEncoder)


@router.get("/{jobId}/log", auth=auth.READ, response={200: LogOut, **declared(404, 422)})
def job_log(
    request: HttpRequest, job_id: JobId, after: After = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> LogOut:
    """What the job wrote with `job.log`, oldest first: up to 1,000 lines of all its runs are kept."""
    the_job(job_id)
    lines = list(LogLine.objects.filter(job=job_id, id__gt=after).order_by("id")[: limit + 1])
    page = lines[:limit]
    return LogOut(items=[_line(line) for line in page], next=page[-1].id if len(lines) > limit else None)


def _line(line: LogLine) -> LogLineOut:
    level = logging.getLevelName(line.level)
    return LogLineOut(id=line.id, run=line.run, at=line.at, level=level, message=line.message)
