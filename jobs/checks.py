"""What must be right before anything starts: Django's system checks, and what a worker asks beyond them.

Single values are refused where they are read (`config.environment`); here is what only shows when
settings are seen together.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register, run_checks
from django.core.checks.registry import registry
from django.db import InterfaceError, OperationalError
from django.db.migrations.executor import MigrationExecutor

from jobs import sessions

THIS_MACHINE = {"localhost", "127.0.0.1", "[::1]", "testserver"}  # the last is the test client's
POOLS = ("threads", "prefork", "solo")


@register(Tags.security)
def check_production(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A deployment that others can reach is complete, or does not start."""
    return list(_production_errors())


def _production_errors() -> Iterator[CheckMessage]:
    public = set(settings.ALLOWED_HOSTS) - THIS_MACHINE
    if settings.DEBUG and public:
        yield Error(
            f"DEBUG is on, but ALLOWED_HOSTS names hosts that others reach: {', '.join(sorted(public))}.",
            hint="Unset DEBUG: its error pages show settings to anybody.",
            id="jobs.E001",
        )
    if settings.DEBUG:
        return
    if settings.SECRET_KEY == settings.DEFAULT_SECRET_KEY:
        yield Error("SECRET_KEY is not set.", hint="Set 50 random characters or more, or DEBUG=true.", id="jobs.E002")
    if not settings.ALLOWED_HOSTS:
        yield Error("ALLOWED_HOSTS is empty.", hint="Name the hosts of this site, or set DEBUG=true.", id="jobs.E003")
    if public and not settings.SECURE_SSL_REDIRECT:
        yield Error(
            f"There are no TLS settings, but others reach this site as {', '.join(sorted(public))}.",
            hint="SECURE_PROXY_SSL_HEADER=X-Forwarded-Proto behind a proxy, or else SECURE_SSL_REDIRECT=true.",
            id="jobs.E004",
        )


@register(Tags.security, deploy=True)
def check_redis(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Whoever reaches Redis controls the workers."""
    if urlsplit(settings.REDIS_URL).password:
        return []
    return [Error("Redis has no password.", hint="Put it, or a user of its ACL, into REDIS_URL.", id="jobs.E005")]


@register(Tags.compatibility)
def check_queues(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Each queue has a kind of worker, and each kind a pool that the feed knows."""
    homeless = [
        Error(f"JOBS_QUEUES: no kind of worker in JOBS_WORKERS takes from queue {name!r}.", id="jobs.E006")
        for name, queue in settings.JOBS_QUEUES.items()
        if queue.get("worker") not in settings.JOBS_WORKERS
    ]
    unknown = [
        Error(f"JOBS_WORKERS: worker {kind!r} needs one of the pools {', '.join(POOLS)}.", id="jobs.E007")
        for kind, worker in settings.JOBS_WORKERS.items()
        if worker.get("pool") not in POOLS
    ]
    return [*homeless, *unknown]


def check_without_pages() -> list[CheckMessage]:
    """All checks but those of the addresses, which import every page and call: a worker serves none."""
    return run_checks(tags=sorted(registry.tags_available() - {Tags.urls}))


def configuration_problems(*, serves: bool = True) -> list[str]:
    """Why nothing must start with these settings, one line each. `serves`: it answers requests."""
    messages = run_checks() if serves else check_without_pages()
    return [str(message.msg) for message in messages if message.is_serious()]


def worker_problems(queues: Sequence[str], *, autoscale: bool = False) -> list[str]:
    """Why a worker for these queues must not start, one line each."""
    problems = configuration_problems(serves=False)
    known = [name for name in queues if name in settings.JOBS_QUEUES]
    problems += [f"There is no queue {name!r} in JOBS_QUEUES." for name in queues if name not in known]
    if autoscale:
        problems.append("Celery's autoscaler is not supported: set the concurrency.")
    return problems + database_problems(known)


def database_problems(queues: Iterable[str] = ()) -> list[str]:
    """Why the database cannot be used, if so: at all, or for jobs of these queues."""
    session = sessions.plain_connection()  # a pool would hide the reason behind its own time-out
    try:
        executor = MigrationExecutor(session)
        if missing := executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return [f"The database lacks {len(missing)} migrations: run manage.py migrate."]
        with session.cursor() as cursor:
            cursor.execute("SELECT name FROM jobs_queue")
            rows = {name for (name,) in cursor.fetchall()}
    except (OperationalError, InterfaceError) as error:
        return [f"The database of DATABASE_URL cannot be used: {' '.join(str(error).split())}"]
    finally:
        session.close()
    return [
        f"The queue {name!r} has no row, so no job of it is taken: run manage.py migrate."
        for name in queues
        if name not in rows
    ]
