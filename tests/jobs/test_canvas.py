"""Celery's canvas on rows: what runs after what, and with which values."""

from typing import Any
from uuid import UUID

import pytest
from celery import Signature, chain, chord, group
from celery.result import AsyncResult, GroupResult
from django.db import transaction

from jobs.lifecycle import Verb
from jobs.models import Chord, Job, Status
from jobs.processor import JobContext
from jobs.testing import drain, perform
from tests.jobs.jobtypes import add_up, gather, idle, improvise, part, read_out, say, spell, total
from tests.jobs.rows import ended, row, started

pytestmark = pytest.mark.django_db


def got(result: Any) -> Any:
    """What a canvas gives when all its jobs have run."""
    drain()
    return result.get(timeout=0)


def results() -> list[Any]:
    return sorted((job.result for job in Job.objects.all()), key=str)


class TestAChain:
    def test_hands_each_result_on(self) -> None:
        assert got(chain(add_up.s(1, 2), add_up.s(3), add_up.s(4))()) == 10

    def test_hands_it_to_the_first_declared_field(self) -> None:
        assert got((spell.s(text="", letter="a") | spell.s(letter="b") | spell.s(letter="c")).delay()) == "abc"

    def test_has_one_row_at_a_time(self) -> None:
        result = chain(add_up.s(1, 2), add_up.s(3))()
        (first,) = Job.objects.all()
        assert str(first.id) == result.parent.id
        ended(started(first.id), Verb.COMPLETE, result="3")
        second = row(UUID(result.id))
        assert (second.status, second.payload, second.parent) == ("pending", {"args": [3, 3], "kwargs": {}}, first.id)

    def test_may_have_a_step_that_takes_nothing(self) -> None:
        assert got(chain(add_up.s(1, 2), idle.si(), say.s("then"))()) == ["idle", "then"]

    def test_gives_nothing_to_an_immutable_step(self) -> None:
        assert got(chain(add_up.s(1, 2), say.si("hello"), say.s("you"))()) == [["hello"], "you"]

    def test_of_one_task_is_that_task(self) -> None:
        assert got(chain(add_up.s(1, 2))()) == 3

    def test_of_none_is_nothing(self) -> None:
        empty: Any = chain
        assert [empty()(), empty([]).apply_async(), empty().delay()] == [None, None, None]
        assert Job.objects.count() == 0

    def test_inside_of_a_chain_is_part_of_it(self) -> None:
        assert got(chain(add_up.s(1, 1), chain(add_up.s(1), add_up.s(1)), add_up.s(1))()) == 5

    def test_knows_its_results_back_to_the_first(self) -> None:
        result = chain(add_up.s(1, 1), add_up.s(1), add_up.s(1))()
        drain()
        assert [result.get(timeout=0), result.parent.get(timeout=0), result.parent.parent.get(timeout=0)] == [4, 3, 2]

    def test_of_many_steps_runs_them_all(self) -> None:
        assert got(chain(*[add_up.s(1, 0), *[add_up.s(1)] * 99])()) == 100

    def test_starts_its_next_step_once_whatever_is_reported_again(self) -> None:
        chain(add_up.s(1, 2), add_up.s(3))()
        claimed = started(Job.objects.get().id)
        ended(claimed, Verb.COMPLETE, result="3")
        drain()
        assert ended(claimed, Verb.COMPLETE, result="30") is None
        assert drain() == []
        assert results() == [3, 6]


class TestAGroup:
    def test_gives_results_in_its_order(self) -> None:
        result: Any = group(add_up.s(1, 1), add_up.s(2, 2), add_up.s(3, 3))()
        assert isinstance(result, GroupResult)
        jobs = [UUID(child.id) for child in result.results or ()]
        for job in reversed(jobs):
            perform(job)
        assert result.get(timeout=0) == [2, 4, 6]
        assert {row(job).group for job in jobs} == {UUID(result.id)}

    def test_is_inserted_in_one_statement(self) -> None:
        group(add_up.s(n, n) for n in range(50))()
        assert Job.objects.filter(status=Status.PENDING).count() == 50

    def test_of_none_is_an_empty_result(self) -> None:
        assert got(group([])()) == []

    def test_in_a_group_is_part_of_it(self) -> None:
        # Celery unrolls an inner group from its end.
        assert got(group(group(add_up.s(1, 1), add_up.s(2, 2)), add_up.s(3, 3))()) == [4, 2, 6]

    def test_of_chains_runs_them_side_by_side(self) -> None:
        chains = (chain(add_up.s(1, 1), add_up.s(1)), chain(add_up.s(2, 2), add_up.s(2)))
        assert got(group(*chains)()) == [3, 6]

    def test_of_chords_runs_their_bodies(self) -> None:
        assert got(group(chord([add_up.s(1, 1), add_up.s(2, 2)], total.s()), add_up.s(5, 5))()) == [6, 10]

    def test_at_the_end_of_a_chain_takes_its_result(self) -> None:
        result = chain(add_up.s(1, 1), group(add_up.s(10), add_up.s(20)))()
        assert Job.objects.count() == 1
        assert got(result) == [12, 22]


class TestAChord:
    def test_gives_its_body_the_results_in_the_order_of_its_header(self) -> None:
        result = chord([say.s("a"), say.s("b"), say.s("c")])(say.s())
        for job in Job.objects.order_by("-id"):
            perform(job)
        assert got(result) == [[["a"], ["b"], ["c"]]]

    def test_gives_them_to_the_first_field_of_a_payload(self) -> None:
        assert got(chord([spell.s(text="a"), spell.s(text="b")])(read_out.s(end="!"))) == "ab!"

    def test_starts_its_body_when_the_last_member_has_ended(self) -> None:
        result = chord([add_up.s(1, 1), add_up.s(2, 2)])(total.s())
        first, last = Job.objects.order_by("id")
        perform(first)
        assert Job.objects.count() == 2
        perform(last)
        body = row(UUID(result.id))
        assert (body.status, body.payload) == ("pending", {"args": [], "kwargs": {}})  # it reads the results itself
        assert Chord.objects.get().fired_at is not None
        assert perform(body).result == 6

    def test_waits_for_a_member_that_is_tried_again(self) -> None:
        retried = improvise.s(**part(lambda job: 1 / (job.attempt - 1)))
        result = chord([retried, add_up.s(2, 2)])(total.s())
        drain()
        assert Job.objects.filter(id=UUID(result.id)).count() == 0
        perform(Job.objects.get(status=Status.SCHEDULED))
        assert got(result) == 5.0

    def test_gives_an_immutable_body_nothing(self) -> None:
        assert got(chord([add_up.s(1, 1), add_up.s(2, 2)])(say.si("done"))) == ["done"]

    def test_of_one_member_still_gives_a_list(self) -> None:
        assert got(chord([add_up.s(1, 1)])(say.s())) == [[2]]

    def test_of_no_member_starts_its_body_at_once(self) -> None:
        assert got(chord([])(say.s("none"))) == [[], "none"]
        assert got(chain(add_up.s(1, 1), chord([], say.s("none")))()) == [[], "none"]

    def test_may_have_a_chain_as_its_body(self) -> None:
        assert got(chord([add_up.s(1, 1), add_up.s(2, 2)])(chain(total.s(), add_up.s(100), add_up.s(1000)))) == 1106

    def test_may_have_a_group_as_its_body(self) -> None:
        assert got(chord([add_up.s(1, 1), add_up.s(2, 2)])(group(total.s(), say.s()))) == [6, [[2, 4]]]

    def test_may_have_a_chord_as_its_body(self) -> None:
        inner = chord([total.s(), total.s()], total.s())
        assert got(chord([add_up.s(1, 1), add_up.s(2, 2)])(inner)) == 12

    def test_may_have_chains_in_its_header(self) -> None:
        header = [chain(add_up.s(1, 1), add_up.s(1), add_up.s(1)), add_up.s(5, 5)]
        assert got(chord(header)(say.s())) == [[4, 10]]

    def test_may_have_chords_in_its_header(self) -> None:
        inner = chord([add_up.s(1, 1), add_up.s(2, 2)], total.s())
        assert got(chord([inner, add_up.s(5, 5), inner.clone()])(say.s())) == [[6, 10, 6]]

    def test_may_have_groups_in_its_header(self) -> None:
        assert got(chord([group(add_up.s(1, 1), add_up.s(2, 2)), add_up.s(5, 5)])(say.s())) == [[4, 2, 10]]

    def test_may_have_chains_that_end_in_groups_in_its_header(self) -> None:
        fan_out = chain(add_up.s(1, 1), group(add_up.s(1), add_up.s(2)))
        assert got(chord([fan_out, add_up.s(2, 2)])(say.s())) == [[3, 4, 4]]

    @pytest.mark.parametrize(
        ("steps", "result"),
        [
            ([group(add_up.s(1, 10), add_up.s(1, 20)), total.s()], 32),
            ([add_up.s(1, 1), group(add_up.s(10), add_up.s(20)), total.s(), add_up.s(100)], 134),
            ([group(add_up.s(1, 10), add_up.s(1, 20)), group(total.s(), total.s())], [32, 32]),
            ([group(add_up.s(1, 1), add_up.s(2, 2)), group(total.s(), total.s()), total.s()], 12),
            ([add_up.s(1, 1), chord([add_up.s(1), add_up.s(2)], total.s()), add_up.s(1)], 8),
            ([chord([add_up.s(1, 1), add_up.s(2, 2)], group(total.s(), total.s())), total.s()], 12),
        ],
    )
    def test_is_what_a_chain_makes_of_a_group_with_a_successor(self, steps: list[Signature[Any]], result: Any) -> None:
        assert got(chain(*steps)()) == result


class TestASignature:
    def test_may_be_used_again_and_again(self) -> None:
        one = add_up.si(1, 1)
        assert got(group([one, one, one])()) == [2, 2, 2]
        assert got(chain(one, one)()) == 2
        assert got(chord([one, one])(total.s())) == 4
        assert len(set(Job.objects.values_list("id", flat=True))) == 8

    def test_of_a_canvas_makes_new_jobs_each_time(self) -> None:
        twice = chain(add_up.s(1, 1), add_up.s(2))
        first, second = twice(), twice()
        assert first.id != second.id
        drain()
        assert (first.get(timeout=0), second.get(timeout=0), Job.objects.count()) == (4, 4, 4)

    def test_may_be_one_of_celerys_own_tasks(self) -> None:
        assert got(add_up.starmap([(1, 2), (3, 4)]).apply_async()) == [3, 7]
        assert got(total.map([[1, 2], [3]]).apply_async()) == [3, 3]
        assert got(add_up.chunks([(1, 1), (2, 2), (3, 3)], 2)()) == [[2, 4], [6]]


def test_a_canvas_is_part_of_the_callers_transaction() -> None:
    with transaction.atomic():
        chord([add_up.s(1, 1), add_up.s(2, 2)])(total.s())
        transaction.set_rollback(True)
    assert (Job.objects.count(), Chord.objects.count()) == (0, 0)


def test_a_canvas_that_a_job_starts_has_that_job_as_its_parent() -> None:
    inner: list[AsyncResult[Any]] = []

    def body(job: JobContext) -> None:
        inner.append(group(add_up.s(1, 1), add_up.s(2, 2))())

    parent = perform(improvise.enqueue(part(body)))
    assert {job.parent for job in Job.objects.exclude(id=parent.id)} == {parent.id}


def test_an_argument_may_be_anything_json_can_say() -> None:
    value = {"a": [1, None, True, {"b": "\N{SNOWMAN} %s"}]}
    assert got(chain(say.s(value), say.s(value, key=value))()) == [[value], value, {"key": value}]


def test_a_body_that_runs_again_reads_its_members_again() -> None:
    result = chord([say.s("a"), say.s("b")])(gather.s(fails=2))
    drain()
    body = UUID(result.id)
    perform(body)
    assert row(body).status == Status.SCHEDULED
    assert perform(body).result == [["a"], ["b"]]
