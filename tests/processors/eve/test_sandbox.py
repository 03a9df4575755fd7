"""ESI's sandbox: every answer is what CCP's document says, with the headers that caches and pages need."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from processors.eve.sandbox.routes import ROUTES, Route
from processors.eve.sandbox.world import PILOT
from tests.processors.eve.sandbox import EveSandbox

DOCUMENT = Path(__file__).parent / "recordings" / "openapi_subset_2026-08-18.json"
IN_DOCUMENT = [route for route in ROUTES if route.name != "freelance-jobs"]  # a part of it only, see there
STATION = 60003760


@cache
def document() -> dict[str, Any]:
    text = DOCUMENT.read_text()
    read: dict[str, Any] = json.loads(text)
    return read


def schema(route: Route, status: str = "200") -> dict[str, Any]:
    answer = document()["paths"][route.path][route.method.lower()]["responses"][status]
    told: dict[str, Any] = answer["content"]["application/json"]["schema"]
    return {**told, "components": document()["components"]}


def check(route: Route, value: Any, status: str = "200") -> None:
    jsonschema_rs.validate(schema(route, status), value, validate_formats=True)


def ask(sandbox: EveSandbox, route: Route, character: int) -> Any:
    path = route.path.replace("/characters/{character_id}", "{}").replace("{mail_id}", "1000003")
    if route.method == "GET":
        return sandbox.get(path, character=character).raise_for_status()
    assets = sandbox.get("{}/assets", character=character).json()
    ids = [STATION, character] if route.name == "universe/names" else [row["item_id"] for row in assets]
    return sandbox.post(path, ids, character=character).raise_for_status()


@pytest.mark.parametrize("route", IN_DOCUMENT, ids=lambda route: f"{route.method} {route.name}")
def test_an_answer_is_what_the_document_says(sandbox: EveSandbox, route: Route) -> None:
    for character in (PILOT, 95_000_001):
        answer = ask(sandbox, route, character)
        check(route, answer.json())
        for page in range(2, int(answer.headers.get("X-Pages", 1)) + 1):
            check(route, sandbox.get("{}/" + route.name, character=character, page=page).json())


@pytest.mark.parametrize("route", IN_DOCUMENT, ids=lambda route: f"{route.method} {route.name}")
def test_scope_age_and_rate_group_are_the_documents(route: Route) -> None:
    told = document()["paths"][route.path][route.method.lower()]
    limit = told.get("x-rate-limit", {})
    security = [scope for way in told.get("security", []) for scope in way["OAuth2"]]
    assert [route.scope] * bool(route.scope) == security
    assert route.age == told.get("x-cache-age", 0)
    assert (route.bucket, route.version) == (limit.get("group", ""), told["x-compatibility-date"])
    assert (route.paging == "page") == any(each["name"] == "page" for each in told["parameters"])


@pytest.mark.parametrize("route", IN_DOCUMENT, ids=lambda route: f"{route.method} {route.name}")
def test_an_error_is_what_the_document_says(sandbox: EveSandbox, route: Route) -> None:
    sandbox.fail("400")
    path = route.path.format(character_id=PILOT, mail_id=1)
    answer = sandbox.get(path) if route.method == "GET" else sandbox.post(path, [1])
    assert answer.status_code == 400
    check(route, answer.json(), "default")


def test_every_path_of_the_document_that_reads_is_here() -> None:
    described = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    described.remove(("POST", "/characters/{character_id}/mail/labels"))  # nothing here writes
    assert described == {(route.method, route.path) for route in IN_DOCUMENT}


def test_1189_assets_are_two_pages_of_one_moment(sandbox: EveSandbox) -> None:
    pages = [sandbox.get("{}/assets", page=page) for page in (1, 2)]
    items = [row["item_id"] for page in pages for row in page.json()]
    assert [len(page.json()) for page in pages] == [1000, 189]
    assert len(set(items)) == 1189
    assert {page.headers["X-Pages"] for page in pages} == {"2"}
    assert pages[0].headers["Last-Modified"] == pages[1].headers["Last-Modified"]
    assert pages[0].headers["ETag"] != pages[1].headers["ETag"]
    beyond = sandbox.get("{}/assets", page=3)
    assert (beyond.status_code, beyond.json()) == (404, {"error": "Requested page does not exist!"})


def test_a_later_page_of_another_snapshot_has_another_last_modified(sandbox: EveSandbox) -> None:
    sandbox.control(shift=1)
    first, second = (sandbox.get("{}/assets", page=page) for page in (1, 2))
    assert first.headers["Last-Modified"] != second.headers["Last-Modified"]
    again = [sandbox.get("{}/assets", page=page) for page in (1, 2)]
    assert {page.headers["Last-Modified"] for page in again} == {second.headers["Last-Modified"]}
    assert sandbox.told()["early"] == 0  # to begin again is right


def test_transactions_go_down_from_an_id_that_is_told_again(sandbox: EveSandbox) -> None:
    found: list[int] = []
    query: dict[str, Any] = {}
    while True:
        ids = [row["transaction_id"] for row in sandbox.get("{}/wallet/transactions", **query).json()]
        if not (fresh := [each for each in ids if each not in found]):
            break
        assert not query or ids[0] == query["from_id"]
        found += fresh
        query = {"from_id": ids[-1]}
    assert ids == [found[-1]]
    assert len(found) == 120
    assert found == sorted(found, reverse=True)


def test_mails_come_50_below_the_last(sandbox: EveSandbox) -> None:
    ids = [row["mail_id"] for row in sandbox.get("{}/mail").json()]
    assert len(ids) == 50
    while more := [row["mail_id"] for row in sandbox.get("{}/mail", last_mail_id=ids[-1]).json()]:
        assert more[0] < ids[-1]
        ids += more
    assert len(ids) == 120


def test_a_cursor_leads_to_the_oldest_and_back(sandbox: EveSandbox) -> None:
    answer = sandbox.get("/freelance-jobs").json()
    newest, found = answer["cursor"]["after"], answer["freelance_jobs"]
    while (answer := sandbox.get("/freelance-jobs", before=answer["cursor"]["before"]).json())["freelance_jobs"]:
        found = answer["freelance_jobs"] + found
    assert len({row["id"] for row in found}) == 25
    sandbox.control(counts={"freelance-jobs": 27})
    sandbox.control(expire=True)
    assert len(sandbox.get("/freelance-jobs", after=newest).json()["freelance_jobs"]) == 2


def test_ids_are_taken_by_the_thousand_and_all_or_none(sandbox: EveSandbox) -> None:
    assert sandbox.post("/universe/names", [STATION, PILOT]).json() == [
        {"category": "station", "id": STATION, "name": f"Station {STATION}"},
        {"category": "character", "id": PILOT, "name": "Johnn Dillinger"},
    ]
    for wrong, status in [([STATION, 5_000_000_000], 404), (list(range(1, 1002)), 400), ([], 400), (["one"], 400)]:
        assert sandbox.post("/universe/names", wrong).status_code == status
    assert sandbox.post("{}/assets/names", [1]).status_code == 404


def test_old_paths_are_answered_too(sandbox: EveSandbox) -> None:
    assert sandbox.get("/latest/characters/1337512245/wallet/").json() == 3378103.44
    assert sandbox.get("/v1{}/wallet/").json() == 3378103.44
    assert sandbox.get("/no/such/route").status_code == 404
    assert sandbox.get("/characters/5").status_code == 404


def test_completed_industry_jobs_are_told_when_asked_for(sandbox: EveSandbox) -> None:
    assert len(sandbox.get("{}/industry/jobs").json()) == 6
    assert len(sandbox.get("{}/industry/jobs", include_completed="true").json()) == 30


def test_answers_grow_and_change_when_told_to(sandbox: EveSandbox) -> None:
    sandbox.control(counts={"wallet/journal": 243}, sizes={"wallet/journal": 1000}, answers={"wallet": 12.5})
    rows = sandbox.get("{}/wallet/journal").json()
    assert len({row["id"] for row in rows}) == 243
    assert [row["date"] for row in rows] == sorted((row["date"] for row in rows), reverse=True)
    assert sandbox.get("{}/wallet").json() == 12.5
