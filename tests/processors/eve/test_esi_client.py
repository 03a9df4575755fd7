"""One call of ESI against the sandbox, over real HTTP: what is sent, what each answer means, and who then waits."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from pytest_django import Settings

from jobs.errors import Discard, JobError, Retry, Snooze
from jobs.models import Limit
from jobs.sessions import without_side_session
from processors.eve.esi import client as esi_client
from processors.eve.esi import endpoints
from processors.eve.esi.client import Client, NotFound, Unauthorized, client, downtime
from processors.eve.sandbox.world import PILOT
from tests.processors.eve.sandbox import EveSandbox

pytestmark = pytest.mark.django_db

OTHER = PILOT + 1


class Caller:
    """Calls in the name of characters, as a worker of its own would."""

    def __init__(self, eve: EveSandbox, own: Client) -> None:
        self.eve = eve
        self.own = own
        self.tokens: dict[int, str] = {}

    def call(self, name: str, character: int = PILOT, etag: str = "", token: str | None = None) -> object:
        asked = endpoints.asked(endpoints.named(name), character)
        if token is None:
            token = self.tokens.setdefault(character, self.eve.grant(character)["access_token"])
        return self.own.get(asked, asked.query, token if asked.endpoint.scope else "", etag)

    def failure(self, name: str, character: int = PILOT, token: str | None = None) -> JobError:
        with pytest.raises(JobError) as raised:
            self.call(name, character, token=token)
        return raised.value


DOWNTIME = esi_client.DOWNTIME


@pytest.fixture(autouse=True)
def _downtime(eve: EveSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual one: these tests say what time it is."""
    monkeypatch.setattr(esi_client, "DOWNTIME", DOWNTIME)


@pytest.fixture(autouse=True)
def _limits_in_the_tests_transaction(db: None) -> Iterator[None]:
    with without_side_session():
        yield


@pytest.fixture
def caller(eve: EveSandbox) -> Caller:
    return Caller(eve, client())


@pytest.fixture
def another(eve: EveSandbox) -> Iterator[Caller]:
    """Another worker's: all that it shares with the first is the database."""
    own = Client(f"{eve.url}/esi")
    yield Caller(eve, own)
    own.close()


def at(eve: EveSandbox, clock: str) -> Caller:
    """At this time of a day."""
    return Caller(eve, Client(f"{eve.url}/esi", clock=lambda: day(clock)))


def day(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-08-20T{clock}Z")


def test_who_asks_and_for_which_version_is_told(eve: EveSandbox, settings: Settings) -> None:
    settings.UPSTREAM_CONTACT = "ops@jobs.example"
    caller = Caller(eve, client())
    caller.call("wallet")
    (request,) = eve.received(service="esi")
    assert (request["path"], request["query"]) == (f"/characters/{PILOT}/wallet", {})
    assert request["agent"] == "Jobyard (ops@jobs.example)"
    assert request["compatibility_date"] == "2026-08-18"


def test_an_answer_comes_with_what_a_cache_must_know(caller: Caller) -> None:
    answer = caller.own.get(
        endpoints.asked(endpoints.named("assets"), PILOT), {"page": "2"}, caller.eve.grant()["access_token"]
    )
    assert (answer.changed, len(answer.value), answer.pages) == (True, 189, 2)
    assert timedelta(minutes=59) < answer.lifetime <= timedelta(hours=1, seconds=2)
    assert answer.etag.startswith('"')
    assert answer.modified.endswith(" GMT")
    assert answer.size > 10_000


def test_an_answer_that_we_have_does_not_come_again(caller: Caller) -> None:
    first = caller.call("skills")
    again = caller.call("skills", etag=first.etag)  # type: ignore[attr-defined]
    assert (again.changed, again.value, again.etag) == (False, None, first.etag)  # type: ignore[attr-defined]


def test_public_facts_are_asked_for_without_a_token(caller: Caller) -> None:
    caller.call("portrait")
    (request,) = caller.eve.received(route="portrait")
    assert (request["status"], request["group"]) == (200, "char-detail")
    assert not Limit.objects.filter(name__startswith="esi char-detail").exists()


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        ("400", Discard, "wallet: 400 Invalid value"),
        ("401", Unauthorized, "wallet: 401 token is expired or invalid"),
        ("403", Discard, "wallet: 403 Character does not have required access. The character may have to log in"),
        ("404", NotFound, "wallet: 404 Not found"),
        ("420-game", Retry, "wallet: 420"),
        ("500", Retry, "wallet: 500 Internal server error"),
        ("502", Retry, "wallet: 502 <html><body>Bad gateway"),
        ("503", Snooze, "wallet: 503 The datasource tranquility is temporarily unavailable"),
        ("504", Retry, "wallet: 504 Timeout contacting tranquility"),
        ("504-html", Retry, "wallet: 504 <html>"),
        ("520", Retry, "wallet: 520"),
        ("html", Retry, "wallet: an answer that is not JSON"),
        ("cut", Retry, "wallet: an answer that is not JSON"),
        ("reset", Retry, "wallet: ReadError"),
    ],
)
def test_each_error_says_what_a_job_should_do(eve: EveSandbox, fault: str, kind: type[JobError], text: str) -> None:
    caller = at(eve, "15:00")
    eve.fail(fault, path="wallet")
    error = caller.failure("wallet")
    assert (type(error), str(error)[: len(text)]) == (kind, text)
    assert type(caller.call("wallet")).__name__ == "Answer"
    caller.own.close()


def test_an_answer_that_does_not_come_is_worth_another_attempt(eve: EveSandbox) -> None:
    eve.fail("slow", path="wallet")
    own = Client(f"{eve.url}/esi", timeout=httpx2.Timeout(0.2), clock=lambda: day("15:00"))
    error = Caller(eve, own).failure("wallet")
    own.close()
    assert (type(error), str(error)) == (Retry, "wallet: ReadTimeout: timed out")


def test_a_scope_that_is_missing_is_final(caller: Caller) -> None:
    token = caller.eve.grant(PILOT, ("esi-skills.read_skills.v1",))["access_token"]
    error = caller.failure("wallet", token=token)
    assert type(error) is Discard
    assert "token is not valid for scope: esi-wallet.read_character_wallet.v1" in str(error)


@pytest.mark.parametrize("fault", ["500", "502", "503", "504", "504-html", "520", "html", "reset"])
def test_what_fails_during_the_downtime_is_put_off_past_it(eve: EveSandbox, fault: str) -> None:
    caller = at(eve, "11:02")
    eve.fail(fault, path="wallet")
    error = caller.failure("wallet")
    caller.own.close()
    assert isinstance(error, Snooze)
    assert error.after == 13 * 60


def test_a_downtime_begins_at_11_and_is_looked_at_again_when_it_is_longer() -> None:
    times = ("10:59:59", "11:00", "11:14", "11:40", "12:00")
    assert [downtime(day(clock)) for clock in times] == [None, 900, 300, 300, None]
    assert downtime(datetime.fromisoformat("2026-08-20T13:05:00+02:00")) == 600


def test_after_five_failures_in_a_row_nobody_asks(eve: EveSandbox, another: Caller) -> None:
    caller = at(eve, "15:00")
    eve.fail("502", count=5)
    assert [type(caller.failure("ship")) for _ in range(6)] == [Retry] * 5 + [Snooze]
    assert type(another.failure("wallet")) is Snooze
    caller.own.close()
    assert len(eve.received(service="esi")) == 5


def test_a_429_stops_that_bucket_of_that_character_for_everybody_and_nothing_else(
    caller: Caller, another: Caller
) -> None:
    caller.eve.control(buckets={"char-wallet": (2, 600)})
    caller.call("wallet")
    Limit.objects.all().delete()  # as if the answer had not told that nothing is left
    refused = caller.failure("wallet/journal")
    assert isinstance(refused, Snooze)
    assert 590 <= refused.after <= 601
    for one in (caller, another):
        waiting = one.failure("wallet/transactions")
        assert isinstance(waiting, Snooze)
        assert 580 <= waiting.after <= 601
        one.call("skills")
        one.call("orders")
    another.call("wallet", OTHER)
    told = caller.eve.told()
    assert (told["statuses"], told["too_soon"]) == ({"200": 6, "429": 1}, 0)


def test_a_429_of_the_game_itself_has_no_headers_and_is_waited_for_too(caller: Caller, another: Caller) -> None:
    caller.eve.fail("429-game", path="wallet")
    refused = caller.failure("wallet")
    assert (type(refused), str(refused)) == (Snooze, f"esi char-wallet {PILOT}: 429 ")
    assert type(another.failure("wallet")) is Snooze
    another.call("skills")
    assert len(caller.eve.received(route="wallet")) == 1


def test_a_bucket_that_is_nearly_empty_is_left_alone_before_it_says_so(caller: Caller, another: Caller) -> None:
    caller.eve.control(buckets={"char-notification": (15, 900)})
    for _ in range(6):
        caller.call("notifications")
    waiting = another.failure("notifications")
    assert isinstance(waiting, Snooze)
    assert 290 <= waiting.after <= 300  # as long as five of 15 tokens take to come back
    assert caller.eve.told()["statuses"] == {"200": 6}


def test_a_420_stops_all_calls_of_everybody_for_as_long_as_told(caller: Caller, another: Caller) -> None:
    caller.eve.control(error_limit=(1, 600))
    caller.eve.fail("404", path="^orders$")
    assert type(caller.failure("orders")) is NotFound
    Limit.objects.all().delete()  # as if the answer had not told that nothing is left
    refused = caller.failure("orders")
    assert isinstance(refused, Snooze)
    assert 590 <= refused.after <= 601
    for one in (caller, another):
        for name, character in (("orders", PILOT), ("wallet", PILOT), ("portrait", OTHER), ("skills", OTHER)):
            waiting = one.failure(name, character)
            assert isinstance(waiting, Snooze)
            assert 580 <= waiting.after <= 601
    told = caller.eve.told()
    assert [request["status"] for request in caller.eve.received(service="esi")] == [404, 420]
    assert told["too_soon"] == 0


def test_errors_are_left_for_calls_under_way_elsewhere(caller: Caller, another: Caller) -> None:
    caller.eve.control(error_limit=(21, 600))
    caller.eve.fail("404", path="^orders$")
    assert type(caller.failure("orders")) is NotFound
    assert type(another.failure("skills")) is Snooze
    assert len(caller.eve.received(service="esi")) == 1


def test_calls_go_on_when_the_time_is_over(caller: Caller, another: Caller) -> None:
    caller.eve.control(buckets={"char-wallet": (2, 1)})
    caller.call("wallet")
    Limit.objects.update(next_at=datetime(2026, 1, 1, tzinfo=UTC))
    while True:  # as jobs would, until the second is over
        try:
            another.call("wallet")
            break
        except Snooze:
            time.sleep(0.05)
    assert caller.eve.told()["too_soon"] == 0


def test_texts_that_cannot_be_stored_are_made_so(caller: Caller) -> None:
    strange = {"answers": {"ship": {"ship_name": "\x00a\ud800b", "more": ["\x00"]}}}
    caller.eve.http.post(f"{caller.eve.url}/_control", content=json.dumps(strange)).raise_for_status()
    assert caller.call("ship").value == {"ship_name": "a?b", "more": [""]}  # type: ignore[attr-defined]
