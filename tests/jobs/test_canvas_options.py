"""Arguments and options of a canvas, and what is refused at the call."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from celery import Signature, chain, chord, group, signature

from jobs import canvas as canvas_steps
from jobs.canvas import MAX_LEVELS
from jobs.errors import InvalidCanvas, InvalidOption, InvalidPayload, UnknownProcessor, UnknownQueue
from jobs.models import Chord, Job, Status
from jobs.testing import drain
from tests.jobs.jobtypes import add_up, gather, idle, improvise, read_out, recover, say, spell, total
from tests.jobs.rows import now, row

pytestmark = pytest.mark.django_db

NOON = datetime(2050, 1, 1, 12, tzinfo=UTC)
AN_ID = "01a00000-0000-7000-8000-000000000009"


def job(result: Any) -> Job:
    return row(UUID(result.id))


def given(sign: Any, **options: Any) -> Any:
    """A signature with options of ours, which Celery's types do not know."""
    return sign.set(**options)


def all_of(field: str) -> set[Any]:
    return set(Job.objects.values_list(field, flat=True))


class TestArguments:
    def test_of_a_chain_go_to_its_first_task(self) -> None:
        result = chain(add_up.s(3), add_up.s(4)).apply_async((1,))
        drain()
        assert result.get(timeout=0) == 8

    def test_of_a_group_go_to_each_task(self) -> None:
        result = group(add_up.s(3), chain(add_up.s(4), add_up.s(10))).apply_async((1,))
        drain()
        assert result.get(timeout=0) == [4, 15]

    def test_of_a_chord_go_to_its_header(self) -> None:
        result = chord([add_up.s(3), add_up.s(4)], total.s()).apply_async((1,))
        drain()
        assert result.get(timeout=0) == 9

    def test_may_be_named(self) -> None:
        result = chord([add_up.s(3), add_up.s(4)], total.s()).apply_async(kwargs={"y": 1})
        drain()
        assert result.get(timeout=0) == 9

    def test_are_not_given_to_immutable_tasks(self) -> None:
        result = group(add_up.si(3), add_up.s(4)).apply_async((1,))
        drain()
        assert result.get(timeout=0) == [3, 5]

    def test_leave_the_signature_as_it_was(self) -> None:
        canvas = chain(say.s("a"), say.s("b"))
        canvas.apply_async(("x",), queue="cpu", link=say.s("l"))
        drain()
        plain = canvas()
        drain()
        assert plain.get(timeout=0) == [["a"], "b"]
        assert job(plain).queue == "default"


class TestOptions:
    def test_that_say_when_are_for_the_first_jobs(self) -> None:
        result = chain(add_up.s(1, 1), add_up.s(1)).apply_async(countdown=60)
        first = job(result.parent)
        assert (first.status, first.scheduled_at) == (Status.SCHEDULED, now() + timedelta(seconds=60))
        group(add_up.s(1, 1), add_up.s(2, 2)).apply_async(eta=NOON)
        chord([add_up.s(1, 1), add_up.s(2, 2)], total.s()).apply_async(eta=NOON)
        assert Job.objects.filter(scheduled_at=NOON).count() == 4

    def test_that_say_when_on_a_step_count_from_its_turn(self) -> None:
        result = chain(add_up.s(1, 1), add_up.s(1).set(countdown=60), add_up.s(1))()
        drain()
        second = job(result.parent)
        assert (second.status, second.scheduled_at) == (Status.SCHEDULED, now() + timedelta(seconds=60))

    def test_that_name_a_moment_on_a_step_keep_it(self) -> None:
        result = chain(add_up.s(1, 1), add_up.s(1).set(eta=NOON, expires=NOON + timedelta(hours=1)))()
        drain()
        assert (job(result).scheduled_at, job(result).expires_at) == (NOON, NOON + timedelta(hours=1))

    @pytest.mark.parametrize(
        "canvas",
        [
            lambda: chain(add_up.s(1, 1), add_up.s(1), add_up.s(1)),
            lambda: group(add_up.s(1, 1), chain(add_up.s(1, 1), add_up.s(1))),
            lambda: chord([add_up.s(1, 1), add_up.s(2, 2)], chain(total.s(), add_up.s(1))),
        ],
    )
    def test_that_say_where_are_for_all_jobs(self, canvas: Callable[[], Signature[Any]]) -> None:
        canvas().apply_async(queue="cpu", priority=9, expires=3600)
        drain()
        assert (all_of("queue"), all_of("priority"), all_of("status")) == ({"cpu"}, {9}, {"completed"})
        assert all_of("expires_at") == {now() + timedelta(hours=1)}

    def test_of_the_canvas_may_be_set_before(self) -> None:
        chain(add_up.s(1, 1), add_up.s(1)).set(queue="cpu", priority=8).delay()
        drain()
        assert (all_of("queue"), all_of("priority")) == ({"cpu"}, {8})

    def test_of_each_step_are_its_own(self) -> None:
        result = chain(add_up.s(1, 1).set(queue="cpu"), given(add_up.s(1), priority=2, max_attempts=9, tags=["x"]))()
        drain()
        first, second = job(result.parent), job(result)
        assert (first.queue, first.priority) == ("cpu", 5)
        assert (second.queue, second.priority, second.max_attempts, second.tags) == ("default", 2, 9, ["x"])

    def test_that_were_resolved_at_the_call_hold_when_a_step_starts(self) -> None:
        result = chain(add_up.s(1, 1), recover.si(text="x"), improvise.s())()
        drain()
        step = job(result.parent)
        assert (step.max_attempts, step.timeout, step.queue) == (1, 300.0, "default")
        tail = job(result)
        assert (tail.max_attempts, tail.timeout) == (3, 60.0)

    @pytest.mark.parametrize(
        "canvas",
        [
            lambda: chain(add_up.s(1, 1), add_up.s(1)),
            lambda: chord([add_up.s(1, 1), add_up.s(2, 2)], total.s()),
            lambda: group(add_up.s(1, 1), add_up.s(2, 2)),
        ],
    )
    def test_may_give_the_result_its_id(self, canvas: Callable[[], Signature[Any]]) -> None:
        assert canvas().apply_async(task_id=AN_ID).id == AN_ID
        drain()
        assert Job.objects.filter(id=AN_ID).count() + Job.objects.filter(group=AN_ID).count() in (1, 2)

    def test_are_not_changed_by_a_second_dispatch_under_the_same_id(self) -> None:
        chain(add_up.s(1, 1)).apply_async(task_id=AN_ID)
        chain(add_up.s(5, 5)).apply_async(task_id=AN_ID)
        drain()
        assert row(UUID(AN_ID)).result == 2


def linked_to_itself() -> Any:
    sign = add_up.s(1, 2)
    sign.link(sign)
    return sign


def linked_in_a_circle() -> Any:
    one, other = add_up.s(1, 2), add_up.s(3)
    one.link(other)
    other.link(one)
    return one


def nested(depth: int) -> Any:
    sign = say.s()
    for _ in range(depth):
        outer = say.s()
        outer.link(sign)
        sign = outer
    return sign


@pytest.mark.parametrize(
    ("canvas", "error", "message"),
    [
        (linked_to_itself, InvalidCanvas, "cyclic canvas"),
        (linked_in_a_circle, InvalidCanvas, "cyclic canvas"),
        (lambda: chain(linked_in_a_circle(), say.s()), InvalidCanvas, "cyclic canvas"),
        (lambda: group(linked_to_itself(), say.s()), InvalidCanvas, "cyclic canvas"),
        (lambda: chord([linked_to_itself()], say.s()), InvalidCanvas, "cyclic canvas"),
        (lambda: nested(120), InvalidCanvas, "nested deeper than 100"),
        (lambda: nested(400), InvalidCanvas, "nested deeper than 100"),
        (lambda: chain(say.s(), nested(400)), InvalidCanvas, "nested deeper than 100"),
        (lambda: chain(*[say.s()] * 300), InvalidCanvas, "too many steps one after another: the most is about 250"),
        (lambda: chain(say.s(), signature("no_such_type")), UnknownProcessor, "unknown job type 'no_such_type'"),
        (lambda: chain(spell.s(text="a"), spell.s(leter="b")), InvalidPayload, "spell: leter: Extra inputs"),
        (lambda: chain(say.s(), spell.s(text="a")), InvalidCanvas, "spell: text is given and would also take"),
        (lambda: chain(say.s(), spell.s("a")), InvalidCanvas, "spell: text is given and would also take"),
        (lambda: chain(say.s(), idle.s()), InvalidCanvas, "idle has no field that could take the result before it"),
        (lambda: chain(say.s(), gather.s(all_values=[])), InvalidCanvas, "allValues is given and would also take"),
        (lambda: chain(say.s(), gather.s(allValues=[])), InvalidCanvas, "allValues is given and would also take"),
        (lambda: chord([say.s(), say.s()], read_out.s(letters=[])), InvalidCanvas, "letters is given and would also"),
        (lambda: chain(spell.s(letter="a"), say.s()), InvalidPayload, "spell: text: Field required"),
        (lambda: chain(add_up.s(), say.s()), TypeError, "missing 1 required positional argument: 'x'"),
        (lambda: chain(say.s(), say.s().set(queue="nowhere")), UnknownQueue, "unknown queue 'nowhere'"),
        (lambda: group(say.s(), say.s().set(priority=11)), InvalidOption, "priority: expected 1 to 10"),
        (lambda: chain(say.s(), given(say.s(), unique_key="k")), InvalidOption, "unique_key: a job inside a canvas"),
        (lambda: chain(say.s(), given(say.s(), colour="red")), InvalidOption, "unknown option: colour"),
        (lambda: chain(say.s(), say.s("x" * 300_000)), InvalidPayload, "payload too large"),
        (lambda: chain(say.s(), say.s("\x00")), InvalidPayload, "a NUL character in a string"),
        (lambda: chain(say.s(), say.s(float("nan"))), InvalidPayload, "not JSON"),
        (lambda: chain(say.s(), say.s(object())), InvalidPayload, "not JSON"),
        (lambda: chord([say.s(), say.s()], say.s("\ud800")), InvalidPayload, "a lone surrogate in a string"),
    ],
)
def test_a_canvas_that_cannot_be_run_is_refused_whole(
    canvas: Callable[[], Signature[Any]], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        canvas().apply_async()
    assert (Job.objects.count(), Chord.objects.count()) == (0, 0)


@pytest.mark.parametrize("canvas", [chain(say.s(), say.s()), group([say.s()]), chord([say.s(), say.s()], say.s())])
def test_an_id_must_be_a_uuid(canvas: Signature[Any]) -> None:
    with pytest.raises(InvalidOption, match="task_id: expected a UUID, got 'my-id'"):
        canvas.apply_async(task_id="my-id")
    assert Job.objects.count() == 0


def test_a_bad_callback_is_refused_with_the_job() -> None:
    with pytest.raises(UnknownProcessor):
        add_up.apply_async((1, 2), link=signature("no_such_type"))
    with pytest.raises(InvalidPayload):
        add_up.apply_async((1, 2), link_error=spell.si(leter="x"))
    assert Job.objects.count() == 0


def test_a_callback_on_a_group_that_has_no_single_end_is_on_each_of_its_jobs() -> None:
    group([add_up.s(1, 1), add_up.s(2, 2)]).apply_async(link=say.s("!"))
    drain()
    assert {str(said.result) for said in Job.objects.filter(type=say.name)} == {"[2, '!']", "[4, '!']"}


def test_as_many_steps_as_allowed_can_be_run_from_first_to_last() -> None:
    result = chain(*[say.si()] * (MAX_LEVELS // 3 - 2))()
    drain()
    assert result.get(timeout=0) == []


def test_a_canvas_has_no_more_steps_than_a_worker_can_insert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas_steps, "MAX_STEPS", 10)
    with pytest.raises(InvalidCanvas, match="a canvas may have 10 steps"):
        group(say.s(n) for n in range(11)).apply_async()
    chain(*[say.si()] * 5, group(say.si(), say.si())).apply_async()
    assert Job.objects.count() == 1


def test_a_wide_canvas_is_no_deep_one() -> None:
    chord([say.s(n) for n in range(500)])(say.s())
    assert Job.objects.count() == 500
