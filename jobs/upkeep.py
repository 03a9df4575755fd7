"""The sweeps that keep jobs moving: rescue what was lost, expire what is late, prune what is old; and roll up history.

Run by whichever worker leads. Each sweep handles one bounded batch and returns how many rows it touched, so
two leaders by accident do no harm. What a job *becomes* is lifecycle's business.
"""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db.models.functions import Now

from jobs import alerts, leadership, lifecycle, rollups, schedules
from jobs.calling import processors
from jobs.models import Event, IdempotencyKey, Status, Worker

log = logging.getLogger("jobs.upkeep")

DUTY = "upkeep"
LEASE = settings.JOBS_LEASE
TERM = LEASE / 3  # seconds a leader is believed
INTERVAL = min(2.0, TERM / 4)  # seconds between two rounds
ERROR_INTERVAL = 10.0  # seconds between two looks for new errors
ROLL_UP_TIME = TERM / 4  # seconds that a round catches up with history at most
PRUNE_INTERVAL = 3600.0
PRUNE_TIME = TERM / 4  # seconds that a round prunes at most: the lead, and rescue with it, must go on
PRUNE_CHUNK = 1000
PRUNE_PAUSE = 0.05  # seconds after each chunk, for the others
GONE_AFTER = 24 * 3600  # seconds without a heartbeat after which a worker's row goes


class Upkeep(leadership.Candidate):
    """A worker's candidate for the lead."""

    duty = DUTY
    term = TERM
    interval = INTERVAL
    statement_timeout = 60_000

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.next_errors = 0.0
        self.next_prune = 0.0
        self.pruning: Iterator[int] = iter(())  # what is left of it

    def round(self) -> None:
        """One pass over all sweeps."""
        now = time.monotonic()
        # After an outage of Postgres every lease looks stale, as no worker could renew: give them one lease of time.
        # An outage breaks the lead, since a term and the gap it bears are shorter than what a lease has left at worst.
        if leadership.unbroken(DUTY) >= LEASE:
            fatal = {name for name, task in processors().items() if task.on_lost == "fail"}
            _told("rescued", repeat(partial(lifecycle.rescue, fatal=fatal)))
        _told("expired", repeat(lifecycle.expire))
        lifecycle.resume_due()
        rolled_up = self.roll_up(now)
        if now >= self.next_prune and rolled_up:  # what has gone would be missing in history
            self.next_prune = now + PRUNE_INTERVAL
            self.pruning = pruning()
        _told("pruned", self.prune())

    def roll_up(self, now: float) -> bool:
        """Add to history what is new. False while there is more of it than a round has time for."""
        end = time.monotonic() + ROLL_UP_TIME
        while rollups.roll_up():
            if time.monotonic() > end:
                return False
        if now >= self.next_errors:
            self.next_errors = now + ERROR_INTERVAL
            rollups.roll_up_errors()
        return True

    def prune(self) -> int:
        """Go on with pruning where the round before left off."""
        total, end = 0, time.monotonic() + PRUNE_TIME
        for count in self.pruning:
            total += count
            time.sleep(PRUNE_PAUSE)
            if time.monotonic() > end:
                break
        return total


def repeat(sweep: Callable[[int], int], limit: int = 500) -> int:
    """Run a sweep until it finds less than a whole batch, and not for ever."""
    total = 0
    for _ in range(20):
        count = sweep(limit)
        total += count
        if count < limit:
            break
    return total


def _told(what: str, count: int) -> None:
    if count:
        log.info("%s %d jobs", what, count)


def pruning() -> Iterator[int]:
    """Delete jobs that ended longer ago than they are kept: by type where it says so, else by the settings.

    Chunk after chunk: how many jobs each was.
    """
    own = {name: task.retention for name, task in processors().items() if task.retention}
    for status in (Status.COMPLETED, Status.CANCELLED, Status.FAILED):
        general = settings.JOBS_RETENTION[status.value]
        yield from _chunks(partial(lifecycle.prune, status, general, PRUNE_CHUNK, but_types=own))
        for name, retention in own.items():
            age = retention.get(status.value, general)
            yield from _chunks(partial(lifecycle.prune, status, age, PRUNE_CHUNK, of_type=name))
    longest = max(settings.JOBS_RETENTION.values())
    Worker.objects.filter(heartbeat_at__lt=Now() - timedelta(seconds=GONE_AFTER)).delete()
    # Another system may send any number of them, and no job takes them along.
    refused = Event.objects.filter(kind="message-refused", at__lt=Now() - timedelta(seconds=longest))
    keys = IdempotencyKey.objects.filter(created_at__lt=Now() - IdempotencyKey.KEPT)
    for sweep in (
        partial(lifecycle.prune_chords, age=3600, open_age=longest, limit=PRUNE_CHUNK),
        partial(schedules.prune_runs, longest, PRUNE_CHUNK),
        partial(alerts.prune, PRUNE_CHUNK),
        lambda: refused.filter(pk__in=refused.values("pk")[:PRUNE_CHUNK]).delete()[0],
        lambda: keys.filter(pk__in=keys.values("pk")[:PRUNE_CHUNK]).delete()[0],
    ):
        yield from (0 for _ in _chunks(sweep))
    rollups.prune()


def _chunks(sweep: Callable[[], int]) -> Iterator[int]:
    while count := sweep():
        yield count
