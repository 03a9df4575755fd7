"""One system's run: the load and the storm, then quiet, then how many jobs became of what."""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

from django.core.management import call_command
from django.db import connection

from jobs.management import embedded
from tests.chaos import checks, faults
from tests.chaos.beside.load import IN_TRANSACTION, ORDERS, Call, Item, Load, calls, orders
from tests.chaos.beside.systems import BullMQ, Celery, Contender, Jobyard
from tests.chaos.faults import Storm

CONTENDERS: dict[str, type[Contender]] = {"jobyard": Jobyard, "celery": Celery, "bullmq": BullMQ}
FAULTS = (
    faults.kill_worker,
    faults.freeze_worker,
    faults.kill_child,
    faults.restart_postgres,
    faults.crash_postgres,
    faults.end_sessions,
    faults.kill_redis,
    faults.flush_redis,
    faults.kill_redis_clients,
)
QUIET = 60.0  # seconds without a line of any body: nothing more will come. Twice Celery's visibility timeout
SETTLE = 240.0  # at most


class Bodies:
    """What bodies wrote down so far. Read on from where it was read before."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.path = path
        self.place = 0
        self.begun: Counter[UUID] = Counter()
        self.ended: Counter[UUID] = Counter()

    def read(self) -> int:
        """How many lines are new."""
        with self.path.open("rb") as file:
            file.seek(self.place)
            lines = [line for line in file if line.endswith(b"\n")]  # the last one may be half there
        for line in lines:
            job, _, event, *_ = json.loads(line)
            (self.begun if event == "start" else self.ended)[UUID(job)] += 1
        self.place += sum(map(len, lines))
        return len(lines)


def run(options: argparse.Namespace, postgres: embedded.Postgres, valkey: embedded.Valkey, folder: Path) -> int:
    """Writes the figures, as JSON, where the run of all systems looks for them."""
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(ORDERS)
    journal = folder / "journal"
    seconds = options.minutes * 60
    options.logs.mkdir(parents=True, exist_ok=True)
    contender = CONTENDERS[options.system](options.logs, postgres, valkey, str(journal))
    plan = list(calls(options.seed, seconds, options.rate))
    load, bodies = Load(contender, plan), Bodies(journal)
    possible = tuple(fault for fault in FAULTS if re.search(options.only, fault.__name__))
    storm = Storm(contender, options.seed, seconds, lambda: _probe(contender, journal), possible)
    try:
        contender.start()
        load.start()
        storm.run()
        load.join()
        settled = _settle(bodies)
        connection.close()  # which a fault may have ended
        given_up = contender.given_up()
    finally:
        contender.stop()
    figures = tally(plan, load.told, orders(), bodies, given_up)
    figures |= {"calls": len(plan), "refused": load.refused, "settled": settled}
    figures |= {"faults": sum(not strike.trouble for strike in storm.strikes)}
    figures |= {"service": checks.spread([strike.service for strike in storm.strikes if strike.service is not None])}
    options.figures.write_text(json.dumps(figures))
    return 0


def _probe(contender: Contender, journal: Path) -> Callable[[], bool]:
    """A short job beside the load."""
    probe = Item(uuid4())
    bodies = Bodies(journal)
    bodies.place = journal.stat().st_size
    contender.enqueue(probe)

    def has_run() -> bool:
        bodies.read()
        return probe.id in bodies.ended

    return has_run


def _settle(bodies: Bodies) -> bool:
    """Wait until bodies write no more; False: they still do."""
    begin = last = time.monotonic()
    while time.monotonic() - last < QUIET:
        if bodies.read():
            last = time.monotonic()
        if last - begin > SETTLE:
            return False
        time.sleep(0.5)
    return True


def tally(
    plan: Sequence[Call], told: set[UUID], committed: set[UUID], bodies: Bodies, given_up: set[UUID]
) -> dict[str, object]:
    """How many jobs of the plan became of what. `committed` are those whose transactions did."""
    planned = {item.id for call in plan for item in call.items}
    in_transactions = {item.id for call in plan for item in call.items if call.kind in IN_TRANSACTION}
    ended = bodies.ended.keys() & planned
    missing = (told | committed) - ended
    return {
        "accepted": len(told | committed),
        "ended": len((told | committed) & ended),
        "given up": len(missing & given_up),
        "lost, told": len((missing & told) - given_up),
        "lost, committed": len((missing & committed) - given_up),
        "phantom": len((in_transactions - committed) & bodies.begun.keys()),
        "twice": sum(bodies.ended[job] > 1 for job in ended),
    }
