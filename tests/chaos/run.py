"""One storm: load and faults together, then quiet until all is done, then what held."""

import argparse
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobs.management import embedded
from jobs.models import Job, Status
from tests.chaos import checks
from tests.chaos.cluster import Cluster
from tests.chaos.faults import FAULTS, Storm, Strike, fill_disk
from tests.chaos.ledger import open_ledger
from tests.chaos.load import Load
from tests.chaos.settings import NARROW
from tests.chaos.tasks import chaos_work
from tests.integration.jobtypes.journal import Journal

SETTLE = 180.0  # seconds for all jobs to end after the last fault
SCHEDULE = "chaos"
EVERY = 3  # seconds
SHOWN = 5  # of what broke an invariant


def run(
    options: argparse.Namespace,
    postgres: embedded.Postgres,
    valkey: embedded.Valkey,
    folder: Path,
    *,
    can_fill_disk: bool,
) -> int:
    """The exit status: 0 when everything held."""
    call_command("migrate", verbosity=0)
    open_ledger()
    journal = Journal(folder / "journal")
    logs = options.logs or folder
    logs.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(logs, postgres, valkey)
    faults = tuple(
        fault for fault in (*FAULTS, *[fill_disk] * can_fill_disk) if re.search(options.only, fault.__name__)
    )
    storm = Storm(cluster, options.seed, options.minutes * 60, partial(_probe, journal.path), faults)
    load = Load(options.seed, journal.path, options.rate)
    print(f"seed {options.seed}: {options.minutes:g} minutes, {options.rate:g} jobs a second", flush=True)
    try:
        cluster.start()
        _schedule(journal.path)
        load.start()
        storm.run()
        if not load.is_alive():
            raise RuntimeError("the load ended by itself: see its traceback above")
        load.ended.set()
        load.join()
        connection.close()  # which a fault may have ended
        PeriodicTask.objects.filter(name=SCHEDULE).update(enabled=False)
        settled = _settle()
    finally:
        cluster.stop()
    report(cluster, storm.strikes, load)
    if not can_fill_disk:
        print("fill_disk was NOT run: it needs to mount a small disk, as root")
    print(f"all jobs had ended {settled:.1f} s after the last fault" if settled else "jobs are left over")
    return verdict(
        list(checks.findings(load.kept, load.undone, journal, schedule=SCHEDULE, every=EVERY, narrow=NARROW)), options
    )


def _probe(journal: str) -> Callable[[], bool]:
    job = chaos_work.enqueue({"journal": journal}, tags=["probe"], priority="critical").id
    return Job.objects.filter(id=job, status=Status.COMPLETED).exists


def _schedule(journal: str) -> None:
    interval = IntervalSchedule.objects.create(every=EVERY, period="seconds")
    arguments = json.dumps({"journal": journal})
    PeriodicTask.objects.create(name=SCHEDULE, task="chaos_work", kwargs=arguments, interval=interval)


def _settle() -> float | None:
    """Seconds until no job was active any more."""
    begin = time.monotonic()
    while Job.objects.active().exists():
        if time.monotonic() - begin > SETTLE:
            return None
        time.sleep(0.1)
    return time.monotonic() - begin


def report(cluster: Cluster, strikes: list[Strike], load: Load) -> None:
    """What was done, and how long it took to recover."""
    by_fault: dict[str, list[Strike]] = defaultdict(list)
    for strike in strikes:
        by_fault[strike.fault].append(strike)
    print(f"\n{'fault':20} {'times':>5}   a job enqueued right after it had run")
    for fault, done in sorted(by_fault.items()):
        served = [strike.service for strike in done if strike.service is not None]
        missed = [strike.trouble for strike in done if strike.trouble]
        note = f"; {len(missed)} not done: {missed[0]}" if missed else ""
        print(f"{fault:20} {len(done) - len(missed):>5}   {checks.spread(served)}{note}")
    again = checks.recoveries(cluster.losses)
    print(
        f"{'runs lost':20} {len(again):>5}   the job's next run, after the loss of its worker: {checks.spread(again)}"
    )
    print(f"\n{'jobs':20} {'told':>6}   ended")
    told: dict[str, int] = defaultdict(int)
    for kind in load.kept.values():
        told[kind] += 1
    for kind, ends in checks.ends_by_kind().items():
        print(f"{kind:20} {told[kind]:>6}   {', '.join(f'{status} {number}' for status, number in ends.items())}")
    print(f"{sum(load.refused.values())} calls were refused while Postgres was away")
    print(f"{checks.given_up()} jobs were given up after {checks.LOSSES} lost workers\n")


def verdict(findings: list[checks.Finding], options: argparse.Namespace) -> int:
    """Print each invariant; 1 when one is broken."""
    for finding in findings:
        print(f"{len(finding.broken):>6}  {finding.invariant}")
        for each in finding.broken[:SHOWN]:
            print(f"          {each}")
    if any(finding.broken for finding in findings):
        print(f"\nBROKEN. Again: make chaos ARGS='--seed {options.seed} --minutes {options.minutes:g}'")
        return 1
    print("\nEverything held.")
    return 0
