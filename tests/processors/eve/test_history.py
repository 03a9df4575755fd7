"""Histories of characters, through the real life of a job and against the sandbox."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from jobs.errors import InvalidPayload
from jobs.models import Job, Priority, Status
from jobs.processor import Backoff, enqueue
from jobs.testing import drain, perform
from processors.eve import history
from processors.eve.models import (
    Character,
    DataType,
    EsiAnswer,
    HistoryRun,
    IndustryJob,
    JournalEntry,
    MarketOrder,
    SkillTraining,
    WalletTransaction,
)
from processors.eve.sandbox.world import PILOT
from processors.eve.tasks.history import historical_data
from tests.integration.workers import wait_for
from tests.processors.eve.rows import character, logged_in
from tests.processors.eve.sandbox import EveSandbox

pytestmark = pytest.mark.django_db


def payload(pilot: Character, data_type: str, **more: Any) -> dict[str, Any]:
    return {"characterId": pilot.pk, "userId": pilot.user_id, "dataType": data_type, **more}


def collect(pilot: Character, data_type: str, **more: Any) -> Any:
    """The result of the job that does."""
    job = perform(historical_data.enqueue(payload(pilot, data_type, **more)))
    assert job.status == Status.COMPLETED, job.failures.last()
    return job.result


def later(sandbox: EveSandbox, **counts: int) -> None:
    """Everything kept has expired, at both ends, and there are more rows."""
    EsiAnswer.objects.update(expires_at=datetime(2026, 1, 1, tzinfo=UTC))
    sandbox.control(expire=True, counts={name.replace("_", "/"): count for name, count in counts.items()})


def test_the_journal_of_30_days_is_stored_once(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    first = collect(pilot, "wallet_journal")
    assert (first["stored"], first["changed"]) == (240, 0)
    ids = list(JournalEntry.objects.order_by("entry_id").values_list("entry_id", flat=True))
    assert ids == list(range(20_000_000_000, 20_000_000_240))
    newest = JournalEntry.objects.get(entry_id=ids[-1])
    assert (newest.ref_type, newest.amount, newest.balance) == ("brokers_fee", Decimal("-1250.50"), Decimal(2195000))
    assert [request["query"] for request in eve.received(route="wallet/journal")] == [
        {"page": "1"},
        {"page": "2"},
        {"page": "3"},
    ]

    assert collect(pilot, "wallet_journal")["stored"] == 0
    assert len(eve.received(route="wallet/journal")) == 3  # it has not expired

    later(eve, wallet_journal=245)
    assert collect(pilot, "wallet_journal")["stored"] == 5
    assert JournalEntry.objects.count() == 245


def test_transactions_go_down_to_the_oldest(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    assert collect(pilot, "wallet_transactions")["stored"] == 120
    later(eve, wallet_transactions=180)
    assert collect(pilot, "wallet_transactions")["stored"] == 60
    rows = WalletTransaction.objects.order_by("transaction_id").values_list("transaction_id", flat=True)
    assert list(rows) == list(range(6_000_000_000, 6_000_000_180))


def test_an_order_that_ended_is_the_same_row(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    assert collect(pilot, "market_orders")["stored"] == 52
    assert MarketOrder.objects.filter(state="open").count() == 12
    ended = eve.get("{}/orders").json()[0] | {"state": "expired", "volume_remain": 0}
    later(eve)
    eve.control(answers={"orders": [], "orders/history": [ended]})
    told = collect(pilot, "market_orders")
    assert (told["stored"], told["changed"]) == (0, 1)
    row = MarketOrder.objects.get(order_id=ended["order_id"])
    assert (row.state, row.volume_remain) == ("expired", 0)


def test_an_industry_job_that_was_delivered_is_the_same_row(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    assert collect(pilot, "industry_jobs")["stored"] == 30
    active = IndustryJob.objects.filter(status="active")
    assert (active.count(), IndustryJob.objects.filter(status="delivered").count()) == (6, 24)
    rows = eve.get("{}/industry/jobs", include_completed="true").json()
    delivered = [row | {"status": "delivered", "completed_date": "2026-11-01T00:00:00Z"} for row in rows]
    later(eve)
    eve.control(answers={"industry/jobs": delivered})
    told = collect(pilot, "industry_jobs")
    assert (told["stored"], told["changed"], active.count()) == (0, 30, 0)


def test_a_level_is_a_row_from_when_the_queue_says_or_it_was_first_seen(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    started = datetime.now(UTC)
    first = collect(pilot, "skill_history")["stored"]
    assert first == SkillTraining.objects.filter(trained_at__gte=started).count() > 100
    skills = eve.get("{}/skills").json()
    skills["skills"][0] |= {"trained_skill_level": 5, "skillpoints_in_skill": 256_000}
    skill = skills["skills"][0]["skill_id"]
    queue = [
        {"queue_position": 0, "skill_id": skill, "finished_level": 5, "finish_date": "2026-11-02T10:00:00Z"},
        {"queue_position": 1, "skill_id": skill + 1, "finished_level": 5},  # paused: no dates
    ]
    later(eve)
    eve.control(answers={"skills": skills, "skillqueue": queue})
    assert collect(pilot, "skill_history")["stored"] == 1
    row = SkillTraining.objects.get(skill_id=skill, level=5)
    assert (row.skillpoints, row.trained_at) == (256_000, datetime(2026, 11, 2, 10, tzinfo=UTC))


def test_only_the_time_that_was_asked_for_is_stored(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    newest = datetime.fromisoformat(eve.get("{}/wallet/journal").json()[0]["date"])
    since, until = newest - timedelta(days=10), newest - timedelta(days=5)
    told = collect(pilot, "wallet_journal", fromDate=since.isoformat(), toDate=until.isoformat())
    dates = JournalEntry.objects.order_by("date").values_list("date", flat=True)
    assert (told["stored"], dates.first(), dates.last()) == (41, since, until)  # one every three hours
    assert datetime.fromisoformat(told["oldest"]) < newest - timedelta(days=29)
    assert collect(pilot, "wallet_journal")["stored"] == 240 - 41


def test_a_collection_that_was_put_off_goes_on_with_the_next_page(eve: EveSandbox) -> None:
    eve.control(sizes={"wallet/journal": 60}, buckets={"char-wallet": [4, 1]})
    pilot = logged_in(eve)
    job = perform(historical_data.enqueue(payload(pilot, "wallet_journal")))
    assert (job.status, job.attempt) == (Status.SCHEDULED, 0)  # it gave its attempt back
    wait_for(lambda: perform(job).status == Status.COMPLETED, "enough tokens")
    assert JournalEntry.objects.count() == 240
    assert [request["query"]["page"] for request in eve.received(status=200)] == ["1", "2", "3", "4"]
    assert eve.told()["too_soon"] == 0


def test_all_is_five_jobs_at_batch_priority(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    told = collect(pilot, "all", fromDate="2026-01-01")
    children = Job.objects.filter(type="historical_data", parent__isnull=False)
    assert set(told["children"]) == {str(child.id) for child in children}
    assert {child.payload["dataType"] for child in children} == set(DataType.values)
    assert {(child.type, child.queue, child.priority) for child in children} == {
        ("historical_data", "historical_data", Priority.BATCH)
    }
    assert {child.payload["fromDate"] for child in children} == {"2026-01-01T00:00:00Z"}
    drain("historical_data")
    assert {child.status for child in children.all()} == {Status.COMPLETED}
    assert HistoryRun.objects.count() == 5


def test_a_job_that_had_stored_everything_says_so_again(eve: EveSandbox) -> None:
    pilot = logged_in(eve)
    job = historical_data.enqueue(payload(pilot, "wallet_journal"))
    HistoryRun.objects.create(job=job.id, character=pilot, data_type="wallet_journal", stored=7, changed=0)
    told: Any = perform(job).result
    assert told["stored"] == 7
    assert eve.received() == []


def test_another_users_character_is_refused(eve: EveSandbox) -> None:
    pilot = character()
    job = perform(historical_data.enqueue(payload(pilot, "wallet_journal") | {"userId": pilot.user_id + 1}))
    assert (job.status, str(job.failures.get())) == (
        Status.FAILED,
        f"Discard: characterId: user {pilot.user_id + 1} has no character {PILOT}",
    )
    assert eve.received() == []


def test_without_the_scope_nothing_is_asked(eve: EveSandbox) -> None:
    pilot = logged_in(eve, scopes=("esi-skills.read_skills.v1",))
    job = perform(historical_data.enqueue(payload(pilot, "wallet_journal")))
    assert (job.status, job.failures.get().message) == (
        Status.FAILED,
        f"Pilot {PILOT} has to log in again, with the scope esi-wallet.read_character_wallet.v1",
    )
    assert eve.received() == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"dataType": "wallet"}, "dataType"),
        ({"characterId": 0}, "characterId"),
        ({"fromDate": "soon"}, "fromDate"),
        ({"fromDate": "2026-02-01", "toDate": "2026-01-01"}, "toDate: it is before fromDate"),
    ],
)
def test_a_wrong_payload_is_refused(wrong: dict[str, Any], field: str) -> None:
    good = {"characterId": PILOT, "userId": 1, "dataType": "all"}
    with pytest.raises(InvalidPayload, match=field):
        enqueue("historical_data", good | wrong)


def test_it_is_tried_twice_at_low_priority() -> None:
    dates = {"fromDate": "2025-01-01T00:00:00.000Z", "toDate": "2025-10-18"}
    asked = {"characterId": 1, "userId": 1, "dataType": "wallet_journal", **dates}
    job = Job.objects.get(id=enqueue("historical_data", asked).id)
    assert (job.payload["fromDate"], job.payload["toDate"]) == ("2025-01-01T00:00:00Z", "2025-10-18T00:00:00Z")
    assert (job.queue, job.priority, job.max_attempts) == ("historical_data", Priority.LOW, 2)
    assert (historical_data.backoff, historical_data.timeout) == (Backoff(base=5, max=60), 900)


def test_rows_told_twice_are_stored_once(eve: EveSandbox) -> None:
    pilot = character()
    told = history.read(DataType.WALLET_JOURNAL, lambda name: eve.get(f"{{}}/{name}").json())
    assert len(told) == 100
    stored = [history.store(DataType.WALLET_JOURNAL, pilot.pk, rows) for rows in (told[:60], told[40:] + told[:50])]
    assert [each.new for each in stored] == [60, 40]
