"""Worker processes of a test: started on its database and Redis, struck in every way, and gone at its end."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self
from urllib.parse import quote
from uuid import UUID

import psutil
from celery.platforms import set_pdeathsig  # type: ignore[attr-defined]
from django.conf import settings
from django.db import connection

from jobs.models import Job, Status
from jobs.models import Worker as Row

ROOT = Path(__file__).parents[2]
Id = UUID | str
PATIENCE = 120.0  # seconds: how long a condition may take on a machine that is busy with other things


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Until the condition holds. Never for a time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)


def environment(**changes: str) -> dict[str, str]:
    """For processes that work with this process's database and Redis."""
    database = connection.settings_dict
    user, host, name = (quote(database[part], safe="") for part in ("USER", "HOST", "NAME"))
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.integration.settings",
        "DATABASE_URL": f"postgres://{user}@{host}/{name}",
        "REDIS_URL": settings.REDIS_URL,
        "JOBS_SHUTDOWN_GRACE": "10",
        **changes,
    }


class Process:
    """A process in a group of its own, which goes when this process is killed. What it says is added to `log`."""

    def __init__(
        self, log: Path, command: Sequence[str | Path], environ: Mapping[str, str], folder: Path = ROOT
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environ,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=partial(set_pdeathsig, "SIGKILL"),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> list[int]:
        """The processes of its pool."""
        return [child.pid for child in psutil.Process(self.pid).children()]

    def kill(self) -> None:
        """SIGKILL to the parent alone: its children must not outlive it."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        self.process.terminate()

    def stop(self, seconds: float = PATIENCE) -> int:
        """SIGTERM, and its exit status."""
        self.terminate()
        return self.process.wait(seconds)

    def freeze(self) -> None:
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def remove(self) -> None:
        """Leave nothing of it."""
        if self.process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()


class Worker(Process):
    """A Celery worker of ours."""

    def __init__(self, log: Path, node: str, options: Sequence[str], **changes: str) -> None:
        self.node = node
        self.before = self._boots()
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--hostname", node, *options]
        super().__init__(log, [*command, "--without-mingle", "--without-gossip"], environment(**changes))

    @property
    def row(self) -> Row | None:
        """The latest boot of this node that has written a row."""
        return Row.objects.filter(name__startswith=f"{self.node}:").order_by("-started_at").first()

    def wait_until_up(self) -> Self:
        """Its row is there."""
        wait_for(lambda: self.process.poll() is not None or self._boots() - self.before, "the worker's row")
        assert self.process.poll() is None, self.log.read_text()
        return self

    def wait_until_connected(self) -> Self:
        """It hears remote commands."""
        wait_for(lambda: " ready." in self.log.read_text(), "the worker's connection to Redis")
        return self

    def _boots(self) -> set[str]:
        """Names of the boots of this node that have written a row."""
        return set(Row.objects.filter(name__startswith=f"{self.node}:").values_list("name", flat=True))


class Start:
    """The fixture: starts workers, and removes them at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[Worker] = []

    def __call__(
        self,
        pool: str = "threads",
        concurrency: int = 4,
        queues: str = "default",
        *options: str,
        node: str = "",
        wait: bool = True,
        **changes: str,
    ) -> Worker:
        """`changes` are environment variables. `node` starts one under the same name as another."""
        node = node or f"{pool}-{uuid.uuid4().hex[:8]}@test"
        log = self.folder / f"worker-{len(self.workers)}.log"
        options = ("--pool", pool, "--concurrency", str(concurrency), "--queues", queues, *options)
        worker = Worker(log, node, options, **changes)
        self.workers.append(worker)
        return worker.wait_until_up() if wait else worker

    def logs(self) -> str:
        """What they all wrote."""
        return "\n".join(f"--- {worker.log.name}\n{worker.log.read_text()[-8000:]}" for worker in self.workers)

    def end(self) -> None:
        for worker in self.workers:
            worker.remove()


def statuses(ids: Collection[Id]) -> dict[str, int]:
    """How many of these jobs are in which status."""
    found: dict[str, int] = {}
    for status in Job.objects.filter(id__in=ids).values_list("status", flat=True):
        found[status] = found.get(status, 0) + 1
    return found


def wait_for_end(ids: Collection[Id] = (), seconds: float = PATIENCE) -> None:
    """Until none of these jobs is active, or no job at all."""
    left = Job.objects.active().filter(id__in=ids) if ids else Job.objects.active()
    wait_for(lambda: not left.exists(), f"the end of {len(ids) or 'all'} jobs", seconds)


def wait_for_status(job: Id, status: Status, seconds: float = PATIENCE) -> Job:
    """Until the job has this status; and the job."""
    wait_for(lambda: Job.objects.get(id=job).status == status, f"{job} to be {status}", seconds)
    return Job.objects.get(id=job)
