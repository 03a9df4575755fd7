"""The feed as a step of Celery's worker: after the pool and before the consumer, once each, whatever the broker does.

Contract with Celery 5.7, each with a test: steps of the worker blueprint, `worker_shutting_down`, `use_eventloop`,
`pool.on_close`, `pool.on_stop`, `in_sighandler`, `pool.num_processes`, `app.amqp.queues.consume_from`, `build_tracer`.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from celery import bootsteps, signals
from celery.app.trace import build_tracer
from celery.exceptions import WorkerTerminate
from celery.platforms import EX_FAILURE
from celery.utils import log as celery_log
from django.conf import settings

from jobs import checks
from jobs.alerts.watch import Watch
from jobs.lifecycle import Outcome, Verb
from jobs.upkeep import Upkeep
from jobs.worker import prefork, slots, trips
from jobs.worker.feed import Feed
from jobs.worker.held import State
from jobs.worker.leases import Clock, Leases
from jobs.worker.taskevents import EventSender, TaskEvents
from jobs.worker.wakeups import WakeUps

log = logging.getLogger("jobs.worker")

KINDS = {"prefork": trips.ProcessSlots, "thread": slots.ThreadSlots, "solo": slots.SoloSlots}
EX_CONFIG = 78
LEAVE = 10.0  # seconds after the feed was closed in which Celery should have come to our `stop`

FEED: Feed | None = None  # of this worker: remote commands find it here


class FeedStep(bootsteps.StartStopStep):
    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        """Before the pool forks: children inherit what is made here, and no threads."""
        global FEED
        self.kind = worker.pool_cls.__module__.rpartition(".")[2]
        problems = [f"unknown pool {self.kind!r}: prefork, threads or solo"] if self.kind not in KINDS else []
        if worker.autoscale:
            problems.append("--autoscale is not supported: give the worker a --concurrency")
        problems += checks.worker_problems(list(worker.app.amqp.queues.consume_from))
        if problems:
            print("; ".join(problems), file=sys.stderr)  # noqa: T201 (one line, before logging has started)
            os._exit(EX_CONFIG)
        worker.app.log.redirect_stdouts("WARNING")  # what bodies print is a line of the log like any other
        if self.kind == "prefork":
            worker.pool_cls = prefork.TaskPool
        self.feed = FEED = Feed(worker.app, worker.hostname, lambda: list(worker.app.amqp.queues.consume_from))
        self.events = TaskEvents(worker.app, worker)
        self.leaving = threading.Event()
        signals.worker_shutting_down.connect(self._close)

    def start(self, worker: Any) -> None:
        from jobs.worker import control  # noqa: F401 (registers the commands)

        for name, task in worker.app.tasks.items():  # the consumer does so only once it has a broker
            task.__trace__ = build_tracer(name, task, worker.app.loader, worker.hostname, app=worker.app)
        # Else the pool closes before our stop, its supervisor thread ends, and every child which that thread
        # forked dies with it (PR_SET_PDEATHSIG is about the forking thread), its job too.
        worker.pool.on_close = lambda: None
        worker.pool.on_stop = partial(self._stop_pool, worker, worker.pool.on_stop)
        feed = self.feed
        feed.slots = KINDS[self.kind](feed, worker.pool, worker.hostname, self.events)
        self.leases = Leases(feed, feed.slots, self.kind)
        self.upkeep = Upkeep(feed.name)
        self.alerts = Watch(feed.name)
        self.thread = threading.Thread(target=feed.run, name="jobs-feed", daemon=True)
        others = Clock(feed, feed.slots), WakeUps(feed), EventSender(self.events)
        watch = threading.Thread(target=self._leave_anyway, args=(worker,), name="jobs-leaving", daemon=True)
        for thread in (self.thread, self.leases, self.upkeep, self.alerts, watch, *others):
            thread.start()
        log.info("feeding %s from %s", feed.name, ", ".join(sorted(feed.queues())))

    def _close(self, **kwargs: Any) -> None:
        self.feed.close()  # in the signal's handler: seconds before `stop`

    def _leave_anyway(self, worker: Any) -> None:
        """Celery says good-bye to Redis before it comes to us, and waits for ever for one that never answers."""
        self.feed.closed.wait()
        if not self.leaving.wait(LEAVE):
            log.warning("Celery has not stopped within %.0f s: leaving without it", LEAVE)
            self._end_jobs(settings.JOBS_SHUTDOWN_GRACE)
            self._exit(worker)

    @staticmethod
    def _stop_pool(worker: Any, stop: Callable[[], None]) -> None:
        """In a hurry (SIGQUIT, or Ctrl-C twice) Celery comes to the pool first, and would wait for what runs."""
        if celery_log._in_sighandler:  # type: ignore[attr-defined]  # not in its stub
            worker.exitcode = EX_FAILURE
            raise WorkerTerminate(EX_FAILURE)
        stop()

    def stop(self, worker: Any) -> None:
        self._stop(worker, settings.JOBS_SHUTDOWN_GRACE)

    def terminate(self, worker: Any) -> None:
        self._stop(worker, 0.0)

    def _stop(self, worker: Any, grace: float) -> None:
        unfinished = self._end_jobs(grace)
        try:
            self.events.end()
        except Exception as error:
            log.debug("the last events were not sent: %s", error)
        if self.kind != "prefork" and (unfinished or self.feed.slots.stuck()):
            self._exit(worker)  # the pool would wait for its threads for ever

    def _end_jobs(self, grace: float) -> int:
        """Let running jobs end within the grace, give the rest back, and write everything."""
        self.leaving.set()
        feed = self.feed
        feed.close()
        self.upkeep.ended.set()
        self.alerts.ended.set()
        end = time.monotonic() + grace
        with suppress(WorkerTerminate):  # a second signal, a cold one: the grace is over
            while time.monotonic() < end and (feed.count(State.RUNNING) or feed.count(State.BUFFERED)):
                time.sleep(0.02)
        with feed.lock:
            unfinished = [held.job.key for held in feed.held.values() if held.state is not State.REPORTED]
        for key in unfinished:
            feed.report(Outcome(*key, Verb.GIVE_BACK))
        if unfinished:
            log.warning("gave back %d jobs that did not end within %.0f s", len(unfinished), grace)
            feed.slots.kill()
        feed.stopping = True
        feed.kick.set()
        self.thread.join(max(10.0, grace))
        self.leases.ended.set()
        self.leases.join(5)
        self.upkeep.join(5)
        return len(unfinished)

    @staticmethod
    def _exit(worker: Any) -> NoReturn:
        from celery.worker import state

        logging.shutdown()
        os._exit(int(state.should_stop or state.should_terminate or worker.exitcode or 0))
