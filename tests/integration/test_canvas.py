"""Chains, groups and chords in real workers: every successor once, also when workers are killed or frozen."""

from collections.abc import Iterator
from pathlib import Path
from string import ascii_letters
from typing import Any
from uuid import UUID

import pytest
from celery import chain, chord, group

from jobs.models import Chord, Job, Status
from tests.integration.jobtypes.journal import Journal
from tests.integration.jobtypes.tasks import letter, mourn, nap, noop, word
from tests.integration.workers import Start, wait_for, wait_for_end, wait_for_status

BOTH = ("threads", "prefork")
PATIENCE = 60
LEASE = "2"
LONG = (ascii_letters + ascii_letters)[:60]
KILLS = (5, 20, 35, 50)  # steps of the chain after which a worker dies


def steps(letters: str, **fields: Any) -> Iterator[Any]:
    """The steps of a chain that spells these letters."""
    yield letter.s(text="", letter=letters[0], **fields)
    yield from (letter.s(letter=other, **fields) for other in letters[1:])


def members(letters: str, **fields: Any) -> list[Any]:
    return [letter.s(text="", letter=each, **fields) for each in letters]


def wait_for_all() -> None:
    wait_for(lambda: not Job.objects.active().exists(), "all jobs to end")


def ids(result: Any) -> list[UUID]:
    """Of a chain's steps, the last one first."""
    found = [UUID(result.id)]
    while (result := result.parent) is not None:
        found.append(UUID(result.id))
    return found


@pytest.mark.parametrize("pool", BOTH)
def test_results_reach_who_waits_for_them(start: Start, journal: Journal, pool: str) -> None:
    start(pool)
    chained: Any = chain(*steps("abc")).apply_async()
    grouped = group(members("abcd")).apply_async()
    joined: Any = chord(members("abcd"), word.s(journal=journal.path)).apply_async()
    nested = chain(letter.s(text="", letter="a"), group(letter.s(letter=each) for each in "xy"), word.s()).apply_async()
    broken: Any = chain(*steps("ab"), letter.s(fails=True), letter.s(letter="d")).apply_async(link_error=mourn.s())
    assert chained.get(timeout=PATIENCE) == "abc"
    assert [each.get(timeout=PATIENCE) for each in (chained.parent, chained.parent.parent)] == ["ab", "a"]
    assert grouped.get(timeout=PATIENCE) == list("abcd")
    assert grouped.successful()
    assert joined.get(timeout=PATIENCE) == "abcd"
    assert joined.parent.get(timeout=PATIENCE) == list("abcd")
    assert nested.get(timeout=PATIENCE) == "axay"
    with pytest.raises(Exception, match="asked to fail") as caught:
        broken.get(timeout=PATIENCE)
    assert type(caught.value).__name__ == "Discard"
    assert Job.objects.get(id=broken.id).failures.get().message == "the job before it did not complete"
    wait_for_all()
    assert Job.objects.get(type="mourn").result == broken.parent.id
    assert [line.what for line in journal.lines("start")] == ["abcd"]


@pytest.mark.parametrize("pool", BOTH)
def test_a_chord_with_a_failing_member_calls_its_error_callback_once(start: Start, journal: Journal, pool: str) -> None:
    start(pool)
    header = [*members("abcd"), letter.s(text="", fails=True), letter.s(text="", fails=True)]
    joined: Any = chord(header, word.s(journal=journal.path).on_error(mourn.s())).apply_async()
    # A member's error, if one had failed by then.
    with pytest.raises(Exception, match=r"asked to fail|did not complete"):
        joined.get(timeout=PATIENCE)
    wait_for_all()
    assert "a member of its chord, did not complete" in Job.objects.get(id=joined.id).failures.get().message
    assert Job.objects.get(type="mourn").result == joined.id
    assert set(Job.objects.filter(type="word").values_list("id", "status", "run")) == {
        (UUID(joined.id), Status.FAILED, 0)
    }
    assert not journal.lines()


def test_workers_killed_on_the_way_start_every_successor_once(start: Start, journal: Journal) -> None:
    workers = {worker.node: worker for worker in (start(pool, 4, JOBS_LEASE=LEASE) for pool in BOTH)}
    chained: Any = chain(*steps(LONG, journal=journal.path, seconds=0.03)).apply_async()
    chain_ids = ids(chained)
    joined: Any = chord(members(LONG, seconds=0.3), word.s(journal=journal.path)).apply_async()
    broken: Any = chain(*steps("ab", seconds=0.5), letter.s(fails=True), letter.s(letter="d")).apply_async(
        link_error=mourn.s()
    )

    of_chain = Job.objects.filter(id__in=chain_ids)
    for after in KILLS:
        wait_for(lambda: of_chain.filter(status=Status.COMPLETED).count() >= after, f"step {after}")  # noqa: B023
        names = of_chain.exclude(worker=None).order_by("-started_at").values_list("worker", flat=True)
        alive = (node for node in (str(name).rpartition(":")[0] for name in names) if node in workers)
        node = next(alive, min(workers))  # whoever had a step last; a fresh pair may have had none yet
        workers.pop(node).kill()
        replacement = start("threads" if "threads" in node else "prefork", 4, JOBS_LEASE=LEASE)
        workers[replacement.node] = replacement
    assert chained.get(timeout=PATIENCE) == LONG
    assert joined.get(timeout=PATIENCE) == LONG
    wait_for_all()
    # Each once, and nothing else.
    by_type = {kind: Job.objects.filter(type=kind).count() for kind in ("letter", "word", "mourn")}
    assert by_type == {"letter": 60 + 60 + 4, "word": 1, "mourn": 1}
    assert of_chain.filter(status=Status.COMPLETED).count() == 60
    assert Job.objects.filter(losses__gt=0).exists()
    assert not Job.objects.exclude(status=Status.COMPLETED).exclude(id__in=ids(broken)[:2]).exists()
    assert Job.objects.get(type="mourn").result == broken.parent.id
    assert Chord.objects.get().fired_at is not None
    # A body may have been begun by a worker that was then killed, with the same results.
    assert {line.what for line in journal.lines("start", UUID(joined.id))} == {LONG}
    # A step sees all that came before it, whoever ran it how often.
    for step in chain_ids:
        assert {line.what for line in journal.lines("start", step)} == {LONG[: 59 - chain_ids.index(step)]}


def test_a_worker_that_was_frozen_starts_no_successor(start: Start, journal: Journal, gate: Path) -> None:
    frozen = start("threads", 2, JOBS_LEASE=LEASE)
    gates = {"journal": journal.path, "until": f"{gate}{{run}}", "checks": False}
    chained: Any = chain(nap.s(**gates), noop.s()).apply_async()
    joined: Any = chord([nap.s(**gates), noop.s(number=1)], noop.si(number=9)).apply_async()
    naps = list(Job.objects.filter(type="nap").values_list("id", flat=True))
    wait_for(lambda: len(journal.lines("start")) == 2, "the first runs")
    frozen.freeze()
    start("threads", 4, JOBS_LEASE=LEASE)
    wait_for(lambda: len(journal.lines("start")) == 4, "the second runs")
    gate.with_name(f"{gate.name}1").touch()
    frozen.thaw()
    wait_for(lambda: frozen.log.read_text().count("late report of run 1 ignored") == 2, "its late reports")
    assert set(Job.objects.filter(id__in=naps).values_list("status", "run")) == {(Status.PROCESSING, 2)}
    assert not Job.objects.filter(id__in=(chained.id, joined.id)).exists()
    gate.with_name(f"{gate.name}2").touch()
    assert chained.get(timeout=PATIENCE) == 2  # the run whose result it was given
    assert joined.get(timeout=PATIENCE) == 9
    assert joined.parent.get(timeout=PATIENCE) == [2, 1]
    wait_for_end(naps)
    assert set(Job.objects.filter(id__in=naps).values_list("run", "losses")) == {(2, 1)}
    assert Job.objects.filter(type="noop").count() == 3
    wait_for_status(chained.id, Status.COMPLETED)
