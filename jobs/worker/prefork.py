"""Celery's pool of processes, with a pair of pipes for each child.

billiard's own children share two pipes, each behind a lock: one that is killed while it holds a lock (an idle
one always does) leaves all others waiting for ever, and a job that it had read and not yet accepted is never
heard of again. Here a child takes nothing with it but its job, and one that it had not begun goes to another.
"""

import threading
import time
from contextlib import suppress
from typing import Any

from billiard import pool
from billiard.connection import wait
from celery.concurrency.prefork import TaskPool as CeleryTaskPool

SharedPipes: Any = pool.Pool  # its stubs know a tenth of it
LOOK = "look again"  # to the thread that reads results: there is another child


class Pool(SharedPipes):
    """The parent's threads stay as they are: one hands jobs over, one reads results, one replaces children."""

    def _setup_queues(self) -> None:
        super()._setup_queues()  # in the parent only, for the sentinels of its threads
        self._lock = threading.Lock()
        self._results: list[Any] = []  # the parent's ends of the children's pipes
        self._readable: list[Any] = []
        self._quick_put = self._hand_over
        self._poll_result = self._read

    def get_process_queues(self) -> tuple[Any, Any, None]:
        return self._ctx.SimpleQueue(), self._ctx.SimpleQueue(), None

    def _create_worker_process(self, i: int) -> Any:
        child = super()._create_worker_process(i)
        # The child has these ends alone: so writing to one that is dead fails, and reading from it ends.
        child.inq._reader.close()
        child.outq._writer.close()
        with self._lock:
            self._results.append(child.outq._reader)
        self._outqueue.put(LOOK)
        return child

    def _hand_over(self, task: Any) -> None:
        """To a child that has nothing to do. None, at the end: to all."""
        if task is None:
            for child in list(self._pool):
                with suppress(OSError):
                    child.inq._writer.send(None)
            return
        job = self._cache[task[1][0]]
        job.task = task
        dead: set[int] = set()
        while self._state == pool.RUN:
            busy = dead.union(*(other.worker_pids() for other in list(self._cache.values())))
            child = next((child for child in list(self._pool) if child.pid and child.pid not in busy), None)
            if child is None:
                time.sleep(0.005)  # one is being replaced
                continue
            # Before it is sent: from here on the job is lost, or handed over again, if the child dies.
            job._worker_pid, job._accepted = child.pid, True
            try:
                child.inq._writer.send(task)
                return
            except OSError:
                dead.add(child.pid)
                job._worker_pid = None
        self._cache.pop(job._job, None)

    def _read(self, timeout: float) -> tuple[bool, Any]:
        """The next message of any child."""
        if not self._readable:
            with self._lock:
                results = [self._outqueue._reader, *self._results]
            self._readable = wait(results, timeout)
        if not self._readable:
            return False, None
        reader = self._readable.pop()
        try:
            message = reader.recv()
        except (EOFError, OSError):  # it died, maybe half-way through a message
            with self._lock:
                self._results.remove(reader)
            reader.close()
            return False, None
        return (False, None) if message == LOOK else (True, message)

    def on_job_process_lost(self, job: Any, pid: int, exitcode: int) -> None:
        if not job._worker_lost:  # billiard would start to wait anew whenever another child dies
            super().on_job_process_lost(job, pid, exitcode)

    def mark_as_worker_lost(self, job: Any, exitcode: int) -> None:
        if job._time_accepted is not None:
            super().mark_as_worker_lost(job, exitcode)
        else:  # it had not begun
            job._worker_lost = job._worker_pid = None
            self._taskqueue.put(([job.task], None))


class TaskPool(CeleryTaskPool):
    """Celery's, for the worker that runs without an event loop."""

    BlockingPool = Pool
