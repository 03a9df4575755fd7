"""The options of a job, ours and Celery's, through the calls that take them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import current_app
from django.conf import settings
from django.utils import timezone as django_timezone
from kombu import Queue
from pytest_django.fixtures import Settings

from jobs.errors import InvalidOption, UnknownQueue
from jobs.models import Job, Status
from jobs.options import UNLIMITED, priority
from jobs.processor import Backoff, Processor, enqueue, get_processor
from jobs.testing import perform
from tests.jobs.jobtypes import add_up, complain_of, improvise, part, persist, plead, reconnect, say, slow_read
from tests.jobs.rows import now, row

pytestmark = pytest.mark.django_db

NOON = datetime(2050, 1, 1, 12, tzinfo=UTC)


def nothing() -> None:
    """The body of a task."""


def made(**options: Any) -> Job:
    """A job of a plain task with these options of Celery's call."""
    return row(UUID(add_up.apply_async((1, 2), **options).id))


class TestCelerysOptions:
    def test_countdown(self) -> None:
        job = made(countdown=60)
        assert (job.status, job.scheduled_at) == (Status.SCHEDULED, now() + timedelta(seconds=60))

    @pytest.mark.parametrize("countdown", [0, -5, 0.0])
    def test_countdown_of_nothing_is_at_once(self, countdown: float) -> None:
        assert made(countdown=countdown).status == Status.PENDING

    @pytest.mark.parametrize(
        "eta", [NOON, NOON.astimezone(timezone(timedelta(hours=5))), NOON.isoformat(), "2050-01-01T12:00:00Z"]
    )
    def test_eta(self, eta: Any) -> None:
        job = made(eta=eta)
        assert (job.status, job.scheduled_at) == (Status.SCHEDULED, NOON)

    def test_eta_in_the_past_is_at_once(self) -> None:
        assert made(eta=datetime(2000, 1, 1, tzinfo=UTC)).status == Status.PENDING

    def test_naive_eta_is_in_the_time_zone_of_the_site(self) -> None:
        with django_timezone.override("Asia/Tokyo"):
            assert made(eta=datetime(2050, 1, 1, 21)).scheduled_at == NOON  # noqa: DTZ001

    @pytest.mark.parametrize("expires", [3600, 3600.0, timedelta(hours=1)])
    def test_expires_after_a_time(self, expires: Any) -> None:
        assert made(expires=expires).expires_at == now() + timedelta(hours=1)

    def test_expires_at_a_moment(self) -> None:
        assert made(expires=NOON).expires_at == NOON
        assert made(expires=NOON.isoformat()).expires_at == NOON

    @pytest.mark.parametrize(("given", "stored"), [(1, 1), (10, 10), ("batch", 1), ("High", 8), ("CRITICAL", 10)])
    def test_priority_is_on_our_scale(self, given: Any, stored: int) -> None:
        assert made(priority=given).priority == stored

    def test_queue(self) -> None:
        assert (made(queue="cpu").queue, made(queue=Queue("cpu")).queue) == ("cpu", "cpu")

    def test_task_id(self) -> None:
        given = uuid4()
        assert (made(task_id=given).id, made(task_id=str(given)).id) == (given, given)
        assert Job.objects.count() == 1

    def test_retries_count_as_used_attempts(self) -> None:
        job = made(retries=2)
        assert (job.attempt, job.max_attempts) == (2, 4)
        assert made(retries=9).max_attempts == 10

    def test_retries_are_seen_by_the_task(self) -> None:
        task: Any = plead
        result = task.apply_async(kwargs=part(lambda task: task.request.retries), retries=2)
        assert perform(result.id).result == 2

    def test_link_and_link_error_are_kept_with_the_row(self) -> None:
        canvas = made(link=say.s(), link_error=complain_of.s()).canvas
        assert canvas is not None
        assert [step["type"] for step in canvas["then"] + canvas["on_error"]] == [say.name, complain_of.name]

    def test_that_belong_to_messages_are_passed_over(self) -> None:
        assert made(serializer="json", ignore_result=True, headers={}, retry=True, shadow="x").status == Status.PENDING

    def test_none_is_the_same_as_not_given(self) -> None:
        job = made(countdown=None, eta=None, expires=None, priority=None, queue=None, task_id=None, retries=None)
        assert (job.status, job.priority, job.queue, job.expires_at) == (Status.PENDING, 5, "default", None)


class TestOurOptions:
    def test_of_one_call(self) -> None:
        job = row(
            enqueue(
                "improvise",
                {},
                priority="high",
                queue="cpu",
                scheduled_at=NOON,
                expires_at=NOON + timedelta(hours=1),
                unique_key="k",
                tags=["a", "b"],
                max_attempts=9,
                backoff=Backoff(base=2, max=30, factor=3, jitter=False),
                timeout=12.5,
                created_by="ann",
                schedule="nightly",
            )
        )
        assert (job.priority, job.queue, job.scheduled_at, job.expires_at) == (
            8,
            "cpu",
            NOON,
            NOON + timedelta(hours=1),
        )
        assert (job.unique_key, job.tags, job.max_attempts, job.timeout) == ("k", ["a", "b"], 9, 12.5)
        assert job.backoff == {"base": 2, "max": 30, "factor": 3, "jitter": False}
        assert (job.created_by, job.schedule, job.parent) == ("ann", "nightly", None)

    @pytest.mark.parametrize("delay", [60, 60.0, timedelta(minutes=1)])
    def test_delay(self, delay: Any) -> None:
        assert row(improvise.enqueue({}, delay=delay)).scheduled_at == now() + timedelta(seconds=60)

    def test_parent(self) -> None:
        parent = uuid4()
        assert row(improvise.enqueue({}, parent=parent)).parent == parent

    def test_a_hyphen_in_a_queue_means_an_underscore(self, settings: Settings) -> None:
        settings.JOBS_QUEUES = {**settings.JOBS_QUEUES, "big_data": {"worker": "io"}}
        assert row(improvise.enqueue({}, queue="big-data")).queue == "big_data"


class TestDefaults:
    def test_are_those_of_the_processor(self) -> None:
        job = row(slow_read.enqueue({"text": "abc"}))
        assert (job.queue, job.priority, job.max_attempts, job.timeout) == ("cpu", 3, 7, 13.0)
        assert (job.backoff, job.unique_key, job.tags, job.created_by) == (None, None, [], "")

    def test_of_the_settings_fill_the_gaps(self, settings: Settings) -> None:
        settings.JOBS_MAX_ATTEMPTS, settings.JOBS_TIMEOUT = 6, 77.0
        job = row(enqueue("read_out", {"letters": []}))
        assert (job.queue, job.priority, job.max_attempts, job.timeout) == ("default", 5, 6, 77.0)

    @pytest.mark.parametrize(
        ("task", "attempts"),
        [(add_up, 4), (persist, 3), (reconnect, 6), (plead, 4)],  # Celery's max_retries is 3, and one run before them
    )
    def test_of_a_plain_task_are_celerys(self, task: Any, attempts: int) -> None:
        assert get_processor(task.name).max_attempts_by_default() == attempts

    @pytest.mark.parametrize(
        ("options", "field", "value"),
        [
            ({"max_retries": None}, "max_attempts", UNLIMITED),
            ({"max_retries": 0}, "max_attempts", 1),
            ({"time_limit": 44}, "timeout", 44.0),
            ({"queue": "cpu"}, "queue", "cpu"),
            ({"priority": 9}, "priority", 9),
            ({"max_attempts": 2}, "max_attempts", 2),
        ],
    )
    def test_of_a_plain_task_may_be_declared(self, options: dict[str, Any], field: str, value: Any) -> None:
        declare: Any = current_app.task
        task = declare(name=f"declared_with_{'_'.join(options)}_{value}", **options)(nothing)
        try:
            assert getattr(row(UUID(task.delay().id)), field) == value
        finally:
            current_app.tasks.unregister(task.name)

    def test_of_a_plain_task_may_have_it_expire(self) -> None:
        declare: Any = current_app.task
        task = declare(name="declared_to_expire", expires=60)(nothing)
        try:
            assert row(UUID(task.delay().id)).expires_at == now() + timedelta(seconds=60)
        finally:
            current_app.tasks.unregister(task.name)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"priority": 0}, "priority"),
    ({"priority": 11}, "priority"),
    ({"priority": "urgent"}, "priority"),
    ({"priority": True}, "priority"),
    ({"priority": 5.5}, "priority"),
    ({"task_id": "not-a-uuid"}, "task_id"),
    ({"task_id": 7}, "task_id"),
    ({"parent": "x"}, "parent"),
    ({"countdown": "soon"}, "countdown"),
    ({"countdown": float("nan")}, "countdown"),
    ({"countdown": float("inf")}, "countdown"),
    ({"countdown": 1e12}, "countdown"),
    ({"countdown": -(10**400)}, "countdown"),
    ({"expires": -(10**400)}, "expires"),
    ({"delay": True}, "delay"),
    ({"delay": timedelta(days=10_000)}, "delay"),
    ({"eta": "tomorrow"}, "eta"),
    ({"eta": 12}, "eta"),
    ({"scheduled_at": "2050-13-01"}, "scheduled_at"),
    ({"expires": 0}, "expires"),
    ({"expires": -1}, "expires"),
    ({"expires": timedelta(0)}, "expires"),
    ({"expires": datetime(2000, 1, 1, tzinfo=UTC)}, "expires"),
    ({"expires": "2000-01-01T00:00:00Z"}, "expires"),
    ({"expires": float("nan")}, "expires"),
    ({"expires": 1e30}, "expires"),
    ({"expires_at": "never"}, "expires_at"),
    ({"retries": -1}, "retries"),
    ({"retries": 1.5}, "retries"),
    ({"retries": UNLIMITED}, "retries"),
    ({"max_attempts": 0}, "max_attempts"),
    ({"max_attempts": 40_000}, "max_attempts"),
    ({"max_attempts": True}, "max_attempts"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": 8 * 86400}, "timeout"),
    ({"timeout": float("nan")}, "timeout"),
    ({"backoff": {"base": 1}}, "backoff"),
    ({"backoff": 5}, "backoff"),
    ({"unique_key": ""}, "unique_key"),
    ({"unique_key": "k" * 256}, "unique_key"),
    ({"unique_key": "a\x00b"}, "unique_key"),
    ({"unique_key": "a\ud800b"}, "unique_key"),
    ({"unique_key": 7}, "unique_key"),
    ({"tags": "one"}, "tags"),
    ({"tags": [""]}, "tags"),
    ({"tags": [1]}, "tags"),
    ({"tags": ["x" * 101]}, "tags"),
    ({"tags": {"a"}}, "tags"),
    ({"tags": ["\x00"]}, "tags"),
    ({"created_by": "a\x00b"}, "created_by"),
    ({"created_by": "\ud800"}, "created_by"),
    ({"schedule": "s" * 201}, "schedule"),
    ({"colour": "red"}, "colour"),
    ({"prioritee": 5, "colour": "red"}, "colour"),
]


@pytest.mark.parametrize(("options", "field"), WRONG, ids=[str(options)[:40] for options, _ in WRONG])
def test_a_wrong_option_is_named_and_nothing_is_stored(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidOption, match=field) as raised:
        improvise.enqueue({}, **options)
    assert raised.value.field == field
    with pytest.raises(InvalidOption):
        improvise.apply_async(kwargs={}, **options)
    assert Job.objects.count() == 0


@pytest.mark.parametrize("queue", ["nowhere", "Default", "celery"])
def test_an_unknown_queue_is_told_with_the_known_ones(queue: str) -> None:
    known = ", ".join(sorted(settings.JOBS_QUEUES))
    with pytest.raises(UnknownQueue, match=f"unknown queue '{queue}': the queues are {known}"):
        improvise.enqueue({}, queue=queue)
    with pytest.raises(UnknownQueue):
        add_up.apply_async((1, 2), queue=queue)
    assert Job.objects.count() == 0


@pytest.mark.parametrize("queue", ["", 7, "q" * 101, "\x00"])
def test_a_queue_is_named_by_text(queue: Any) -> None:
    with pytest.raises(InvalidOption, match="queue: expected text"):
        improvise.enqueue({}, queue=queue)


def test_every_name_of_a_priority_is_a_number() -> None:
    names = ["batch", "low", "normal", "high", "critical"]
    assert [priority(name) for name in names] == [1, 3, 5, 8, 10]
    assert isinstance(improvise, Processor)
