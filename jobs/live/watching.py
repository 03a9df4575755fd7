"""Who watches a job, and what they are shown: its row, with the progress of its run as Redis told it."""

import asyncio
import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from jobs.live.reading import Seen
from jobs.models import LogLine, Status


class Watcher:
    """One who watches a job. `after` is the last log line that they have; None: they get none."""

    def __init__(self, after: int | None) -> None:
        self.after = after
        self.lines: list[LogLine] = []
        self.seen: Seen | None = None  # the latest that was not taken
        self.gone = False  # there is no such job, or no more
        self.news = asyncio.Event()

    def tell(self, seen: Seen | None, lines: Iterable[LogLine] = ()) -> None:
        self.seen, self.gone = seen, seen is None
        if self.after is not None:
            new = [line for line in lines if line.id > self.after]
            self.after = new[-1].id if new else self.after
            self.lines += new
        self.news.set()

    def take(self) -> tuple[list[LogLine], Seen | None]:
        """What is new: log lines, and the job."""
        self.news.clear()
        lines, seen, self.lines, self.seen = self.lines, self.seen, [], None
        return lines, seen


@dataclass
class Watched:
    """A job that is watched."""

    watchers: set[Watcher] = field(default_factory=set)
    read: Seen | None = None  # as its row was read last
    told: tuple[int, Any] | None = None  # run and progress, by Redis: ahead of the row
    heard: bool = False  # something was, since the row was read

    @property
    def after(self) -> int | None:
        """The log line after which one of the watchers wants more."""
        return min((watcher.after for watcher in self.watchers if watcher.after is not None), default=None)

    def look(self, read: Seen | None, lines: Iterable[LogLine]) -> None:
        before, self.read = self.read, read
        if read is not None and self.told is not None:
            over = read.job.status != Status.PROCESSING or read.job.run != self.told[0]
            # The row got on, and Redis did not say so: it is the one that is behind.
            behind = before is not None and before.job.progress != read.job.progress and not self.heard
            if over or behind:
                self.told = None
        self.heard = False
        self.tell(lines)

    def hear(self, run: int, progress: Any) -> None:
        self.told, self.heard = (run, progress), True
        if self.read is not None and self.read.job.run == run and self.read.job.status == Status.PROCESSING:
            self.tell()

    def tell(self, lines: Iterable[LogLine] = ()) -> None:
        seen = self.read
        if seen is not None and self.told is not None:
            job = copy.copy(seen.job)
            job.progress = self.told[1]
            seen = Seen(job, seen.failure)
        for watcher in self.watchers:
            watcher.tell(seen, lines)
