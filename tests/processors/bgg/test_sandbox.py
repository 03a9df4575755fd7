"""The sandbox behaves as BoardGameGeek does, seen with a plain HTTP client."""

import threading
from typing import Any

import httpx2
import pytest

from processors.bgg import xml
from tests.processors.bgg.conftest import SandboxControl


def test_without_a_token_it_says_where_to_get_one(sandbox: SandboxControl) -> None:
    answer = sandbox.get("thing", token=None, id="13")
    assert (answer.status_code, answer.text) == (
        401,
        "Unauthorized. See https://boardgamegeek.com/using_the_xml_api",
    )
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="xml api"'


def test_a_wrong_token_gets_an_empty_401(sandbox: SandboxControl) -> None:
    answer = sandbox.get("thing", token="wrong", id="13")
    assert (answer.status_code, answer.content) == (401, b"")


def test_a_known_game_is_told_in_the_recorded_shape(sandbox: SandboxControl) -> None:
    answer = sandbox.get("thing", id="13", stats="1")
    (game,) = xml.things(answer.content)
    assert answer.headers["Content-Type"].startswith("text/xml")
    assert (game.id, game.name, game.year, game.rank) == (13, "CATAN", 1995, 600)
    assert b"&amp;mdash;" in answer.content  # escaped twice
    assert "cost them — and earn" in game.description
    assert [link.value for link in game.linked("boardgamedesigner")] == ["Klaus Teuber"]
    assert [link.id for link in game.linked("boardgameexpansion")] == [325, 926]


def test_statistics_come_only_when_asked_for(sandbox: SandboxControl) -> None:
    (game,) = xml.things(sandbox.get("thing", id="9209").content)
    assert (game.name, game.ratings) == ("Ticket to Ride", None)


def test_unknown_ids_are_left_out_without_a_word(sandbox: SandboxControl) -> None:
    games = xml.things(sandbox.get("thing", id="13,77,9209,-1").content)
    assert [game.id for game in games] == [13, 9209]


def test_id_0_is_an_invalid_item(sandbox: SandboxControl) -> None:
    with pytest.raises(xml.Refused, match="Invalid Item"):
        xml.things(sandbox.get("thing", id="0").content)


def test_more_than_20_ids_are_refused(sandbox: SandboxControl) -> None:
    answer = sandbox.get("thing", id=",".join(map(str, range(100_000, 100_021))))
    assert (answer.status_code, answer.text) == (400, "Cannot load more than 20 items")
    assert answer.headers["Content-Type"] == "text/plain"


def test_generated_games_are_the_same_each_time_and_have_the_known_oddities(sandbox: SandboxControl) -> None:
    ids = "100006,100007,100011,100012,100013"
    answer = sandbox.get("thing", id=ids, stats="1")
    games = {game.id: game for game in xml.things(answer.content)}
    assert answer.content == sandbox.get("thing", id=ids, stats="1").content
    assert [link.id for link in games[100007].linked("boardgameexpansion", inbound=True)] == [100006]
    assert [link.id for link in games[100006].linked("boardgameexpansion")] == [100007]
    assert games[100007].rank is None
    assert (games[100011].year, games[100011].image, games[100011].min_players) == (None, "", None)
    assert b"<image>//images" in answer.content
    assert games[100013].year == -2600


def test_a_third_request_within_950_ms_is_refused(sandbox: SandboxControl) -> None:
    answers = [sandbox.get("hot") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    with pytest.raises(xml.Refused, match=r"Rate limit exceeded\."):
        xml.hot(answers[2].content)
    assert sandbox.received()["busiest"] == 3


def test_the_hot_list_has_50_games(sandbox: SandboxControl) -> None:
    games = xml.hot(sandbox.get("hot", type="boardgame").content)
    assert [game.rank for game in games] == list(range(1, 51))
    assert [game.id for game in games][:3] == [13, 9209, 266192]


def test_a_search_finds_any_name_and_tells_expansions_twice(sandbox: SandboxControl) -> None:
    (game,) = xml.search(sandbox.get("search", query="flügelschlag").content)
    assert (game.id, game.name) == (266192, "Flügelschlag")
    answer = sandbox.get("search", query="Distant Bazaar: New Shores", type="boardgame,boardgameexpansion")
    assert answer.content.count(b"<item ") == 2 * len(xml.search(answer.content))


def test_a_search_without_a_match_and_one_of_a_wrong_type(sandbox: SandboxControl) -> None:
    assert xml.search(sandbox.get("search", query="no such game").content) == []
    with pytest.raises(xml.Refused, match="Invalid type"):
        xml.search(sandbox.get("search", query="catan", type="family").content)


def test_a_collection_is_accepted_first_and_told_when_asked_again(sandbox: SandboxControl) -> None:
    answers = [sandbox.get("collection", username="collector", own="1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 200]
    assert b"Please try again later" in answers[0].content
    assert b'totalitems="3"' in answers[1].content


def test_a_collection_of_nobody_is_an_invalid_username(sandbox: SandboxControl) -> None:
    with pytest.raises(xml.Refused, match="Invalid username specified"):
        xml.things(sandbox.get("collection", username="nobody").content)


def test_other_paths_are_not_found(sandbox: SandboxControl) -> None:
    assert sandbox.get("geeklist").status_code == 404


@pytest.mark.parametrize("fault", ["202", "401", "429", "500", "502", "503", "504"])
def test_a_fault_lasts_for_as_many_requests_as_asked(sandbox: SandboxControl, fault: str) -> None:
    sandbox.fail(fault)
    assert [sandbox.get("hot").status_code for _ in range(2)] == [int(fault), 200]


def test_a_fault_may_wait_for_good_answers(sandbox: SandboxControl) -> None:
    sandbox.fail("503", after=1)
    assert [sandbox.get("hot").status_code for _ in range(2)] == [200, 503]


def test_a_reset_ends_the_connection_without_an_answer(sandbox: SandboxControl) -> None:
    sandbox.fail("reset")
    with pytest.raises((httpx2.ReadError, httpx2.RemoteProtocolError)):
        sandbox.get("hot")
    assert sandbox.received()["statuses"] == {"reset": 1}


def test_a_slow_answer_outlasts_the_client(sandbox: SandboxControl) -> None:
    sandbox.fail("slow")
    with httpx2.Client(timeout=0.2) as impatient, pytest.raises(httpx2.ReadTimeout):
        impatient.get(f"{sandbox.url}/xmlapi2/hot")


@pytest.mark.parametrize("wanted", [{"fault": "flood"}, {"count": "many"}, {"latency_ms": None}])
def test_a_wrong_control_is_refused_and_changes_nothing(sandbox: SandboxControl, wanted: dict[str, Any]) -> None:
    answer = sandbox.control(**wanted)
    assert answer.status_code == 400
    assert "error" in answer.json()
    assert sandbox.http.get(f"{sandbox.url}/_control").json() == {
        "fault": None,
        "count": 0,
        "after": 0,
        "latency_ms": 0,
    }


def test_requests_at_once_are_all_counted(sandbox: SandboxControl) -> None:
    sandbox.control(latency_ms=100)
    threads = [threading.Thread(target=sandbox.get, args=("hot",)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    received = sandbox.received()
    assert (received["total"], received["busiest"]) == (5, 5)
    assert received["statuses"] == {"200": 2, "429": 3}


def test_the_root_lists_the_rooms(sandbox_address: str) -> None:
    assert "bgg" in httpx2.get(sandbox_address).json()["sandboxes"]
    assert httpx2.get(f"{sandbox_address}/no-such-room/").status_code == 404
