"""The processes under test: servers, workers and beats, each started again when it ends, as a supervisor does."""

import os
import random
import signal
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models.functions import Now

from jobs.management import embedded
from jobs.models import Leader
from jobs.models import Worker as Row
from tests.integration.workers import Process, Worker, environment, wait_for

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.chaos.settings"}
QUEUES = "default,narrow"
POOLS = {"threads": 12, "prefork": 3}
BEATS = ("beat-1", "beat-2")
LOOK = 0.2  # seconds between two looks for processes that have ended


def node(pool: str) -> str:
    """The name of the worker with this pool, whichever boot of it."""
    return f"{pool}@chaos"


def beat(log: Path) -> Process:
    """A beat in a process group of its own."""
    command = [sys.executable, "-m", "celery", "-A", "config", "beat", "--loglevel", "INFO"]
    return Process(log, command, environment(**SETTINGS))


class Cluster:
    """Two workers of different pools, two beats, a PostgreSQL and a Valkey."""

    beats: tuple[str, ...] = BEATS

    def __init__(self, folder: Path, postgres: embedded.Postgres, valkey: embedded.Valkey) -> None:
        self.folder = folder
        self.postgres = postgres
        self.valkey = valkey
        self.workers: dict[str, Process] = {}
        self.beating: dict[str, Process] = {}
        self.losses: list[tuple[str, datetime]] = []  # of runs: the node whose worker was struck, and when
        self.postgres_alone = threading.Lock()  # one fault of it at a time
        self.valkey_alone = threading.Lock()
        self._changing = threading.RLock()
        self._ended = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="chaos-supervisor", daemon=True)

    def start(self) -> None:
        self._tend()
        self.wait_until_up()
        self._supervisor.start()

    def boot(self, pool: str) -> Process:
        """A worker."""
        options = ("--pool", pool, "--concurrency", str(POOLS[pool]), "--queues", QUEUES)
        return Worker(self.folder / f"{pool}.log", node(pool), options, **SETTINGS)

    def wait_until_up(self) -> None:
        """Until the first workers work."""
        up = Row.objects.values_list("name", flat=True)
        wait_for(lambda: all(any(name.startswith(node(pool)) for name in up.all()) for pool in POOLS), "the workers")

    def stop(self) -> None:
        """Leave no process; the servers stay."""
        self._ended.set()
        self._supervisor.join()
        for worker in self.workers.values():
            worker.remove()
        for beat in self.beating.values():
            beat.kill()

    def kill_worker(self, pool: str) -> None:
        """SIGKILL to the worker's parent."""
        with self._changing:
            self.note_loss(pool)
            self.workers[pool].kill()

    def freeze_worker(self, pool: str) -> Process:
        """SIGSTOP to it and its children."""
        with self._changing:
            self.note_loss(pool)
            self.workers[pool].freeze()
            return self.workers[pool]

    def kill_child(self, number: random.Random) -> None:
        """SIGKILL to a process of the prefork pool, if it has one."""
        with self._changing, suppress(psutil.NoSuchProcess):
            if children := self.workers["prefork"].children():
                self.note_loss("prefork")
                os.kill(number.choice(children), signal.SIGKILL)

    def note_loss(self, pool: str) -> None:
        self.losses.append((node(pool), datetime.now(UTC)))

    def kill_beat(self, name: str) -> None:
        with self._changing:
            self.beating[name].kill()

    def crash_postgres(self) -> None:
        """Immediate shutdown: no checkpoint, so that its next start recovers from the log."""
        postmaster = psutil.Process(self.postgres.server.get_pid())
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait()

    def pool_leading(self, duty: str) -> str | None:
        """The pool of the worker that has this duty."""
        holder = Leader.objects.filter(duty=duty, expires_at__gt=Now()).values_list("holder", flat=True).first()
        return next((pool for pool in POOLS if holder and holder.startswith(node(pool))), None)

    def _supervise(self) -> None:
        while not self._ended.wait(LOOK):
            try:
                self._tend()
            except DatabaseError:  # which a worker's start asks first
                connection.close()
        connection.close()

    def _tend(self) -> None:
        with self._changing:
            for pool in POOLS:
                if pool not in self.workers or self.workers[pool].process.poll() is not None:
                    self.workers[pool] = self.boot(pool)
            for name in self.beats:
                if name not in self.beating or self.beating[name].process.poll() is not None:
                    self.beating[name] = beat(self.folder / f"{name}.log")
