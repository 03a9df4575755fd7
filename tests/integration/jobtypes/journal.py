"""What job bodies did, line by line, in a file: it outlives every server and process that a test kills."""

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from uuid import UUID


class Line(NamedTuple):
    job: UUID
    run: int
    event: str  # start, end …
    what: str
    at: float  # seconds, wall clock
    pid: int


def write(path: str, job: UUID, run: int, event: str, what: object = "") -> None:
    """Append a line, whole or not at all, whatever happens to this process."""
    line = json.dumps([str(job), run, event, str(what), time.time(), os.getpid()]) + "\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


class Journal:
    """The file of one test."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def lines(self, event: str = "", job: object = None) -> list[Line]:
        """Those of one event, of one job, or all."""
        text = Path(self.path).read_text() if Path(self.path).exists() else ""
        lines = [Line(UUID(line[0]), *line[1:]) for line in map(json.loads, text.splitlines())]
        return [line for line in lines if event in ("", line.event) and job in (None, line.job)]

    def runs(self, event: str) -> Counter[tuple[UUID, int]]:
        """How often each run came to this."""
        return Counter((line.job, line.run) for line in self.lines(event))
