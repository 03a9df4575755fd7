"""Declaring a job type, finding it, and the calls that enqueue its jobs."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import Task, chain, chord, current_app
from celery.result import AsyncResult
from django.db import transaction
from django.utils import timezone
from pydantic import BaseModel

import jobs
from jobs import processor as authors
from jobs.calling import current_job
from jobs.errors import InvalidCanvas, InvalidOption, InvalidPayload, UnknownProcessor, UnknownQueue
from jobs.models import Job, Status
from jobs.processor import (
    Backoff,
    Enqueued,
    JobContext,
    Payload,
    Processor,
    enqueue,
    enqueue_many,
    get_processor,
    processor,
    processors,
)
from jobs.testing import drain, perform
from tests.jobs.jobtypes import Cue, Letter, add_up, improvise, nag, part, plead, say, slow_read, spell, total
from tests.jobs.rows import row

pytestmark = pytest.mark.django_db


class TestADeclaration:
    def test_makes_a_celery_task_with_what_was_declared(self) -> None:
        assert isinstance(improvise, Processor)
        assert isinstance(improvise, Task)
        assert (improvise.name, improvise.queue, improvise.priority) == ("improvise", "default", 5)
        assert (improvise.max_attempts, improvise.timeout, improvise.payload_model) == (3, 60, Cue)
        assert improvise.backoff == Backoff(base=10, max=60, jitter=False)
        assert improvise.description == "Play a part."
        assert (slow_read.queue, slow_read.priority) == ("cpu", 3)

    def test_takes_functions_for_timeout_and_backoff(self) -> None:
        assert slow_read.timeout_of('{"text": "12345"}') == 15.0
        assert callable(nag.backoff)
        assert nag.backoff(2, ValueError("tired")) == 200.0

    def test_knows_what_the_result_is(self) -> None:
        assert (spell.result_model, slow_read.result_model) == (str, int)

    def test_takes_a_function_for_the_priority(self, declare: Callable[..., Processor]) -> None:
        declared = declare(priority=lambda payload: payload["rank"])
        computed = declared.new_job('{"rank": 2}', {}).priority
        assert (computed, declared.new_job('{"rank": 2}', {"priority": "high"}).priority) == (2, 8)
        assert declared.new_job("{}", {}).priority == 5  # a step of a chain whose field is still to come

    def test_takes_a_timedelta_for_the_timeout(self, declare: Callable[..., Processor]) -> None:
        assert declare(timeout=timedelta(minutes=2)).timeout == 120.0

    def test_may_have_another_name_than_its_function(self, declare: Callable[..., Processor]) -> None:
        assert declare(name="another_name").name == "another_name"

    def test_leaves_out_what_is_common_to_all(self, declare: Callable[..., Processor]) -> None:
        plain = declare()
        assert (plain.queue, plain.priority, plain.max_attempts, plain.timeout) == ("default", 5, None, None)
        assert (plain.backoff, plain.retention, plain.result_model) == (Backoff(), None, None)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"name": "Not_Snake"}, "the name must be snake_case"),
            ({"name": "not-snake"}, "the name must be snake_case"),
            ({"name": "no.path"}, "the name must be snake_case"),
            ({"max_attempts": 0}, "max_attempts must be at least 1"),
        ],
    )
    def test_is_refused_at_import(
        self, declare: Callable[..., Processor], options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(TypeError, match=message):
            declare(**options)

    def test_of_a_wrong_priority_is_refused_at_import(self, declare: Callable[..., Processor]) -> None:
        with pytest.raises(InvalidOption, match="priority: expected 1 to 10"):
            declare(priority="urgent")

    def test_without_a_payload_model_is_refused(self) -> None:
        def bare(job: JobContext) -> None: ...

        def unknown(payload: dict[str, Any], job: JobContext) -> None: ...

        def foreign(payload: BaseModel, job: JobContext) -> None: ...

        bodies: list[Any] = [bare, unknown, foreign]
        for body in bodies:
            with pytest.raises(TypeError, match="first parameter must be annotated with a Payload model"):
                processor()(body)

    @pytest.mark.parametrize("field", ["priority", "uniqueKey", "scheduled_for", "type"])
    def test_whose_payload_has_the_name_of_an_option_is_refused(self, field: str) -> None:
        clashing = type("Clashing", (Payload,), {"__annotations__": {field: int}})

        def body(payload: Any, job: JobContext) -> None: ...

        body.__annotations__["payload"] = clashing
        with pytest.raises(TypeError, match="is the name of an option"):
            processor()(body)


@pytest.fixture
def declare() -> Any:
    """Declare a job type with these options, for one test."""
    made: list[Processor] = []

    def declare(**options: Any) -> Processor:
        def declared_by_a_test(payload: Cue, job: JobContext) -> None:
            """Do nothing."""

        made.append(processor(**options)(declared_by_a_test))
        return current_app.tasks[made[-1].name]  # type: ignore[return-value]

    yield declare
    for task in made:
        current_app.tasks.unregister(task.name)


class TestTheRegistry:
    def test_has_every_job_type_but_celerys_own(self) -> None:
        known = processors()
        assert known["improvise"] is get_processor("improvise")
        assert known[add_up.name] is get_processor(add_up.name)
        assert [name for name in known if name.startswith("celery.")] == []
        assert list(known) == sorted(known)

    def test_takes_a_hyphen_for_an_underscore(self) -> None:
        assert get_processor("slow-read") is get_processor("slow_read")

    @pytest.mark.parametrize("name", ["no_such_type", "", "improvise ", "Improvise"])
    def test_tells_an_unknown_name(self, name: str) -> None:
        with pytest.raises(UnknownProcessor, match=f"unknown job type '{name}'"):
            get_processor(name)


class TestEveryCall:
    """Four ways to say the same."""

    @pytest.mark.parametrize(
        "call",
        [
            lambda: enqueue("spell", {"text": "a", "letter": "b"}),
            lambda: enqueue(spell, Letter(text="a", letter="b")),
            lambda: spell.enqueue({"text": "a", "letter": "b"}),
            lambda: spell.enqueue(Letter(text="a", letter="b")),
            lambda: spell.delay(text="a", letter="b"),
            lambda: spell.delay("a", "b"),
            lambda: spell.delay("a", letter="b"),
            lambda: spell.apply_async(kwargs={"text": "a", "letter": "b"}),
            lambda: spell.apply_async(("a",), {"letter": "b"}),
            lambda: spell.s(text="a", letter="b").delay(),
            lambda: spell.s("a").delay(letter="b"),
            lambda: current_app.send_task("spell", kwargs={"text": "a", "letter": "b"}),
            lambda: current_app.send_task("spell", ("a", "b")),
            lambda: jobs.enqueue("spell", {"text": "a", "letter": "b"}),
            lambda: jobs.enqueue_many([("spell", {"text": "a", "letter": "b"})])[0],
        ],
    )
    def test_makes_the_same_row(self, call: Callable[[], Any]) -> None:
        answer = call()
        job = Job.objects.get()
        assert str(answer.id) == str(job.id)
        assert (job.type, job.payload, job.status) == ("spell", {"text": "a", "letter": "b"}, Status.PENDING)
        assert (job.max_attempts, job.queue, job.priority, job.parent) == (2, "default", 5, None)

    def test_of_a_processor_answers_with_the_job(self) -> None:
        answer = improvise.enqueue({})
        assert isinstance(answer, Enqueued)
        assert (answer.status, answer.created) == (Status.PENDING, True)
        assert improvise.enqueue({}, unique_key="k").created
        assert not improvise.enqueue({}, unique_key="k").created

    def test_of_celery_answers_with_an_async_result(self) -> None:
        result = improvise.delay()
        assert isinstance(result, AsyncResult)
        assert row(UUID(result.id)).status == Status.PENDING

    def test_of_celery_with_a_taken_key_answers_with_the_job_that_has_it(self) -> None:
        first = improvise.apply_async(unique_key="k")
        assert improvise.apply_async(unique_key="k").id == first.id

    def test_of_celery_with_an_id_that_exists_leaves_the_job_as_it_is(self) -> None:
        given = str(uuid4())
        add_up.apply_async((1, 1), task_id=given)
        assert add_up.apply_async((5, 5), task_id=given).id == given
        assert row(UUID(given)).payload == {"args": [1, 1], "kwargs": {}}

    def test_without_a_payload_takes_the_defaults(self) -> None:
        for call in (improvise.delay, improvise.enqueue, lambda: enqueue("improvise"), improvise.apply_async):
            call()
        empty = {"part": "", "stageName": "", "cardNumber": "", "card": None}
        assert [job.payload for job in Job.objects.all()] == [empty] * 4

    def test_inside_a_transaction_that_is_rolled_back_leaves_nothing(self) -> None:
        with transaction.atomic():
            assert improvise.delay().id
            enqueue_many([("improvise", {})] * 3)
            transaction.set_rollback(True)
        assert Job.objects.count() == 0

    def test_of_a_job_by_a_job_has_that_one_as_its_parent(self) -> None:
        def body(job: JobContext) -> str:
            assert current_job() == job.id
            improvise.delay()
            enqueue("spell", {"text": ""})
            enqueue_many([("spell", {"text": ""})])
            return "done"

        parent = perform(improvise.enqueue(part(body)))
        assert (parent.status, current_job()) == (Status.COMPLETED, None)
        assert [job.parent for job in Job.objects.exclude(id=parent.id)] == [parent.id] * 3


class TestAPlainTask:
    def test_has_its_arguments_as_payload(self) -> None:
        add_up.delay(1, y=2)
        assert Job.objects.get().payload == {"args": [1], "kwargs": {"y": 2}}
        drain()
        assert Job.objects.get().result == 3

    @pytest.mark.parametrize(
        ("args", "kwargs", "message"),
        [
            ((), {}, "missing 1 required positional argument: 'x'"),
            ((1, 2, 3), {}, "takes from 1 to 2 positional arguments but 3 were given"),
            ((1,), {"z": 2}, "unexpected keyword argument 'z'"),
        ],
    )
    def test_refuses_arguments_it_does_not_take(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(TypeError, match=message):
            add_up.apply_async(args, kwargs)
        assert Job.objects.count() == 0

    @pytest.mark.parametrize("value", [object(), float("nan"), "\x00", "\ud800", {1, 2}, b"bytes", "x" * 300_000])
    def test_refuses_arguments_that_no_row_can_hold(self, value: Any) -> None:
        with pytest.raises(InvalidPayload) as raised:
            say.delay(value)
        assert raised.value.errors[0]["loc"] == []
        assert Job.objects.count() == 0

    def test_may_be_enqueued_by_its_name(self) -> None:
        enqueue(add_up.name, {"args": [1], "kwargs": {"y": 2}})
        get_processor(add_up.name).enqueue({"kwargs": {"x": 3}})
        drain()
        assert [job.result for job in Job.objects.order_by("id")] == [3, 3]

    def test_may_not_be_replaced(self) -> None:
        with pytest.raises(InvalidCanvas, match="replace"):
            get_processor(add_up.name).replace(say.s())


WRONG: list[tuple[str, Any, str]] = [
    ("spell", {"text": "a", "leter": "b"}, "spell: leter: Extra inputs are not permitted"),
    ("spell", {}, "spell: text: Field required"),
    ("spell", {"text": 5}, "spell: text: Input should be a valid string"),
    ("spell", Cue(), "spell: expected Letter, got Cue"),
    ("spell", "text", "spell: expected an object, got str"),
    ("spell", [1], "spell: expected an object, got list"),
    ("spell", {"text": "x" * 300_000}, "spell: payload too large: 300,023 bytes of JSON, the limit is 262,144"),
    ("spell", {"text": "a\x00b"}, "spell: payload not storable: a NUL character in a string"),
    ("spell", {"text": "\ud800"}, "spell: "),
    ("improvise", {"card": {"holder": "x"}}, "improvise: card.number: Field required"),
    (add_up.name, {"x": 1}, 'add_up: expected {"args": [...], "kwargs": {...}}'),
    (add_up.name, {"args": 1}, 'add_up: expected {"args": [...], "kwargs": {...}}'),
    (add_up.name, {"args": []}, "add_up: add_up() missing 1 required positional argument: 'x'"),
    (add_up.name, [1], "add_up: expected an object, got list"),
    (add_up.name, Cue(), "add_up: it is a plain task, Cue is a processor's payload"),
]


@pytest.mark.parametrize(("type_", "payload", "message"), WRONG)
def test_a_wrong_payload_is_told_by_field_and_nothing_is_stored(type_: str, payload: Any, message: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: enqueue(type_, payload),
        lambda: get_processor(type_).enqueue(payload),
    ]
    for call in calls:
        with pytest.raises(InvalidPayload, match=re.escape(message)) as raised:
            call()
        assert raised.value.errors
    assert Job.objects.count() == 0


def test_too_many_positional_values_are_told() -> None:
    with pytest.raises(InvalidPayload, match="spell: 3 positional values for 2 fields"):
        spell.delay("a", "b", "c")


class TestManyJobs:
    def test_are_enqueued_in_order_with_options_of_each(self) -> None:
        answers = enqueue_many(
            [
                ("spell", {"text": "a"}),
                (improvise, Cue(), {"priority": "high"}),
                (add_up.name, {"args": [1]}, {"delay": 60}),
            ]
        )
        assert [row(answer).type for answer in answers] == ["spell", "improvise", add_up.name]
        assert [row(answer).priority for answer in answers] == [5, 8, 5]
        assert [answer.status for answer in answers] == ["pending", "pending", "scheduled"]

    @pytest.mark.parametrize(
        ("bad", "error", "message"),
        [
            (("no_such_type", {}), UnknownProcessor, "job 2: unknown job type 'no_such_type'"),
            (("spell", {}), InvalidPayload, "job 2: spell: text: Field required"),
            (("spell", {"text": "a"}, {"queue": "nowhere"}), UnknownQueue, "job 2: unknown queue 'nowhere'"),
            (("spell", {"text": "a"}, {"priority": 11}), InvalidOption, "job 2: priority: expected 1 to 10"),
            ((add_up.name, {"kwargs": {"z": 1}}), InvalidPayload, "job 2: .*unexpected keyword argument 'z'"),
        ],
    )
    def test_are_all_or_none_and_the_error_says_which(
        self, bad: tuple[Any, ...], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            enqueue_many([("spell", {"text": "a"}), ("spell", {"text": "b"}), bad])
        assert Job.objects.count() == 0

    def test_that_are_wrong_have_their_place_in_front_of_the_field(self) -> None:
        with pytest.raises(InvalidPayload) as raised:
            enqueue_many([("spell", {"text": "a"}), ("spell", {"text": 1, "leter": "x"})])
        assert [error["loc"] for error in raised.value.errors] == [[1, "text"], [1, "leter"]]

    def test_may_be_none(self) -> None:
        assert enqueue_many([]) == []


class TestEagerMode:
    """Celery's own: here and now, without a row."""

    @pytest.fixture(autouse=True)
    def eager(self) -> Any:
        current_app.conf.task_always_eager = True
        yield
        current_app.conf.task_always_eager = False

    def test_runs_plain_tasks_and_canvas(self) -> None:
        assert add_up.delay(1, 2).get() == 3
        assert chain(add_up.s(1, 1), add_up.s(1))().get() == 3
        assert chord([add_up.s(1, 1), add_up.s(2, 2)])(total.s()).get() == 6
        assert Job.objects.count() == 0

    def test_retries_at_once(self) -> None:
        tries: list[int] = []

        def body(task: Any) -> str:
            tries.append(task.request.retries)
            if len(tries) < 3:
                task.retry(countdown=60)
            return "done"

        task: Any = plead
        assert task.apply_async(kwargs=part(body)).get() == "done"
        assert tries == [0, 1, 2]

    def test_is_not_for_processors_which_need_a_row(self) -> None:
        with pytest.raises(RuntimeError, match="spell runs as a job only"):
            spell.delay(text="a").get()


def test_a_body_is_called_as_a_job_only() -> None:
    with pytest.raises(RuntimeError, match="improvise runs as a job only"):
        improvise(part="x")


def test_a_job_that_was_enqueued_with_another_model_is_told_when_it_runs() -> None:
    job = spell.enqueue({"text": "a"})
    Job.objects.filter(id=job.id).update(payload={"words": "a"})
    after = perform(job)
    assert (after.status, after.attempt) == (Status.FAILED, 1)
    failure = after.failures.get()
    assert (failure.error, failure.classification) == ("InvalidPayload", "permanent")
    assert failure.message == "spell: text: Field required; words: Extra inputs are not permitted"


def test_what_authors_import_is_there() -> None:
    assert [name for name in authors.__all__ if not hasattr(authors, name)] == []
    assert [name for name in jobs.__all__ if not hasattr(jobs, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        jobs.nothing  # noqa: B018


def test_a_room_may_have_old_jobs_deleted() -> None:
    ended = [spell.enqueue({"text": "a"}).id for _ in range(6)]
    recent, waiting = (spell.enqueue({"text": "a"}).id for _ in range(2))
    for ids, status in ((ended[:2], "completed"), (ended[2:4], "failed"), (ended[4:], "cancelled")):
        Job.objects.filter(id__in=ids).update(status=status, finished_at=timezone.now() - timedelta(days=3))
    Job.objects.filter(id=recent).update(status="completed", finished_at=timezone.now())
    assert authors.count_old_jobs(timedelta(days=2)) == 6
    assert [authors.prune_jobs(timedelta(days=2), limit=4) for _ in range(3)] == [4, 2, 0]
    assert set(Job.objects.values_list("id", flat=True)) == {recent, waiting}
