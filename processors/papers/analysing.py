"""A job's way through its providers, side by side; what each of them comes to is `step`'s.

The job's thread waits for all of them at once, hears of a cancel meanwhile, and says how far they are.
"""

import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Final

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now

from jobs.processor import Cancelled, JobContext

from . import splitting
from .client import Reply, Usage
from .failures import Failure, Kind
from .models import Analysis, Paper
from .step import Step, Superseded

LOOK: Final = 0.25  # seconds between two looks for a cancel while we wait
Status = Analysis.Status


def analyse(paper: Paper, providers: Iterable[str], job: JobContext, seconds: float) -> list[Step]:
    """Have all providers asked that have not answered this job yet; what became of each.

    After `seconds` those that have not answered have failed. Raises Cancelled, and Superseded.
    """
    parts = splitting.parts(paper.text, settings.AI_PART_TOKENS)
    steps = [Step(analysis, paper, parts, job) for analysis in _rows(paper, list(providers), job)]
    running: dict[Future[Reply], Step] = {}
    deadline = time.monotonic() + seconds
    try:
        _follow(running, ((step, step.begin()) for step in steps))
        _progress(steps, job)
        while running:
            ended, _ = wait(running, timeout=LOOK, return_when=FIRST_COMPLETED)
            if ended:
                _await_database(job)
            if time.monotonic() > deadline:
                late = Reply(Usage(), failure=Failure(Kind.TIMEOUT, f"no answer within {seconds:g} s"))
                for future in running.keys() - ended:
                    future.cancel()
                    running.pop(future).receive(late)
            _follow(running, [(step, step.receive(future.result())) for future, step in _taken(running, ended)])
            if ended:
                _progress(steps, job)
            job.check()
    except BaseException as error:
        for future in running:
            future.cancel()
        for step in steps:
            step.stop(str(error) or type(error).__name__, cancelled=isinstance(error, Cancelled))
        raise
    return steps


def _rows(paper: Paper, providers: list[str], job: JobContext) -> list[Analysis]:
    """This run's rows. Failures that somebody was told of are from before a retry by hand: they are tried again."""
    with transaction.atomic():
        Analysis.objects.bulk_create(
            (Analysis(paper=paper, provider=name, job=job.id, run=job.run) for name in sorted(providers)),
            ignore_conflicts=True,
        )
        rows = Analysis.objects.filter(job=job.id, provider__in=providers)
        locked = list(rows.order_by("provider").select_for_update())
        if any(row.run > job.run for row in locked):
            raise Superseded
        settled = [row.pk for row in locked if row.status == Status.DONE or _failed_in_this_round(row)]
        rows.update(run=job.run, started_at=Now())
        rows.exclude(pk__in=settled).update(
            status=Status.WAITING, error="", error_class="", told_at=None, finished_at=None
        )
        by_name = {row.provider: row for row in rows.select_related("paper")}
    return [by_name[name] for name in providers]


def _failed_in_this_round(row: Analysis) -> bool:
    return row.status == Status.FAILED and row.told_at is None


def _await_database(job: JobContext) -> None:
    """An answer has come and is paid for: better wait for a database that was away than lose it."""
    while True:
        try:
            connection.ensure_connection()
            if connection.is_usable():
                return
        except OperationalError:
            pass
        connection.close()
        job.check()
        time.sleep(LOOK)


def _taken(
    running: "dict[Future[Reply], Step]", ended: "Iterable[Future[Reply]]"
) -> "Iterable[tuple[Future[Reply], Step]]":
    return [(future, running.pop(future)) for future in ended if future in running]


def _follow(running: "dict[Future[Reply], Step]", next_: "Iterable[tuple[Step, Future[Reply] | None]]") -> None:
    for step, future in next_:
        if future:
            running[future] = step


def _progress(steps: list[Step], job: JobContext) -> None:
    """How many requests of all have been answered; those of a provider that has ended count as answered."""
    total = sum(step.parts for step in steps)
    ended = (Status.DONE, Status.FAILED)
    done = sum(step.parts if step.state in ended else step.parts_done for step in steps)
    job.progress(done, total, ", ".join(step.told for step in steps))
