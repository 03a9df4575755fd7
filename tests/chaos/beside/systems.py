"""The systems that stand side by side: how each one's workers are started, and how it is given a job."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID

import redis
from celery import Task, chain
from kombu.exceptions import KombuError

from benchmarks.peers import environments
from jobs.management import embedded
from jobs.models import Job, Status
from tests.chaos.beside.load import Item
from tests.chaos.checks import LOSSES
from tests.chaos.cluster import POOLS, Cluster, node
from tests.chaos.faults import Refused
from tests.chaos.tasks import chaos_work
from tests.integration.workers import ROOT, Process, environment, wait_for

HERE = Path(__file__).parent
ANSWER = 60.0  # seconds for a call of BullMQ's producer; longer than any outage


class Contender(Cluster):
    """One of the systems. Its servers are its own."""

    beats = ()
    transactional = False

    def __init__(self, folder: Path, postgres: embedded.Postgres, valkey: embedded.Valkey, journal: str) -> None:
        super().__init__(folder, postgres, valkey)
        self.journal = journal

    def enqueue(self, item: Item) -> None:
        """Raises Refused or a database error."""
        raise NotImplementedError

    def chain(self, items: Sequence[Item]) -> None:
        """Each after the end of the one before."""
        raise NotImplementedError

    def given_up(self) -> set[UUID]:
        """Jobs that the system shows as failed."""
        return set()


class CeleryContender(Contender):
    """What is called as Celery is."""

    task: Task[Any, Any]

    def payload(self, item: Item) -> dict[str, Any]:
        return {"seconds": item.seconds, "fails": item.fails, "hopeless": item.hopeless}

    def enqueue(self, item: Item) -> None:
        try:
            self.task.apply_async(kwargs=self.payload(item), task_id=str(item.id), countdown=item.delay)
        except (KombuError, redis.RedisError, OSError) as error:
            raise Refused(str(error)) from error

    def chain(self, items: Sequence[Item]) -> None:
        steps = [self.task.si(**self.payload(item)).set(task_id=str(item.id)) for item in items]
        try:
            chain(*steps).apply_async()
        except (KombuError, redis.RedisError, OSError) as error:
            raise Refused(str(error)) from error


class Jobyard(CeleryContender):
    """This product."""

    transactional = True
    task = chaos_work

    def payload(self, item: Item) -> dict[str, Any]:
        return {**super().payload(item), "journal": self.journal}

    def given_up(self) -> set[UUID]:
        return set(Job.objects.filter(status=Status.FAILED).values_list("id", flat=True))


class Peer(Contender):
    """Another system: a worker says that it is ready. What it starts may outlive it, and ends with the run."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.groups: list[int] = []
        self.environ = {**environment(LOSSES=str(LOSSES)), "DJANGO_SETTINGS_MODULE": ""}

    def command(self, pool: str) -> Sequence[str | Path]:
        """Of a worker."""
        raise NotImplementedError

    def boot(self, pool: str) -> Process:
        worker = Process(self.folder / f"{pool}.log", self.command(pool), self.environ)
        self.groups.append(worker.pid)
        return worker

    def wait_until_up(self) -> None:
        for worker in self.workers.values():
            wait_for(lambda log=worker.log: " ready." in log.read_text(), worker.log.name)  # type: ignore[misc]

    def stop(self) -> None:
        super().stop()
        for group in self.groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


class Celery(CeleryContender, Peer):
    """See `stock`."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        from tests.chaos.beside.stock import work  # its broker is in the environment by now

        self.task = work

    def payload(self, item: Item) -> dict[str, Any]:
        return {**super().payload(item), "path": self.journal}

    def command(self, pool: str) -> Sequence[str | Path]:
        options = ["--hostname", node(pool), "--pool", pool, "--concurrency", str(POOLS[pool]), "--loglevel", "INFO"]
        celery = [sys.executable, "-m", "celery", "-A", "tests.chaos.beside.stock", "worker", *options]
        return [*celery, "--without-mingle", "--without-gossip"]


class BullMQ(Peer):
    """Its lock lasts as long as a lease of ours, and a job may be stalled as often as it may lose a worker of ours.

    Raises environments.Missing where there is no Node.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.programs = environments.node(sorted(HERE.glob("bullmq_*.mjs")))
        self.numbers = itertools.count()
        self.answers: dict[int, SimpleQueue[dict[str, Any]]] = {}
        self.telling = threading.Lock()
        with (self.folder / "producer.log").open("ab") as log:
            self.producer = subprocess.Popen(
                ["node", self.programs / "bullmq_producer.mjs"],
                env=self.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
            )
        threading.Thread(target=self._hear, name="chaos-producer", daemon=True).start()

    def command(self, pool: str) -> Sequence[str | Path]:
        return ["node", self.programs / "bullmq_worker.mjs", pool, str(POOLS[pool])]

    def enqueue(self, item: Item) -> None:
        self._ask("add", [item])

    def chain(self, items: Sequence[Item]) -> None:
        self._ask("chain", items)

    def given_up(self) -> set[UUID]:
        return {UUID(job) for job in self._ask("failed")["ids"]}

    def stop(self) -> None:
        super().stop()
        self.producer.kill()
        self.producer.wait()

    def _ask(self, act: str, items: Sequence[Item] = ()) -> dict[str, Any]:
        call = next(self.numbers)
        answer = self.answers[call] = SimpleQueue()
        jobs = [{**asdict(item), "id": str(item.id), "journal": self.journal} for item in items]
        assert self.producer.stdin
        with self.telling:
            self.producer.stdin.write(json.dumps({"call": call, "act": act, "jobs": jobs}) + "\n")
            self.producer.stdin.flush()
        try:
            said = answer.get(timeout=ANSWER)
        except Empty:
            raise Refused("no answer") from None
        finally:
            del self.answers[call]
        if "error" in said:
            raise Refused(said["error"])
        return said

    def _hear(self) -> None:
        assert self.producer.stdout
        for line in self.producer.stdout:
            said = json.loads(line)
            if answer := self.answers.get(said["call"]):
                answer.put(said)
