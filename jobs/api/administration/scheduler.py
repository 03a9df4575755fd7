"""Schedules: what is due when, and everything that may be done with one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Path
from ninja.responses import Status as Answer
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

from jobs import scheduling
from jobs.api import auth
from jobs.api.auth import ApiRequest
from jobs.api.fields import Camel, PriorityIn, Word
from jobs.api.problems import FieldError, Problem, declared, invalid
from jobs.api.routing import Router
from jobs.errors import InvalidSchedule, JobError, UnknownSchedule
from jobs.scheduling import ScheduleFields, ScheduleState

router = Router("scheduler")

ScheduleName = Annotated[Word, Path(alias="jobName")]
NIGHTLY: JsonDict = {"name": "nightly", "cron": "0 3 * * *", "timezone": "Europe/London", "type": "cleanup"}


class ScheduleChangesIn(Camel):
    """The fields of a schedule that shall be different."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"cron": "0 4 * * *"}]})

    cron: Word = Field("", description="Minute, hour, day of month, month, day of week.")
    timezone: Word = Field("UTC", description="As the tz database names it.")
    type: Word = Field("", description="The job type.")
    payload: dict[str, Any] = {}
    priority: PriorityIn | None = Field(None, description="Null: the job type's.")
    enabled: bool = True
    description: str = ""
    overlap: Literal["allow", "skip", "buffer-one"] = Field(
        "allow", description="What becomes of a due time while the job of an earlier one is active."
    )
    missed_runs: Literal["skip", "one", "all"] = Field(
        "one", description="What becomes of due times that passed while no beat ran."
    )


class ScheduleIn(ScheduleChangesIn):
    """A schedule."""

    model_config = ConfigDict(json_schema_extra={"examples": [NIGHTLY]})

    name: Word
    cron: Word
    type: Word
    run_on_init: bool = Field(False, description="Enqueue one job at once.")


class CronIn(Camel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"cron": "0 */2 * * *"}]})

    cron: Word
    timezone: Word = "UTC"


class ValidationOut(Camel):
    valid: bool
    error: str | None = None
    description: str = Field(description="The cron in words.")
    next_runs: list[datetime]


class RunOut(Camel):
    """What became of a due time."""

    due_at: datetime
    outcome: str
    reason: str
    job_id: UUID | None
    status: str | None


class ScheduleOut(Camel):
    name: str
    cron: str = Field(description="Empty when it is due by an interval, the sun or a clock.")
    timezone: str
    type: str
    payload: dict[str, Any] = Field(description="Fields marked secret read `***`.")
    priority: int | None
    description: str
    words: str
    enabled: bool
    exists: bool
    running: bool = Field(description="It is enabled and has a next due time.")
    error: str
    last_run: datetime | None
    next_run: datetime | None
    next_runs: list[datetime]
    last_job_id: UUID | None
    last_status: str | None
    overlap: str
    missed_runs: str


class ScheduleDetailOut(ScheduleOut):
    history: list[RunOut]


class SchedulesOut(Camel):
    total: int
    running: int
    stopped: int
    jobs: list[ScheduleOut]


@router.get("/scheduler", auth=auth.WATCH, response={200: SchedulesOut, **declared()})
def list_schedules(request: HttpRequest) -> SchedulesOut:
    """All schedules."""
    found = [ScheduleOut.model_validate(state, from_attributes=True) for state in scheduling.states()]
    running = sum(schedule.running for schedule in found)
    return SchedulesOut(total=len(found), running=running, stopped=len(found) - running, jobs=found)


@router.post(
    "/scheduler",
    auth=auth.admin("django_celery_beat.add_periodictask"),
    response={201: ScheduleDetailOut, **declared(400)},
)
def create_schedule(request: ApiRequest, schedule: ScheduleIn) -> Answer[ScheduleDetailOut]:
    """Make a schedule. To enqueue a job at once needs the permission to do that, too."""
    if schedule.run_on_init:
        request.auth.check("jobs.add_job")
    with _told():
        return Answer(201, _out(scheduling.create(ScheduleFields(**dict(schedule)), actor=request.auth.name)))


@router.post("/scheduler/validate", auth=auth.WATCH, response={200: ValidationOut, **declared(400)})
def validate_cron(request: ApiRequest, cron: CronIn) -> ValidationOut:
    """Whether there can be a schedule with this cron, what it means and when it would be due."""
    found = scheduling.validate(cron.cron, cron.timezone)
    return ValidationOut.model_validate(found, from_attributes=True)


@router.get("/scheduler/{jobName}", auth=auth.WATCH, response={200: ScheduleDetailOut, **declared(404, 422)})
def get_schedule(request: HttpRequest, name: ScheduleName) -> ScheduleDetailOut:
    """One schedule, with what became of its last due times."""
    with _told():
        return _out(scheduling.state(name))


@router.patch(
    "/scheduler/{jobName}",
    auth=auth.admin("django_celery_beat.change_periodictask"),
    response={200: ScheduleDetailOut, **declared(400, 404, 422)},
)
def update_schedule(request: ApiRequest, name: ScheduleName, changes: ScheduleChangesIn) -> ScheduleDetailOut:
    """Change a schedule. Nothing that was due before becomes due by it."""
    given = {field: getattr(changes, field) for field in changes.model_fields_set}
    with _told():
        return _out(scheduling.update(name, given, actor=request.auth.name))


@router.delete(
    "/scheduler/{jobName}",
    auth=auth.admin("django_celery_beat.delete_periodictask"),
    response={204: None, **declared(404, 422)},
)
def delete_schedule(request: ApiRequest, name: ScheduleName) -> Answer[None]:
    """Delete a schedule. Its jobs stay."""
    with _told():
        scheduling.delete(name, actor=request.auth.name)
    return Answer(204, None)


@router.post(
    "/scheduler/{jobName}/start",
    auth=auth.admin("django_celery_beat.change_periodictask"),
    response={200: ScheduleDetailOut, **declared(404)},
)
def start_schedule(request: ApiRequest, name: ScheduleName) -> ScheduleDetailOut:
    """Switch a schedule on: from now on, not for what it missed."""
    with _told():
        return _out(scheduling.start(name, actor=request.auth.name))


@router.post(
    "/scheduler/{jobName}/stop",
    auth=auth.admin("django_celery_beat.change_periodictask"),
    response={200: ScheduleDetailOut, **declared(404)},
)
def stop_schedule(request: ApiRequest, name: ScheduleName) -> ScheduleDetailOut:
    """Switch a schedule off. Its jobs go on."""
    with _told():
        return _out(scheduling.stop(name, actor=request.auth.name))


@router.post(
    "/scheduler/{jobName}/run", auth=auth.admin("jobs.add_job"), response={200: ScheduleDetailOut, **declared(404)}
)
def run_schedule(request: ApiRequest, name: ScheduleName) -> ScheduleDetailOut:
    """Enqueue its job now, which is then `lastJobId`; of a schedule that is switched off too."""
    with _told():
        try:
            scheduling.run(name, actor=request.auth.name)
        except UnknownSchedule:
            raise
        except JobError as error:
            raise Problem(409, f"The schedule's job cannot be enqueued: {error}") from error
        return _out(scheduling.state(name))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except UnknownSchedule as error:
        raise Problem(404, f"T{str(error)[1:]}.") from error
    except InvalidSchedule as error:
        wrong: list[dict[str, Any]] = error.errors
        fields = [FieldError(loc=["body", *_place(item["loc"])], msg=item["msg"]) for item in wrong]
        raise invalid(fields) from error


def _place(loc: list[Any]) -> list[Any]:
    return [to_camel(loc[0]), *loc[1:]]


def _out(state: ScheduleState) -> ScheduleDetailOut:
    shown = ScheduleOut.model_validate(state, from_attributes=True)
    history = [
        RunOut(due_at=run.due_at, outcome=run.outcome, reason=run.reason, job_id=run.job, status=run.job_status)
        for run in state.history
    ]
    return ScheduleDetailOut(**dict(shown), history=history)
