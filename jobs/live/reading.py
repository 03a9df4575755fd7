"""What is watched, read from Postgres: by a few statements for any number of jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from jobs.models import TERMINAL, Failure, Job, LogLine, Status
from jobs.sessions import fetch


@dataclass(frozen=True)
class Seen:
    """A job as it was seen, with what its last failed run said."""

    job: Job
    failure: Failure | None

    @property
    def ended(self) -> bool:
        return self.job.status in TERMINAL


_LINE = ("id", "job", "run", "level", "message", "at")
_LINES = """
SELECT l.id, l.job, l.run, l.level, l.message, l.at FROM unnest(%(jobs)s::uuid[], %(afters)s::bigint[]) AS w(job, after)
JOIN jobs_logline l ON l.job = w.job AND l.id > w.after ORDER BY l.id
"""


def read(afters: Mapping[UUID, int | None]) -> tuple[dict[UUID, Seen], dict[UUID, list[LogLine]]]:
    """These jobs, and of those with a number the log lines after it: three statements for any number of jobs."""
    jobs = Job.objects.in_bulk(afters)
    broken = [job.id for job in jobs.values() if job.run and job.status != Status.COMPLETED]
    failures = Failure.objects.filter(job__in=broken).order_by("job_id", "-run").distinct("job_id")
    failure_of = {failure.job_id: failure for failure in failures} if broken else {}
    wanted = {job: after for job, after in afters.items() if after is not None}
    parameters = {"jobs": list(wanted), "afters": list(wanted.values())}
    lines: dict[UUID, list[LogLine]] = {}
    for row in fetch(_LINES, parameters) if wanted else ():
        line = LogLine(**dict(zip(_LINE, row, strict=True)))
        lines.setdefault(line.job, []).append(line)
    return {job.id: Seen(job, failure_of.get(job.id)) for job in jobs.values()}, lines


# A worker's heartbeats are not news, its coming and going is.
_ACTIVITY = """
SELECT coalesce(sum(n_tup_ins + n_tup_del + CASE WHEN relname = 'jobs_worker' THEN 0 ELSE n_tup_upd END), 0)::bigint
FROM pg_stat_user_tables
WHERE schemaname = current_schema() AND relname IN ('jobs_job', 'jobs_queue', 'jobs_worker', 'jobs_event',
    'jobs_alert', 'jobs_alertrule', 'jobs_errorgroup', 'django_celery_beat_periodictask')
"""


def activity() -> int:
    """A number that grows with every change that a dashboard shows, within seconds."""
    return int(fetch(_ACTIVITY, {})[0][0])
