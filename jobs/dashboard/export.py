"""What a query finds as a file: CSV or JSON, sent while it is read, and not without end."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.core.serializers.json import DjangoJSONEncoder
from django.http import Http404, HttpRequest, HttpResponseBadRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone

from jobs import search, shown, sse
from jobs.dashboard.access import page
from jobs.dashboard.joblist import failures_of
from jobs.models import Job
from jobs.search import InvalidQuery, Search

MOST = 50_000  # jobs in a file
CHUNK = 1000

Rows = Iterator[list[dict[str, Any]] | None]  # None at the end: there are more that could not be read
COLUMNS = (
    "id type status queue priority attempt max_attempts created_at scheduled_at started_at finished_at run_seconds "
    "worker tags unique_key created_by schedule parent group error payload result"
).split()


@page
def export(request: HttpRequest, kind: str) -> HttpResponseBase:
    """The jobs as a file, which says itself when it does not hold all of them."""
    if kind not in WRITERS:
        raise Http404("There is no such format.")
    query = request.GET.get("q", "")
    try:
        found = search.understand(query)
        search.find(found, limit=1)  # what cannot be answered is told before the file begins
    except InvalidQuery as error:
        return HttpResponseBadRequest(str(error), content_type="text/plain")
    write, content_type = WRITERS[kind]
    chunks = write(query, _rows(found))
    response = StreamingHttpResponse(
        _in_turn(chunks) if isinstance(request, ASGIRequest) else chunks, content_type=content_type
    )
    name = f"jobs-{timezone.now():%Y%m%d-%H%M%S}.{kind}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


async def _in_turn(chunks: Iterator[str]) -> AsyncIterator[str]:
    """Each chunk made in a thread when the one before is sent, which takes as long as the reader does."""
    following = sync_to_async(_next)
    while (chunk := await following(chunks)) is not None:
        yield chunk


def _next(chunks: Iterator[str]) -> str | None:
    try:
        return next(chunks, None)
    finally:
        sse.let_go()


def _rows(found: Search) -> Rows:
    """The jobs, a chunk at a time, up to one more than the most: then there are more."""
    left, after = MOST + 1, ""
    while left:
        try:
            part = search.find(found, after, min(CHUNK, left), whole=True)
        except InvalidQuery:  # too slow by now: half a file would look like a whole one
            yield None
            return
        yield _described(part.jobs)
        left -= len(part.jobs)
        after = part.next
        if not after:
            return


def _described(jobs: list[Job]) -> list[dict[str, Any]]:
    failures = failures_of(jobs)
    return [
        {name: getattr(job, name, None) for name in COLUMNS}
        | {
            "run_seconds": shown.run_seconds(job),
            "error": str(failures[job.id]) if job.id in failures else None,
            "payload": shown.payload(job),
        }
        for job in jobs
    ]


def _as_csv(query: str, rows: Rows) -> Iterator[str]:
    """A line a job, what is not plain as JSON. Texts that a spreadsheet would take for formulas get a quote."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    number = 0
    for part in rows:
        for row in (part or [])[: MOST - number]:
            writer.writerow([_cell(row[name]) for name in COLUMNS])
        number += len(part or [])
        if part is None or number > MOST:
            writer.writerow([f"Only the first {min(number, MOST)} jobs are here: there are more."])
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, cls=DjangoJSONEncoder) if value else ""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value.isoformat() if isinstance(value, datetime) else value


def _as_json(query: str, rows: Rows) -> Iterator[str]:
    """One object: the jobs, and whether there are more."""
    yield f'{{"query": {json.dumps(query)}, "jobs": ['
    number, truncated = 0, False
    for part in rows:
        texts = [json.dumps(row, ensure_ascii=False, cls=DjangoJSONEncoder) for row in (part or [])[: MOST - number]]
        yield (",\n" if number and texts else "\n") + ",\n".join(texts)
        number += len(part or [])
        truncated = part is None or number > MOST
    yield f'\n], "truncated": {json.dumps(truncated)}}}\n'


WRITERS = {"csv": (_as_csv, "text/csv; charset=utf-8"), "json": (_as_json, "application/json")}
