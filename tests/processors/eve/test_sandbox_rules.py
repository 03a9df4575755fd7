"""ESI's sandbox keeps ESI's rules: who may ask, for which date, how often, and what goes wrong when told to."""

import threading
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import pytest

from processors.eve.sandbox.faults import FAULTS
from processors.eve.sandbox.world import PILOT
from tests.integration.workers import wait_for
from tests.processors.eve.sandbox import EveSandbox

ESI_FAULTS = [name for name in FAULTS if not name.startswith("sso-") and name not in ("slow", "reset", "cut")]


def test_an_answer_holds_until_it_expires_and_is_not_told_twice(sandbox: EveSandbox) -> None:
    first = sandbox.get("{}/wallet")
    assert (first.headers["Cache-Control"], first.headers["X-Esi-Cache-Status"]) == ("private", "MISS")
    modified, expires = (parsedate_to_datetime(first.headers[name]) for name in ("Last-Modified", "Expires"))
    assert expires - modified == timedelta(seconds=120)
    same = sandbox.ask("{}/wallet", {"If-None-Match": first.headers["ETag"]})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert same.headers["X-Esi-Cache-Status"] == "HIT"
    assert [request["early"] for request in sandbox.received(route="wallet")] == [False, True]
    assert sandbox.ask("{}/wallet", {"If-Modified-Since": first.headers["Last-Modified"]}).status_code == 304


def test_after_its_age_an_answer_is_made_again(sandbox: EveSandbox) -> None:
    first = sandbox.get("{}/wallet")
    sandbox.control(expire=True, answers={"wallet": 1.25}).raise_for_status()
    changed = sandbox.ask("{}/wallet", {"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.json()) == (200, 1.25)
    assert sandbox.told()["early"] == 0


def test_a_told_age_is_the_answers(sandbox: EveSandbox) -> None:
    sandbox.control(ages={"*": 7, "wallet": 3})
    for path, age in [("{}/wallet", 3), ("{}/ship", 7)]:
        headers = sandbox.get(path).headers
        told = [parsedate_to_datetime(headers[name]) for name in ("Last-Modified", "Expires")]
        assert told[1] - told[0] == timedelta(seconds=age)


def test_newer_routes_write_their_headers_otherwise(sandbox: EveSandbox) -> None:
    headers = sandbox.get("{}/skills").headers
    assert headers["ETag"].startswith('W/"')
    assert headers["Cache-Control"] == "private, max-age=60, must-revalidate, stale-if-error=900"
    assert headers["X-Compatibility-Date"] == "2020-01-01"


def test_a_compatibility_date_is_neither_too_old_nor_in_the_future(sandbox: EveSandbox) -> None:
    today = (datetime.now(UTC) - timedelta(hours=11)).date()
    for date, status in [
        ("2019-12-31", 400),
        ("someday", 400),
        (f"{today + timedelta(days=2)}", 400),
        (f"{today}", 200),
    ]:
        answer = sandbox.ask("{}", {"X-Compatibility-Date": date})
        assert answer.status_code == status, date
    assert sandbox.get("{}").json().keys() >= {"achievement_score"}
    old = sandbox.ask("{}", {"X-Compatibility-Date": "2026-06-08"}).json()
    assert ("title" in old, "achievement_score" in old) == (True, False)


def test_a_token_is_needed_and_its_scope_and_character_count(sandbox: EveSandbox) -> None:
    def refused(answer: httpx2.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["error"]

    assert refused(sandbox.get("{}/wallet", token="")) == (401, "authorization not provided")
    assert refused(sandbox.get("{}/wallet", token="made.up.here")) == (401, "token is expired or invalid")
    scope = "esi-wallet.read_character_wallet.v1"
    without = sandbox.grant(scopes=("esi-skills.read_skills.v1",))["access_token"]
    assert refused(sandbox.get("{}/wallet", token=without)) == (403, f"token is not valid for scope: {scope}")
    another = sandbox.grant(95_000_001, (scope,))["access_token"]
    assert refused(sandbox.get("{}/wallet", token=another)) == (403, "Character does not have required access")
    sandbox.control(lifetime=0)
    assert sandbox.get("{}/wallet", token=sandbox.grant()["access_token"]).status_code == 401
    assert sandbox.get("{}", token="").status_code == 200


def test_tokens_are_spent_by_the_kind_of_answer(sandbox: EveSandbox) -> None:
    def left(answer: httpx2.Response) -> tuple[str, str, str, str]:
        headers = answer.headers
        return tuple(headers[f"X-Ratelimit-{name}"] for name in ("Group", "Limit", "Used", "Remaining"))  # type: ignore[return-value]

    first = sandbox.get("{}/wallet")
    assert left(first) == ("char-wallet", "150/15m", "2", "148")
    assert left(sandbox.ask("{}/wallet", {"If-None-Match": first.headers["ETag"]}))[2:] == ("1", "147")
    sandbox.fail("404")
    assert left(sandbox.get("{}/wallet"))[2:] == ("5", "142")
    sandbox.fail("503")
    assert left(sandbox.get("{}/wallet"))[2:] == ("0", "142")
    assert left(sandbox.get("{}/wallet", character=95_000_001))[3] == "148"  # each character has its own
    assert "X-Esi-Error-Limit-Remain" not in first.headers


def test_an_empty_bucket_answers_429_and_tells_for_how_long(sandbox: EveSandbox) -> None:
    answers = [sandbox.get("{}/notifications") for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 7 + [429]
    assert 890 <= int(answers[7].headers["Retry-After"]) <= 900
    assert answers[7].headers["X-Ratelimit-Remaining"] == "1"
    assert sandbox.get("{}/skills").status_code == 200
    assert sandbox.told()["too_soon"] == 0
    sandbox.get("{}/notifications")
    assert [request["route"] for request in sandbox.received(too_soon=True)] == ["notifications"]


def test_tokens_come_back(sandbox: EveSandbox) -> None:
    sandbox.control(buckets={"char-wallet": [2, 1]})
    assert [sandbox.get("{}/wallet").status_code for _ in range(2)] == [200, 429]
    wait_for(lambda: sandbox.get("{}/wallet").status_code == 200, "the tokens")


def test_100_errors_a_minute_stop_all_routes_without_a_bucket(sandbox: EveSandbox) -> None:
    sandbox.control(error_limit=[3, 60])
    good = sandbox.get("{}/orders")
    assert good.headers["X-Esi-Error-Limit-Remain"] == "3"
    assert [sandbox.get("/characters/5").status_code for _ in range(3)] == [404] * 3
    stopped = sandbox.get("{}/orders")
    assert (stopped.status_code, stopped.headers["X-Esi-Error-Limit-Remain"]) == (420, "0")
    assert 1 <= int(stopped.headers["X-Esi-Error-Limit-Reset"]) <= 60
    assert "exceeded the error limit" in stopped.json()["error"]
    assert sandbox.get("{}/wallet").status_code == 200  # it has a bucket; a good client does not ask
    assert [request["route"] for request in sandbox.received(too_soon=True)] == ["wallet"]


@pytest.mark.parametrize("fault", ESI_FAULTS)
def test_a_fault_lasts_for_as_many_requests_as_asked(sandbox: EveSandbox, fault: str) -> None:
    sandbox.fail(fault, path="^wallet$", after=1)
    status = 200 if fault == "html" else int(fault.partition("-")[0])
    answers = [sandbox.get(path) for path in ("{}/ship", "{}/wallet", "{}/wallet", "{}/wallet")]
    assert [answer.status_code for answer in answers] == [200, 200, status, 200]
    assert ("X-Ratelimit-Group" in answers[2].headers) == (fault != "429-game")


def test_an_answer_may_be_cut_late_or_missing(sandbox: EveSandbox) -> None:
    sandbox.fail("cut")
    with pytest.raises(ValueError, match="Unterminated string"):
        sandbox.get("{}/wallet").json()
    sandbox.fail("reset")
    with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
        sandbox.get("{}/wallet")
    sandbox.fail("slow")
    with httpx2.Client(timeout=0.2) as impatient, pytest.raises(httpx2.ReadTimeout):
        impatient.get(f"{sandbox.url}/esi/status")
    wait_for(lambda: not sandbox.told()["busy"], "the server to notice")
    assert sandbox.told()["statuses"] == {"200": 1, "reset": 1, "slow": 1}


def test_in_the_downtime_neither_service_works(sandbox: EveSandbox) -> None:
    token = sandbox.grant()
    sandbox.control(downtime=True)
    answer = sandbox.get("{}/wallet", token=token["access_token"])
    assert (answer.status_code, answer.json()["error"]) == (
        503,
        "The datasource tranquility is temporarily unavailable",
    )
    refused = sandbox.refresh(token["refresh_token"])
    assert (refused.status_code, refused.headers["Content-Type"]) == (503, "text/html")


def test_held_answers_show_how_many_were_asked_for_at_once(sandbox: EveSandbox) -> None:
    sandbox.get("{}/ship")
    sandbox.control(hold="^wallet$")
    threads = [threading.Thread(target=sandbox.get, args=("{}/wallet",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: sandbox.told()["busy"] == {"wallet": 3}, "three requests")
    assert sandbox.get("{}/ship").status_code == 200
    sandbox.control(hold=None)
    for thread in threads:
        thread.join()
    told = sandbox.told()
    assert (told["busiest"], told["busy"]) == ({"ship": 1, "wallet": 3}, {})
    assert all(entry["at"] <= entry["until"] and entry["character"] == PILOT for entry in told["requests"])


@pytest.mark.parametrize("wanted", [{"fault": "flood"}, {"cuont": 2}, {"latency_ms": None}, {"hold": "("}])
def test_a_wrong_control_is_refused_and_changes_nothing(sandbox: EveSandbox, wanted: dict[str, Any]) -> None:
    before = sandbox.http.get(f"{sandbox.url}/_control").json()
    answer = sandbox.control(**wanted)
    assert answer.status_code == 400
    assert "error" in answer.json()
    assert sandbox.http.get(f"{sandbox.url}/_control").json() == before


def test_the_log_has_no_token(sandbox: EveSandbox) -> None:
    token = sandbox.grant()
    sandbox.get("{}/wallet", token=token["access_token"])
    sandbox.refresh(token["refresh_token"])
    told = sandbox.http.get(f"{sandbox.url}/_received").text
    assert token["access_token"] not in told
    assert token["refresh_token"] not in told
