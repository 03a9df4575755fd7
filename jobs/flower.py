"""Flower, made to fit: queue lengths from Postgres, the site's log-in, and threads that look after their connections.

Flower runs `config/flowerconfig.py` at its start, which calls `fit`. Visitors are whom the site's session says, asked
anew for each request, so that logging out of the site works at once: the browser sends the session's cookie to Flower
too, behind the same proxy or on another port of the same host.

Contract with Flower 2.2, each with a test: `BaseHandler.get_broker` and `prepare`, `BaseApiHandler.prepare`,
`LogoutHandler.get`, `TaskRevoke.post`, `events.EventsState`, `Flower.pool_executor_cls`, and that every route which is
not named as open asks for the current user.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar, cast

import flower.events
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.db.models import Count
from django.db.models.functions import Now
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.utils.http import urlencode
from flower.api import BaseApiHandler, control, tasks
from flower.api.control import TaskRevoke
from flower.app import Flower
from flower.events import EventsState
from flower.views import BaseHandler
from flower.views.auth import LogoutHandler, get_next_url
from tornado.web import HTTPError

from jobs.celery import revoker
from jobs.models import Event, Job, Status, Worker
from jobs.roles import may_watch

T = TypeVar("T")


def fit() -> None:
    """Before Flower's application is made."""
    BaseHandler.get_broker = lambda handler: JobQueues()
    BaseHandler.prepare = admit
    BaseApiHandler.prepare = admit_to_api
    LogoutHandler.get = log_out
    TaskRevoke.post = revoke
    flower.events.EventsState = State
    Flower.pool_executor_cls = Threads


# --- threads: Flower's event loop must not wait for Postgres -----------------------------------------------------


class Threads(ThreadPoolExecutor):
    """Connections are looked after as around a request, and calls know on whose behalf they are made."""

    def submit(self, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return super().submit(copy_context().run, _with_sound_connections, call, *args, **kwargs)


def _with_sound_connections(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    close_old_connections()
    try:
        return call(*args, **kwargs)
    finally:
        close_old_connections()


async def in_thread(call: Callable[..., T], *args: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, call, *args)


# --- queues ------------------------------------------------------------------------------------------------------


class JobQueues:
    """What Flower asks a broker: there is no message to count in Redis, but there are rows."""

    async def queues(self, names: Iterable[str]) -> list[dict[str, Any]]:
        return await in_thread(lengths, names)


def lengths(names: Iterable[str]) -> list[dict[str, Any]]:
    """Each queue with its waiting and running jobs and its workers, in the words of Flower's table."""
    waiting, running = _counts(Status.PENDING), _counts(Status.PROCESSING)
    alive = Worker.objects.filter(heartbeat_at__gt=Now() - timedelta(seconds=settings.JOBS_LEASE))
    consumers = Counter(queue for queues in alive.values_list("queues", flat=True) for queue in queues)
    return [
        {
            "name": name,
            "messages": waiting.get(name, 0),
            "messages_ready": waiting.get(name, 0),
            "messages_unacknowledged": running.get(name, 0),
            "consumers": consumers[name],
        }
        for name in sorted({*names, *settings.JOBS_QUEUES})
    ]


def _counts(status: Status) -> dict[str, int]:
    return dict(Job.objects.filter(status=status).order_by().values_list("queue").annotate(number=Count("*")))


# --- tasks -------------------------------------------------------------------------------------------------------


class State(EventsState):
    """What Flower knows of workers and tasks."""

    def event(self, event: dict[str, Any]) -> None:
        super().event(event)
        if "received" in event and event["type"] != "task-received":  # merged: see `jobs.worker.taskevents`
            self.counter[event["hostname"]]["task-received"] += 1


async def revoke(handler: TaskRevoke, task_id: str) -> None:
    """A job that waits for its next attempt is cancelled at once, and no worker will tell Flower so."""
    await _revoke(handler, task_id)
    state = handler.application.events.state
    task = state.tasks.get(task_id)
    if task is not None and task.worker is not None and await in_thread(_is_cancelled, task_id):
        clock, now = handler.capp.clock.forward(), time.time()
        event = {"type": "task-revoked", "uuid": task_id, "hostname": task.worker.hostname, "clock": clock}
        state.event({**event, "timestamp": now, "local_received": now, "terminated": False})


_revoke = TaskRevoke.post


def _is_cancelled(job_id: str) -> bool:
    return Job.objects.filter(id=job_id, status=Status.CANCELLED).exists()


# --- visitors ----------------------------------------------------------------------------------------------------


NEEDED: dict[type[BaseApiHandler], str] = {
    control.TaskRevoke: "jobs.cancel_job",
    tasks.TaskAbort: "jobs.cancel_job",
    tasks.TaskApply: "jobs.add_job",
    tasks.TaskAsyncApply: "jobs.add_job",
    tasks.TaskSend: "jobs.add_job",
}
FOR_THE_REST = "jobs.drain_worker"  # all else that Flower can do is done to workers


class Visitor(NamedTuple):
    name: str
    permissions: frozenset[str]


def visitor_of(session_key: str) -> Visitor | None:
    """Who has this session, if it is somebody who may see jobs."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = cast("User", get_user(cast("HttpRequest", SimpleNamespace(session=session))))
    return Visitor(user.get_username(), frozenset(user.get_all_permissions())) if may_watch(user) else None


async def admit(handler: BaseHandler) -> Visitor | None:
    """Before every request: say who comes. Flower's pages send those who are nobody to `Login`."""
    key = handler.get_cookie(settings.SESSION_COOKIE_NAME)
    try:
        visitor = await in_thread(visitor_of, key) if key else None
    except DatabaseError:
        raise HTTPError(503, "The database does not answer.") from None
    handler.current_user = visitor.name if visitor else None
    return visitor


async def admit_to_api(handler: BaseApiHandler) -> None:
    """The same for what the pages' buttons call, without a redirect. Acting needs a permission, and is recorded."""
    visitor = await admit(handler)
    if visitor is None:
        raise HTTPError(401, "Log in first.")
    revoker.set(visitor.name)
    if handler.request.method in ("GET", "HEAD", "OPTIONS"):
        return
    if NEEDED.get(type(handler), FOR_THE_REST) not in visitor.permissions:
        raise HTTPError(403, "You may look at this, not do it.")
    if not isinstance(handler, control.TaskRevoke):  # cancelling a job leaves its own event
        await in_thread(_record, handler.request.path, visitor.name)


def _record(path: str, actor: str) -> None:
    """An event for `/flower/api/worker/pool/grow/io-1@host`."""
    words, _, name = path.partition("/api/")[2].rpartition("/")
    about = "worker" if words.startswith("worker") else "job type"
    Event.objects.create(subject=f"{about} {name}"[:300], kind=f"{words.replace('/', ' ')} in Flower"[:40], actor=actor)


class Login(BaseHandler):
    """Named by the option `auth_provider`: logging in is the site's business."""

    def get(self) -> None:
        self.redirect(site(self, get_next_url(self)))


async def log_out(handler: BaseHandler) -> None:
    """End the session of the site, if a page of Flower's asks and not somebody else's."""
    if handler.current_user and handler.request.headers.get("Sec-Fetch-Site") == "same-origin":
        session = import_module(settings.SESSION_ENGINE).SessionStore(handler.get_cookie(settings.SESSION_COOKIE_NAME))
        await in_thread(session.flush)
    handler.redirect(site(handler, resolve_url("flower")))


def site(handler: BaseHandler, path: str) -> str:
    """The site's address that leads to this page of Flower's, after the log-in if need be."""
    if "X-Forwarded-Proto" in handler.request.headers:  # the same proxy is in front of both
        return resolve_url("admin:login") + "?" + urlencode({"next": path})
    return f"http://{handler.request.host_name}:{settings.SITE_PORT}{path}"
