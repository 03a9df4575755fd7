"""JobContext: what a running job knows and may do besides its work."""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from jobs import events, lifecycle, soon
from jobs.encoding import storable
from jobs.errors import JobError
from jobs.joblog import JobLog
from jobs.sessions import beside, side_session

if TYPE_CHECKING:
    from jobs.calling import Processor
    from jobs.lifecycle import Enqueued
    from jobs.payload import Payload

log = logging.getLogger("jobs.job")

PROGRESS_INTERVAL = 2.0  # seconds between two writes of one run's progress

# Runs of this process that must stop, and with what: set by the worker, read by `check`.
stop_requests: dict[tuple[UUID, int], JobError] = {}


class JobContext:
    """The run of a job, handed to its processor."""

    def __init__(
        self,
        id: UUID,  # noqa: A002 (the row's word)
        run: int,
        attempt: int,
        max_attempts: int,
        redact: Callable[[str], str] = str,  # takes the payload's secrets out of a text
    ) -> None:
        self.id = id
        self.run = run
        self.attempt = attempt  # from 1
        self.max_attempts = max_attempts
        self._redact = redact
        self.latest: str | None = None  # progress, as JSON
        self._written = 0.0  # when the row was, monotonic
        self._stored: str | None = None  # what it then got
        self._ended = False

    @cached_property
    def log(self) -> JobLog:
        """The job's log. Made when it is first asked for: most jobs that are short say nothing."""
        made = JobLog(self.id, self.run, self.attempt, self._redact)
        return cast("JobLog", self.__dict__.setdefault("log", made))  # one, also where two threads make it at once

    def check(self) -> None:
        """Stop here if the job was cancelled, ran out of time or was given to another worker."""
        if (stop := stop_requests.get((self.id, self.run))) is not None:
            raise stop

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far the work is; also a `check`.

        Who watches sees it at once. The row has it within 2 s, or at the end.
        """
        self.check()
        if not (math.isfinite(done) and math.isfinite(total or 0)):
            raise ValueError(f"progress: {done} of {total} cannot be shown")
        percent = None if not total else max(0, min(100, round(100 * done / total)))
        latest = {"run": self.run, "done": done, "total": total, "percent": percent, "note": self._note(note)}
        self.latest = json.dumps(latest)
        events.progressed(self.id, self.run, self.latest)
        if not self.flush() and beside():
            soon.ask(self)

    def flush(self) -> bool:
        """Write the latest progress, if it is time to. False: it is not."""
        latest = self.latest
        if self._ended or latest is None or latest is self._stored:
            return True
        now = time.monotonic()
        if now - self._written < PROGRESS_INTERVAL:
            return False
        self._written, self._stored = now, latest
        self._write(latest)
        return True

    def end(self) -> None:
        """The run is over: its last progress goes with its outcome, its log lines are there before that."""
        self._ended = True
        if "log" in self.__dict__ and not self.log.flush() and beside():
            soon.ask(self.log)

    def _note(self, note: str) -> str:
        return storable(self._redact(note)[:500]) if note else ""

    def _write(self, progress: str) -> None:
        # Beside the author's transaction: it must be seen now, and stay if that one is rolled back.
        try:
            with side_session():
                lifecycle.record_progress(self.id, self.run, progress)
        except (DatabaseError, InterfaceError) as error:
            log.warning("job %s: progress not written: %s", self.id, error)

    def enqueue_child(
        self, processor: "str | Processor", payload: "Payload | Mapping[str, Any] | None" = None, **options: Any
    ) -> "Enqueued":
        """Enqueue a job whose `parent` is this one."""
        from jobs.processor import enqueue  # the processor that runs with this context imports it

        return enqueue(processor, payload, parent=self.id, **options)
