"""Database sessions: statements on the caller's, and sessions of our own beside it.

The feed and its companions run in threads of a worker's parent, each with a plain connection that
belongs to no pool. Job bodies share one autocommit connection a process for what must not wait for,
or roll back with, the author's transaction: progress, log lines, limits.
"""

import copy
import logging
import os
import select
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    connections,
    reset_queries,
)
from django.db.backends.base.base import BaseDatabaseWrapper

log = logging.getLogger("jobs")

Row = tuple[Any, ...]

PREPARED = 16  # texts of statements that a connection keeps


def fetch(sql: str, parameters: Mapping[str, Any], *, prepare: bool = False) -> list[Row]:
    """Run one statement on this thread's connection, parameters bound by the server, and return its rows.

    Below Django's cursor, which would write arrays of a thousand payloads into the statement's text. `prepare` is for
    statements that have one plan however full the table is: a plan is kept until the table is analysed again.
    """
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(sql, parameters, prepare=prepare)
        return cursor.fetchall() if cursor.description else []


def is_away(error: BaseException) -> bool:
    """Whether a statement failed for want of a connection: no fault of its own, and worth another try."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None) or ""
    return not state or state.startswith(("08", "57P"))  # connection exceptions, and a server that stops or starts


def plain_connection() -> BaseDatabaseWrapper:
    """A connection like the default one, outside of any pool and never recycled by age."""
    database = copy.deepcopy(connections.settings[DEFAULT_DB_ALIAS])
    database.get("OPTIONS", {}).pop("pool", None)
    database["CONN_MAX_AGE"] = None
    database["CONN_HEALTH_CHECKS"] = False
    wrapper: BaseDatabaseWrapper = connections[DEFAULT_DB_ALIAS].__class__(database, DEFAULT_DB_ALIAS)
    return wrapper


def own_session(**timeouts: int) -> None:
    """Give this thread a plain connection, with session timeouts in ms.

    Called again it replaces a broken one. A frozen worker must not hold the cluster's locks, hence the timeouts.
    """
    connections[DEFAULT_DB_ALIAS].close()
    connections[DEFAULT_DB_ALIAS] = plain_connection()
    for name, value in timeouts.items():
        fetch("SELECT set_config(%(name)s, %(value)s, false)", {"name": name, "value": str(value)})


def keep_few_texts(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """For each new connection to the database of jobs; others are not ours to set.

    psycopg counts statements by their text to know which to prepare, and Django's hold what they write. It would keep
    the last hundred of them, which may be megabytes.
    """
    if connection.alias == DEFAULT_DB_ALIAS:
        connection.connection.prepared_max = PREPARED


def tidy() -> None:
    """Close connections of this thread that are broken, have had their age or were left without autocommit."""
    try:
        close_old_connections()
    except Exception:  # the run is over: what became of it must be told all the same
        log.exception("a connection could not be closed")
    if settings.DEBUG:
        reset_queries()


_side_lock = threading.Lock()
_no_side = threading.local()  # .wanted: tests whose rows no other session could see
_side: tuple[int, BaseDatabaseWrapper] | None = None  # process id, connection: a forked child makes its own


def beside() -> bool:
    """Whether `side_session` is another session than this thread's own."""
    return not getattr(_no_side, "wanted", False)


@contextmanager
def side_session() -> Iterator[None]:
    """Statements in this block use the process's autocommit connection, one thread at a time."""
    global _side
    if not beside():
        yield
        return
    with _side_lock:
        if _side is None or _side[0] != os.getpid():
            wrapper = plain_connection()
            wrapper.inc_thread_sharing()
            _side = (os.getpid(), wrapper)
        ours, theirs = _side[1], connections[DEFAULT_DB_ALIAS]
        if was_ended(ours):
            ours.close()
        connections[DEFAULT_DB_ALIAS] = ours
        try:
            yield
        except Exception:
            ours.close_if_unusable_or_obsolete()
            ours.close()  # it may be half-way through a statement; the next block connects anew
            raise
        finally:
            connections[DEFAULT_DB_ALIAS] = theirs


def was_ended(wrapper: BaseDatabaseWrapper) -> bool:
    """Whether the server has said something to an idle session, which can only be that it is over.

    Asks the socket, not the server: a job must not lose an attempt to a restart that happened before it began.
    """
    session = wrapper.connection
    if session is None or session.closed:
        return session is not None
    poll = select.poll()
    poll.register(session.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def without_side_session() -> Iterator[None]:
    """In this block `side_session` stays on this thread's connection: inside a test's transaction."""
    _no_side.wanted = True
    try:
        yield
    finally:
        _no_side.wanted = False
