"""The processes under test: servers, workers and beats, each started again when it ends, as a supervisor does."""

import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil
from celery.platforms import set_pdeathsig  # type: ignore[attr-defined]
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models.functions import Now

from jobs.management import embedded
from jobs.models import Leader
from tests.integration.workers import ROOT, Worker, environment

SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.chaos.settings"}
QUEUES = "default,narrow"
POOLS = {"threads": 12, "prefork": 3}
BEATS = ("beat-1", "beat-2")
LOOK = 0.2  # seconds between two looks for processes that have ended


def node(pool: str) -> str:
    """The name of the worker with this pool, whichever boot of it."""
    return f"{pool}@chaos"


class Beat:
    """A beat in a process group of its own."""

    def __init__(self, log: Path) -> None:
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "config", "beat", "--loglevel", "INFO"],
                cwd=ROOT,
                env=environment(**SETTINGS),
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=partial(set_pdeathsig, "SIGKILL"),
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Cluster:
    """Two workers of different pools, two beats, a PostgreSQL and a Valkey."""

    def __init__(self, folder: Path, postgres: embedded.Postgres, valkey: embedded.Valkey) -> None:
        self.folder = folder
        self.postgres = postgres
        self.valkey = valkey
        self.workers: dict[str, Worker] = {}
        self.beats: dict[str, Beat] = {}
        self.losses: list[tuple[str, datetime]] = []  # of runs: the node whose worker was struck, and when
        self.postgres_alone = threading.Lock()  # one fault of it at a time
        self.valkey_alone = threading.Lock()
        self._changing = threading.RLock()
        self._ended = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="chaos-supervisor", daemon=True)

    def start(self) -> None:
        self._tend()
        for worker in self.workers.values():
            worker.wait_until_up()
        self._supervisor.start()

    def stop(self) -> None:
        """Leave no process; the servers stay."""
        self._ended.set()
        self._supervisor.join()
        for worker in self.workers.values():
            worker.remove()
        for beat in self.beats.values():
            beat.kill()

    def kill_worker(self, pool: str) -> None:
        """SIGKILL to the worker's parent."""
        with self._changing:
            self.note_loss(pool)
            self.workers[pool].kill()

    def freeze_worker(self, pool: str) -> Worker:
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
            self.beats[name].kill()

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
                    self.workers[pool] = self._boot(pool)
            for name in BEATS:
                if name not in self.beats or self.beats[name].process.poll() is not None:
                    self.beats[name] = Beat(self.folder / f"{name}.log")

    def _boot(self, pool: str) -> Worker:
        options = ("--pool", pool, "--concurrency", str(POOLS[pool]), "--queues", QUEUES)
        return Worker(self.folder / f"{pool}.log", node(pool), options, **SETTINGS)
