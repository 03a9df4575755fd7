"""What this worker holds, and the loop that trades with Postgres: outcomes in, claims out, in one commit.

`held` has a run from the moment its claim's commit is known until its finish's commit is known; leases cover
exactly `held`. The first report of a run wins. Nothing is claimed while outcomes cannot be written.
"""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from celery import Celery
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from jobs import broker, lifecycle
from jobs.context import stop_requests
from jobs.errors import Cancelled, JobError, JobTimeout
from jobs.lifecycle import Claimed, Error, Outcome, Verb
from jobs.lifecycle.ends import MAX_LOSSES
from jobs.models import Status
from jobs.sessions import own_session
from jobs.worker.held import Held, Key, State, log_end

if TYPE_CHECKING:
    from jobs.worker.slots import Slots

log = logging.getLogger("jobs.worker")

WINDOW = 0.05  # seconds of measured work to hold ready for each slot
MOST = 1000  # jobs held ready, however short they are
UNTAKEN = 1.0  # seconds after which a buffer that nobody takes from goes back
BATCH = 1000  # outcomes in one statement
GATHER = 100  # outcomes worth a commit while there is more to run
APART = 5.0  # seconds that a job is put off while another one is suspected of taking its worker down
LOCKED = 0.1  # seconds until the next look when a job is due that somebody else has locked


class Feed:
    def __init__(self, app: Celery, hostname: str, queues: Callable[[], Iterable[str]]) -> None:
        self.app = app
        self.name = f"{hostname}:{uuid.uuid4().hex[:8]}"
        self.queues = queues
        self.lock = threading.Lock()
        self.kick = threading.Event()  # there is something to write, or to look for
        self.hungry = threading.Event()  # there is room: a wake-up is wanted
        self.held: dict[Key, Held] = {}
        self.buffer: deque[Held] = deque()
        self.outcomes: list[Outcome] = []
        self.durations: dict[str, float] = {}  # by job type, seconds, a moving average
        self.cost = 1.0  # of the costliest type in the latest claim: what is not measured is taken to be long
        self.taken = 0.0  # when a job last left the buffer
        self.look = True  # there may be pending jobs
        self.woken = False  # somebody said so
        self.put_off = False  # looking around waits for the next turn
        self.next_look = 0.0  # monotonic: when a scheduled job may be due, or a limit have changed
        self.next_poll = 0.0  # monotonic: when to look for pending jobs that no wake-up told of
        self.closing = False  # claims nothing more
        self.draining = False  # the same by an operator's wish: leaves when what runs has ended
        self.closed = threading.Event()  # the same, to be waited for
        self.stopping = False  # ends once all is written
        self.limited: set[str] = set()
        self.processed = self.failed = 0
        self.slots: Slots

    # --- what others ask of it, from any thread -----------------------------------------------------------------

    def take(self, count: int) -> list[Held]:
        """Up to `count` jobs out of the buffer, to be run at once."""
        with self.lock:
            if self.closing:
                return []
            self.taken = time.monotonic()
            taken = [self.buffer.popleft() for _ in range(min(count, len(self.buffer)))]
            for held in taken:
                held.state = State.RUNNING
                held.started = self.taken
        return taken

    def report(self, outcome: Outcome) -> bool:
        """What became of a run. False: it was reported before, and that stands."""
        with self.lock:
            held = self.held.get((outcome.id, outcome.run))
            if held is None or held.state is State.REPORTED:
                return False
            held.state = State.REPORTED
            self.outcomes.append(outcome)
            if outcome.seconds is not None:
                known = self.durations.get(held.job.type)
                weight = 1.0 if known is None else 0.5 if outcome.seconds > known else 0.05
                self.durations[held.job.type] = (known or 0.0) + (outcome.seconds - (known or 0.0)) * weight
        if not self.kick.is_set():
            self.kick.set()
        return True

    def stop_run(self, key: Key, reason: JobError) -> str:
        """End a run before its time: at once where it has not started, as its pool can where it has."""
        with self.lock:
            held = self.held.get(key)
            going_back = held is not None and held.state is State.BUFFERED and held not in self.buffer
            if held is None or going_back or held.state is State.REPORTED or held.stop is not None:
                return "not running here" if held is None else "ending"
            held.stop, held.stopped = reason, time.monotonic()
            waiting = held.state is State.BUFFERED
            if waiting:
                self.buffer.remove(held)
        if waiting:
            self.report(Outcome(*key, Verb.CANCEL if isinstance(reason, Cancelled) else Verb.GIVE_BACK))
            return "stopped"
        stop_requests[key] = reason
        self.slots.stop(held)
        return "told to stop"

    def time_out(self, held: Held) -> None:
        """End a run that has had its time: its row now, its body as soon as the pool can."""
        error = JobTimeout(f"it ran longer than its timeout of {held.job.timeout:g} s")
        if self.stop_run(held.job.key, error) == "told to stop" or held.stop is not None:
            self.report(self.slots.late(held, error))

    def drain(self) -> None:
        """No more claims; what has not started goes back, what runs may take its time."""
        self.closing = self.draining = True
        self.hungry.clear()
        self.kick.set()

    def close(self) -> None:
        """No more claims; what has not started goes back, and what runs has the grace."""
        self.closing = True
        self.closed.set()
        self.hungry.clear()
        self.kick.set()

    def wake(self) -> None:
        """There may be pending jobs, or one that is due before the next look."""
        self.look, self.woken, self.next_look = True, True, 0.0
        self.kick.set()

    def count(self, state: State) -> int:
        with self.lock:
            return sum(held.state is state for held in self.held.values())

    def forget_measure(self) -> None:
        """Nobody takes what we hold, so the guess was wrong."""
        self.cost = max(self.cost, UNTAKEN)
        self.kick.set()

    # --- the loop, in its own thread ------------------------------------------------------------------------------

    def run(self) -> None:
        """Until told to stop and all is written, through any number of database outages."""
        connected = False
        while True:
            try:
                if not connected:
                    self._connect()
                    connected = True
                if not self._turn():
                    return
            except (OperationalError, InterfaceError) as error:
                log.warning("Postgres does not answer, trying again: %s", str(error).strip().partition("\n")[0])
                connected = False
                time.sleep(0.5)
            except Exception:
                log.exception("the feed stumbled, going on")
                connected = False
                time.sleep(1)

    def _connect(self) -> None:
        own_session(idle_in_transaction_session_timeout=10_000, lock_timeout=5_000, statement_timeout=30_000)
        with self.lock:
            held = list(self.held)
        if held:
            lifecycle.renew(held, settings.JOBS_LEASE)
        self._write(self._reports())
        with self.lock:
            held = list(self.held)
        if given_back := lifecycle.start_over(self.name, held):
            log.warning("gave back %d jobs claimed by a commit that was never answered", given_back)

    def _reports(self) -> list[Outcome]:
        with self.lock:
            return self.outcomes[:BATCH]

    def _turn(self) -> bool:
        """Write what is reported, claim what there is room for. False when the feed may end."""
        self.kick.clear()
        with self.lock:
            stopping = self.stopping
        self._trim()
        if len(self.outcomes) < GATHER and len(self.buffer) > self.slots.free() and not stopping:
            time.sleep(0.005)  # there is enough to do: let a batch gather
        outcomes = self._reports()
        now = time.monotonic()
        self.look = self.look or self.woken  # told so while the last claim ran
        if now >= self.next_look and not self.closing:
            self.put_off = self.woken and not self.put_off  # what is known to wait goes first, once
            self.woken = False
            if not self.put_off:
                self._look_around(now)
        room = 0 if self.closing else self._room()
        want = room if self.look else 0
        if outcomes or want > 0:
            claimed = self._trade(outcomes, want)
            if claimed:
                self.slots.fill()
            if outcomes or claimed:
                log.debug("wrote %d outcomes, claimed %d jobs", len(outcomes), len(claimed))
        elif stopping and not self.outcomes:
            return False
        if self.outcomes or (self.look and self._room() > 0 and not self.closing):
            return True
        if not self.closing and self._room() > 0:
            self.hungry.set()
        else:
            self.hungry.clear()  # a token is for a worker that can use it
        left = settings.JOBS_POLL_INTERVAL if self.closing else self.next_look - time.monotonic()
        self.kick.wait(0.05 if stopping else max(0.0, left))
        return True

    def _look_around(self, now: float) -> None:
        """Once in a while, after each wake-up, and when the next scheduled job is due."""
        due = lifecycle.seconds_to_next()
        while due is not None and due <= 0 and lifecycle.promote():
            self.look = True
            due = lifecycle.seconds_to_next()
        self.limited = lifecycle.limited_queues()
        interval: float = settings.JOBS_POLL_INTERVAL
        if now >= self.next_poll or self.limited:
            self.next_poll = now + interval
            self.look = True
        if due is not None:
            interval = min(interval, LOCKED if due <= 0 else due + 0.002)
        self.next_look = min(now + interval, self.next_poll)

    def _room(self) -> int:
        depth = 0 if self.cost > WINDOW else min(MOST, int(self.slots.size * WINDOW / max(self.cost, 1e-4)))
        with self.lock:
            waiting = len(self.buffer)
        room = self.slots.free() + depth - waiting
        return room if room > depth // 2 or waiting == 0 else 0  # not a few at a time while there is enough to do

    def _trim(self) -> None:
        """Give back what the buffer holds beyond its window of work."""
        free = self.slots.free()  # it has a lock of its own, which is never taken under ours
        with self.lock:
            keep = 0 if self.closing else free if self.cost > WINDOW else len(self.buffer)
            surplus = [self.buffer.pop() for _ in range(len(self.buffer) - keep)]
        for held in surplus:
            self.report(Outcome(*held.job.key, Verb.GIVE_BACK))

    def _trade(self, outcomes: list[Outcome], want: int) -> list[Claimed]:
        queues = list(self.queues()) if want > 0 else []
        limited = self.limited.intersection(queues)
        if outcomes or limited:
            try:
                with transaction.atomic():
                    changed = lifecycle.finish(outcomes)
                    claimed = self._claim(queues, want, limited) if want > 0 else []
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError as error:
                log.error("a batch of %d outcomes was refused, writing them one by one: %s", len(outcomes), error)
                self._write_singly(outcomes)
                return []
            self._written(outcomes, changed)
        else:
            claimed = self._claim(queues, want, limited)
        if want > 0:
            claimed = self._one_suspect(claimed)
            self._hold(claimed, want)
        return claimed

    def _one_suspect(self, claimed: list[Claimed]) -> list[Claimed]:
        """Jobs whose next loss is their last run one at a time here: the one that takes workers down then fails alone.

        The others are put off before it starts.
        """
        suspects = [job for job in claimed if job.losses >= MAX_LOSSES - 1]
        if not suspects:
            return claimed
        with self.lock:
            has_one = any(held.job.losses >= MAX_LOSSES - 1 for held in self.held.values())
        others = {job.key for job in (suspects if has_one else suspects[1:])}
        lifecycle.finish([Outcome(*key, Verb.SNOOZE, delay=APART) for key in others])
        return [job for job in claimed if job.key not in others]

    def _claim(self, queues: list[str], want: int, limited: Iterable[str]) -> list[Claimed]:
        caps = dict.fromkeys(queues, want)
        rooms = lifecycle.room(list(limited)) if limited else {}
        for name in limited:
            caps[name] = min(rooms.get(name, 0), self.slots.free())  # what has a limit is not held ready
        return lifecycle.claim(
            caps, want, worker=self.name, lease=settings.JOBS_LEASE, limited=list(rooms), avoid=self.slots.zombies()
        )

    def _hold(self, claimed: list[Claimed], want: int) -> None:
        self.look = len(claimed) >= want
        if claimed:
            self.cost = max(self.durations.get(job.type, 1.0) for job in claimed)
        with self.lock:
            self.taken = time.monotonic()
            # What may not wait here starts first.
            for job in sorted(claimed, key=lambda job: not (job.losses or job.queue in self.limited)):
                held = self.held[job.key] = Held(job)
                self.buffer.append(held)
        if self.look:
            broker.wake({job.queue for job in claimed})  # a full batch: there may be more, for another worker too

    def _write(self, outcomes: list[Outcome]) -> None:
        if outcomes:
            try:
                self._written(outcomes, lifecycle.finish(outcomes))
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError:
                self._write_singly(outcomes)

    def _write_singly(self, outcomes: list[Outcome]) -> None:
        """One outcome that Postgres refuses must not keep the others from being written."""
        for outcome in outcomes:
            try:
                changed = lifecycle.finish([outcome])
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError as error:
                log.error("job %s: its outcome was refused: %s", outcome.id, error)
                refused = Error("OutcomeRefused", "the database refused what this run reported", "", "permanent")
                outcome = Outcome(outcome.id, outcome.run, Verb.FAIL, error=refused)
                changed = lifecycle.finish([outcome])
            self._written([outcome], changed)

    def _written(self, outcomes: list[Outcome], changed: dict[Key, Status]) -> None:
        now = time.monotonic()
        for outcome in outcomes:
            if outcome.verb in (Verb.RETRY, Verb.SNOOZE):
                self.next_look = min(self.next_look, now + outcome.delay)
        with self.lock:
            del self.outcomes[: len(outcomes)]
            ended = [(outcome, self.held.pop((outcome.id, outcome.run), None)) for outcome in outcomes]
        if any(held and held.job.queue in self.limited for _, held in ended):
            self.look = True  # another job of that queue may run now
        for outcome, held in ended:
            status = changed.get((outcome.id, outcome.run))
            log_end(outcome, held, status)
            if held is not None and held.request is not None and status is not None:
                held.request.tell(outcome, status)
            self.processed += outcome.verb is not Verb.GIVE_BACK
            self.failed += outcome.verb in (Verb.FAIL, Verb.RETRY)
