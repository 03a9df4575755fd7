"""Canvas when something goes wrong: callbacks of errors, tails that fail, chords that break and are revived."""

import threading
from typing import Any
from uuid import UUID

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult
from django.db import connection

from jobs import lifecycle
from jobs.lifecycle import Verb
from jobs.models import Chord, Failure, Job, Status
from jobs.testing import drain, perform
from tests.jobs.jobtypes import (
    add_up,
    collapse,
    complain,
    complain_of,
    improvise,
    part,
    recover,
    say,
    spell,
    stumble,
    total,
)
from tests.jobs.rows import ended, row, started, statuses

pytestmark = pytest.mark.django_db

HEADER_ERRBACKS = "ignore:task_allow_error_cb_on_chord_header"  # what Celery may once do with a chord's error callbacks


def job(result: Any) -> Job:
    return row(UUID(result.id))


def of(task: Any) -> list[Job]:
    """The jobs of this type."""
    return list(Job.objects.filter(type=task.name).order_by("id"))


def results(task: Any) -> list[Any]:
    """What the jobs of this type gave."""
    return [job.result for job in of(task)]


def again(*broken: AsyncResult[Any]) -> None:
    """A person retries these, and all runs."""
    retried = lifecycle.retry([UUID(result.id) for result in broken], actor="ann")
    assert len(retried.retried) == len(broken)
    drain()


class TestACallback:
    @pytest.mark.parametrize(
        ("link", "given"),
        [
            (lambda: say.s("and"), [[3, "and"]]),
            (lambda: say.si("only"), [["only"]]),
            (lambda: [say.s("a"), say.s("b")], [[3, "a"], [3, "b"]]),
            (lambda: chain(add_up.s(4), say.s("!")), [[7, "!"]]),
            (lambda: group(say.s("a"), say.s("b")), [[3, "a"], [3, "b"]]),
            (lambda: chord([add_up.s(1), add_up.s(2)], say.s("!")), [[[4, 5], "!"]]),
        ],
    )
    def test_takes_the_result(self, link: Any, given: list[Any]) -> None:
        add_up.apply_async((1, 2), link=link())
        drain()
        assert sorted(results(say)) == given

    def test_belongs_to_the_signature_that_was_linked(self) -> None:
        linked = add_up.s(1, 2)
        linked.link(say.s("linked"))
        chain(linked, add_up.s(10))()
        drain()
        assert sorted(str(job.result) for job in Job.objects.all()) == ["13", "3", "[3, 'linked']"]

    def test_is_not_called_when_the_job_fails(self) -> None:
        stumble.apply_async(link=say.s())
        drain()
        assert statuses(*(found.id for found in of(say))) == [Status.FAILED]
        assert Failure.objects.get(job=of(say)[0].id).error == "PredecessorFailed"

    def test_of_a_chain_or_chord_follows_its_end(self) -> None:
        chain(add_up.s(1, 1), add_up.s(1)).apply_async(link=say.s("chain"))
        chord([add_up.s(1, 1), add_up.s(2, 2)], total.s()).apply_async(link=say.s("chord"))
        drain()
        assert sorted(str(said.result) for said in of(say)) == ["[3, 'chain']", "[6, 'chord']"]


class TestAnErrorCallback:
    def test_of_the_older_form_takes_the_id(self) -> None:
        failed: Any = stumble.apply_async(link_error=complain_of.s())
        drain()
        assert results(complain_of) == [failed.id]

    def test_of_the_newer_form_takes_request_error_and_traceback(self) -> None:
        failed: Any = stumble.apply_async(link_error=complain.s())
        drain()
        ((job_id, error, traceback),) = results(complain)
        assert (job_id, error) == (failed.id, "ValueError: stumbled")
        assert "stumbled" in traceback
        assert "in stumble" in traceback

    def test_that_is_immutable_takes_nothing(self) -> None:
        stumble.apply_async(link_error=[say.si("a"), say.si("b", key=1)])
        drain()
        assert results(say) == [["a"], ["b", {"key": 1}]]

    def test_may_be_a_processor_whose_first_field_takes_the_id(self) -> None:
        failed: Any = stumble.apply_async(link_error=spell.s(letter="!"))
        drain()
        assert results(spell) == [f"{failed.id}!"]

    def test_may_be_followed_by_others(self) -> None:
        failed: Any = stumble.apply_async(link_error=chain(complain_of.s(), say.s("told")))
        drain()
        assert results(say) == [[failed.id, "told"]]

    def test_is_called_at_the_last_attempt_only(self) -> None:
        result: Any = improvise.apply_async(kwargs=part(lambda job: 1 / 0), link_error=complain_of.s())
        perform(result.id)
        perform(result.id)
        assert (job(result).status, of(complain_of)) == (Status.SCHEDULED, [])
        perform(result.id)
        drain()
        assert (job(result).status, len(of(complain_of))) == (Status.FAILED, 1)

    def test_is_not_called_for_a_job_that_completed_or_was_cancelled(self) -> None:
        add_up.apply_async((1, 2), link_error=complain_of.s())
        drain()
        cancelled = stumble.apply_async(link_error=complain_of.s())
        lifecycle.cancel([UUID(cancelled.id)], actor="ann")
        drain()
        assert of(complain_of) == []

    def test_of_a_chain_is_called_for_the_step_that_failed(self) -> None:
        result: Any = chain(add_up.s(1, 1), stumble.s(), add_up.s(1)).apply_async(link_error=complain_of.s())
        drain()
        assert results(complain_of) == [result.parent.id]

    def test_may_be_set_on_a_chain(self) -> None:
        result: Any = chain(stumble.s(), add_up.s(1)).on_error(complain_of.s()).apply_async()
        drain()
        assert results(complain_of) == [result.parent.id]

    @pytest.mark.filterwarnings(HEADER_ERRBACKS)
    @pytest.mark.parametrize("way", ["option", "on_error", "body"])
    def test_of_a_chord_is_called_once_for_its_body(self, way: str) -> None:
        header = [add_up.s(1, 1), stumble.s(), stumble.s()]
        result: Any
        match way:
            case "option":
                result = chord(header, total.s()).apply_async(link_error=complain_of.s())
            case "on_error":
                result = chord(header, total.s()).on_error(complain_of.s()).apply_async()
            case "body":
                result = chord(header)(total.s().on_error(complain_of.s()))
        drain()
        assert results(complain_of) == [result.id]

    def test_of_a_chord_is_told_what_the_member_died_of(self) -> None:
        result: Any = chord([add_up.s(1, 1), stumble.s()])(total.s().on_error(complain.s()))
        drain()
        assert [result[:2] for result in results(complain)] == [[result.id, "ValueError: stumbled"]]


class TestAChainThatBreaks:
    def test_leaves_a_failed_row_for_each_step_that_will_not_run(self) -> None:
        result: Any = chain(add_up.s(1, 1), collapse.si(), add_up.s(1), group(say.s(1), say.s(2)))()
        drain()
        assert (job(result.parent).status, job(result.parent).run) == (Status.FAILED, 0)
        assert [(said.status, said.run) for said in of(say)] == [(Status.FAILED, 0)] * 2
        failure = Failure.objects.get(job=UUID(result.parent.id))
        assert (failure.error, failure.run, failure.classification) == ("PredecessorFailed", 0, "permanent")
        assert failure.message == "the job before it did not complete"

    def test_fails_its_tail_when_a_step_is_cancelled(self) -> None:
        result: Any = chain(add_up.s(1, 1), add_up.s(1), add_up.s(1))()
        lifecycle.cancel([UUID(result.parent.parent.id)], actor="ann")
        assert [job(result.parent).status, job(result).status] == [Status.FAILED, Status.FAILED]

    def test_does_not_fail_its_tail_while_there_are_attempts(self) -> None:
        result: Any = chain(improvise.s(**part(lambda job: 1 / 0)), say.s())()
        perform(result.parent.id)
        assert Job.objects.count() == 1

    def test_goes_on_when_a_person_retries_what_failed(self) -> None:
        result: Any = chain(add_up.s(1, 1), recover.si(text="b"), spell.s(letter="c"), spell.s(letter="d"))()
        drain()
        assert job(result).status == Status.FAILED
        again(result.parent.parent)
        assert result.get(timeout=0) == "bcd"
        assert [job(result).run, job(result.parent).run] == [1, 1]

    def test_goes_on_with_the_group_at_its_end(self) -> None:
        result: Any = chain(recover.si(text="b"), group(spell.s(letter="c"), spell.s(letter="d")))()
        drain()
        again(result.parent)
        assert result.get(timeout=0) == ["bc", "bd"]

    def test_that_fails_again_after_a_retry_stays_broken(self) -> None:
        result: Any = chain(collapse.si(), say.s())()
        drain()
        again(result.parent)
        assert (job(result).status, job(result).run, Job.objects.count()) == (Status.FAILED, 0, 2)

    def test_never_runs_a_step_again_that_has_run(self) -> None:
        result: Any = chain(add_up.s(1, 1), say.s("once"))()
        first = started(UUID(result.parent.id))
        lifecycle.cancel([first.id], actor="ann")
        ended(first, Verb.COMPLETE, result="2")
        drain()
        assert job(result).run == 1
        lifecycle.rerun([first.id], actor="ann")
        drain()
        assert (job(result).run, len(of(say))) == (1, 1)


class TestAChordThatBreaks:
    def test_fails_its_body_once_and_what_follows_it(self) -> None:
        result: Any = chord([stumble.s(), stumble.s(), add_up.s(1, 1)])(chain(total.s(), add_up.s(1)))
        drain()
        assert [(job(r).status, job(r).run) for r in (result.parent, result)] == [(Status.FAILED, 0)] * 2
        assert Failure.objects.filter(error="PredecessorFailed").count() == 2
        member = Failure.objects.filter(error="ValueError").order_by("id")[0].job_id
        told = Failure.objects.get(job=UUID(result.id)).message
        assert told == f"{member}, a member of its chord, did not complete"
        assert Chord.objects.get().fired_at is None

    def test_is_completed_by_a_retry_of_the_member_that_failed(self) -> None:
        result: Any = chord([spell.s(text="a"), recover.s(text="b"), spell.s(text="c")])(
            chain(say.s("all"), say.s("!"))
        )
        drain()
        assert job(result).status == Status.FAILED
        again(*(AsyncResult(str(found.id)) for found in of(recover)))
        assert result.get(timeout=0) == [[["a", "b", "c"], "all"], "!"]

    def test_waits_until_the_last_failed_member_is_completed(self) -> None:
        result: Any = chord([recover.s(text="a"), recover.s(text="b")])(say.s())
        drain()
        first, last = [AsyncResult[Any](str(found.id)) for found in of(recover)]
        again(first)
        assert job(result).status == Status.FAILED
        again(last)
        assert result.get(timeout=0) == [["a", "b"]]

    def test_is_broken_by_a_member_that_is_cancelled_and_completed_by_its_retry(self) -> None:
        result: Any = chord([spell.s(text="a"), spell.s(text="b")])(say.s().on_error(complain_of.s()))
        first, last = of(spell)
        lifecycle.cancel([first.id], actor="ann")
        drain()
        assert (job(result).status, results(complain_of)) == (Status.FAILED, [result.id])
        assert row(last.id).status == Status.COMPLETED
        again(AsyncResult(str(first.id)))
        assert result.get(timeout=0) == [["a", "b"]]

    def test_breaks_the_chord_around_it_and_revives_it(self) -> None:
        inner = chord([spell.s(text="a"), recover.s(text="b")], say.s())
        result: Any = chord([inner, spell.s(text="c")])(say.s("outer"))
        drain()
        assert job(result).status == Status.FAILED
        again(AsyncResult(str(of(recover)[0].id)))
        assert result.get(timeout=0) == [[[["a", "b"]], "c"], "outer"]

    def test_is_broken_by_a_chain_in_its_header_and_revived_by_it(self) -> None:
        header = [chain(recover.si(text="a"), spell.s(letter="b")), spell.s(text="c")]
        result: Any = chord(header)(say.s())
        drain()
        assert job(result).status == Status.FAILED
        again(AsyncResult(str(of(recover)[0].id)))
        assert result.get(timeout=0) == [["ab", "c"]]

    def test_in_a_chain_fails_and_revives_the_rest_of_it(self) -> None:
        result: Any = chain(
            recover.si(text="a"), group(spell.s(letter="b"), spell.s(letter="c")), say.s(), say.s("end")
        )()
        drain()
        assert {found.status for found in Job.objects.all()} == {Status.FAILED}
        again(AsyncResult(str(of(recover)[0].id)))
        assert result.get(timeout=0) == [[["ab", "ac"]], "end"]

    @pytest.mark.django_db(transaction=True)
    def test_fires_once_when_all_members_end_at_the_same_time(self) -> None:
        result: Any = chord([say.s(n) for n in range(16)])(say.s("body"))
        members = [started(found.id) for found in of(say)]
        together = threading.Barrier(len(members))

        def end(number: int) -> None:
            connection.ensure_connection()
            together.wait()
            ended(members[number], Verb.COMPLETE, result=str(number))
            connection.close()

        threads = [threading.Thread(target=end, args=(number,)) for number in range(len(members))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Job.objects.count() == len(members) + 1
        assert drain() == [UUID(result.id)]
        assert result.get(timeout=0) == [list(range(16)), "body"]
