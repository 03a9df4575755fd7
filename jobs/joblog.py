"""What a job writes with `job.log`: kept as rows beside the job, a capped number of them, for people who look at it.

Lines are written in batches, each half second and once more when the run ends, in the session beside the author's:
a line stays when their transaction is rolled back. A process that is killed loses what it wrote since the last batch.
"""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError

from jobs import events, soon
from jobs.encoding import storable
from jobs.sessions import beside, fetch, side_session

log = logging.getLogger("jobs.job")

MOST = 1000  # lines of a job, over all its runs
LONGEST = 4000  # characters of a message
HIGHEST = 32_767  # level that a row can have
LEFT_OUT = f"More than {MOST:,} lines: the rest is left out."

Line = tuple[int, str, str]  # level, message, time


class JobLog(logging.LoggerAdapter[logging.Logger]):
    """`job.log`: a logger whose lines are also kept with the job. `redact` takes secrets out of a text."""

    def __init__(self, job: UUID, run: int, attempt: int, redact: Callable[[str], str]) -> None:
        super().__init__(log, {"job_id": str(job), "attempt": attempt})
        self.job = job
        self.run = run
        self.redact = redact
        self.lock = threading.Lock()
        self.writing = threading.Lock()
        self.waiting: list[Line] = []
        self.kept: int | None = None  # lines of the job, over all its runs; None: not looked yet

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Kept where it is also logged: what the logger's level leaves out is not written either."""
        if not self.isEnabledFor(level):
            return
        text = _message(msg, args)
        if error := kwargs.pop("exc_info", None):
            text += f"\n{_traceback(error)}"
        text = self.redact(text)
        self._keep(level, text)
        super().log(level, "%s", text, **kwargs)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs

    def _keep(self, level: int, message: str) -> None:
        line = max(0, min(level, HIGHEST)), storable(message, LONGEST), datetime.now(UTC).isoformat()
        with self.lock:
            if (self.kept or 0) <= MOST and len(self.waiting) <= MOST:
                self.waiting.append(line)
        if beside():
            soon.ask(self)

    def flush(self) -> bool:
        """Write what waits. False: it cannot be written now, and goes on waiting."""
        with self.writing:
            with self.lock:
                lines, self.waiting = self.waiting, []
            if not lines:
                return True
            try:
                with side_session():
                    self._write(lines)
            except (DatabaseError, InterfaceError) as error:
                log.warning("job %s: log lines not kept yet: %s", self.job, str(error).strip().partition("\n")[0])
                with self.lock:
                    self.waiting[:0] = lines
                return False
        events.logged([self.job])
        return True

    def _write(self, lines: list[Line]) -> None:
        if self.kept is None:
            self.kept = int(fetch("SELECT count(*) FROM jobs_logline WHERE job = %(job)s", {"job": self.job})[0][0])
        room = MOST - self.kept
        if room < 0:
            return  # it says already that more were left out
        if len(lines) > room:
            lines = [*lines[:room], (logging.WARNING, LEFT_OUT, datetime.now(UTC).isoformat())]
        fetch(_INSERT, {"job": self.job, "run": self.run, "lines": json.dumps(lines)})
        self.kept += len(lines)


_INSERT = """
INSERT INTO jobs_logline (job, run, level, message, at)
SELECT %(job)s, %(run)s, (line ->> 0)::int, line ->> 1, (line ->> 2)::timestamptz
FROM jsonb_array_elements(%(lines)s::text::jsonb) WITH ORDINALITY AS l(line, place) ORDER BY place
"""


def _message(msg: object, args: tuple[object, ...]) -> str:
    try:
        return str(msg) % args if args else str(msg)
    except Exception:
        return f"{msg!r} {args!r}"  # as it was written, rather than nothing


def _traceback(error: object) -> str:
    """Of what `exc_info` takes: True, an exception, or a tuple as `sys.exc_info` gives it."""
    if isinstance(error, BaseException):
        return "".join(traceback.format_exception(error))
    return "".join(traceback.format_exception(*(error if isinstance(error, tuple) else sys.exc_info())))
