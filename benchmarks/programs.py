"""Runs a contender's driver programs: each command of `benchmarks.driver`, and workers that are stopped in the end."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import psutil
import psycopg

from benchmarks import driver, marks
from benchmarks.contenders import Contender
from benchmarks.servers import Servers

PATIENCE = 300  # seconds for anything
LOOK = 0.002  # seconds between two looks


class NotOffered(Exception):
    """The contender has no such call."""


class Failed(Exception):
    """A program of a contender went wrong; says how."""


class Enqueued(NamedTuple):
    """How long so many enqueues took, and when the first of all began (time.monotonic)."""

    seconds: float
    jobs: int
    began: float


class Programs:
    """A contender on its servers, with a file of marks."""

    def __init__(self, contender: Contender, servers: Servers, valkey: str) -> None:
        self.contender = contender
        self.command, self.folder = contender.program
        self.marks = servers.folder / "marks"
        self.errors = servers.folder / "errors"
        self.database = servers.database_of(contender.key)
        self.environment = contender.environment() | {
            "REDIS_URL": valkey,
            "DATABASE_URL": self.database,
            "BENCH_MARKS": str(self.marks),
        }

    def reset(self) -> None:
        """No job is left, and no mark."""
        self._run("reset")
        self.forget()

    def forget(self) -> None:
        """Start counting anew. No worker may be running."""
        self.marks.write_bytes(b"")

    def enqueue(self, way: str, count: int, wait_ms: int = 0) -> Enqueued:
        """Raises NotOffered where there is no such call."""
        answer = json.loads(self._run("enqueue", way, count, wait_ms))
        return Enqueued(answer["seconds"], answer["jobs"], answer["began"] / 1e9)

    def fill(self, count: int, wait_ms: int = 0) -> Enqueued:
        """Enqueue in the fastest way there is, and have the planner know of it."""
        try:
            enqueued = self.enqueue("bulk", count, wait_ms)
        except NotOffered:
            enqueued = self.enqueue("concurrent", count, wait_ms)
        with psycopg.connect(self.database, autocommit=True) as session:
            session.execute("ANALYZE")
        return enqueued

    def latency(self, count: int, per_second: float) -> None:
        self._run("latency", count, per_second)

    @contextmanager
    def working(self, slots: int) -> Iterator["Workers"]:
        """The contender's workers, from their start to their end."""
        with self.errors.open("wb") as errors:
            started = [
                subprocess.Popen(
                    [*self.command, "work", str(slots)],
                    cwd=self.folder,
                    env=self.environment,
                    stdout=errors,
                    stderr=errors,
                    start_new_session=True,
                )
                for _ in range(self.contender.programs)
            ]
        workers = Workers(self, started)
        try:
            yield workers
        finally:
            workers.stop()

    def _run(self, *words: object) -> str:
        command = [*self.command, *map(str, words)]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"{words[0]}: not done in {PATIENCE} s") from None
        if done.returncode == driver.NOT_OFFERED:
            raise NotOffered
        if done.returncode:
            raise Failed(f"{words[0]}: {last_line(done.stderr)}")
        return done.stdout


class Workers:
    """Running worker programs, and what they have done."""

    def __init__(self, programs: Programs, started: list["subprocess.Popen[bytes]"]) -> None:
        self.programs, self.started = programs, started
        self.end = time.monotonic() + PATIENCE

    def done(self) -> int:
        """How many bodies have run. Raises Failed when a program ended or nothing came for long."""
        if any(process.poll() is not None for process in self.started):
            raise Failed(f"a worker ended: {last_line(self.programs.errors.read_text())}")
        if time.monotonic() > self.end:
            raise Failed(f"not done in {PATIENCE} s: {marks.count(self.programs.marks)} jobs ran")
        return marks.count(self.programs.marks)

    def until(self, count: int, *, settled: bool = True) -> None:
        """Wait until so many bodies have run and, `settled`, until the rows of all of ours say so too."""
        while self.done() < count:
            time.sleep(LOOK)
        if settled and self.programs.contender.is_ours:
            with psycopg.connect(self.programs.database, autocommit=True) as session:
                # Two questions, each with an index: one about both would read a table of millions.
                waits = "SELECT 1 FROM jobs_job WHERE status = 'pending' LIMIT 1"
                runs = "SELECT 1 FROM jobs_job WHERE status = 'processing' LIMIT 1"
                while session.execute(waits).fetchone() or session.execute(runs).fetchone():
                    self.done()
                    time.sleep(LOOK)

    def mebibytes(self) -> float:
        """The memory of all processes; what some share is counted once."""
        total = 0
        for process in self._all():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total / 2**20

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for whatever of theirs is left."""
        everything = self._all()
        for process in self.started:
            process.terminate()
        _, left = psutil.wait_procs(everything, timeout=30)
        for process in self.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        psutil.wait_procs(left, timeout=10)

    def _all(self) -> list[psutil.Process]:
        found = []
        for process in self.started:
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(process.pid)
                found += [parent, *parent.children(recursive=True)]
        return found


def last_line(text: str) -> str:
    return ([line for line in text.splitlines() if line.strip()] or ["without a word"])[-1].strip()[:300]
