"""Reading endpoints whole: the four kinds of pages, what is kept of them, and refused tokens. Against the sandbox."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from jobs.errors import Retry, Snooze
from jobs.sessions import without_side_session
from processors.eve.esi import answers, endpoints
from processors.eve.esi.client import Unauthorized, client
from processors.eve.esi.endpoints import Asked, Endpoint, Paging
from processors.eve.esi.reading import Reader
from processors.eve.models import Character, EsiAnswer
from processors.eve.sandbox.world import PILOT
from tests.processors.eve.rows import logged_in
from tests.processors.eve.sandbox import EveSandbox

pytestmark = pytest.mark.django_db

FREELANCE = Asked(Endpoint("/freelance-jobs", bucket="meta", paging=Paging.CURSOR, key="freelance_jobs"), {}, {})


class Tokens:
    """Tells how often it was asked for a new token."""

    def __init__(self, first: str, new: str) -> None:
        self.first = first
        self.new = new
        self.renewals = 0

    def __call__(self, refused: bool) -> str:
        self.renewals += refused
        return self.new if refused else self.first


@pytest.fixture(autouse=True)
def _limits_in_the_tests_transaction(db: None) -> Iterator[None]:
    with without_side_session():
        yield


@pytest.fixture
def pilot(eve: EveSandbox) -> Character:
    return logged_in(eve)


@pytest.fixture
def reader(pilot: Character) -> Reader:
    return Reader(lambda refused: pilot.grant.access_token)


def asked(name: str) -> Asked:
    return endpoints.asked(endpoints.named(name), PILOT)


def expire(eve: EveSandbox, **more: object) -> None:
    EsiAnswer.objects.update(expires_at=F("expires_at") - timedelta(days=2))
    eve.control(expire=True, **more).raise_for_status()
    eve.forget()


def queries(eve: EveSandbox, route: str) -> list[dict[str, str]]:
    return [request["query"] for request in eve.received(route=route)]


class TestNumberedPages:
    def test_are_read_one_after_the_other_and_kept_each(self, eve: EveSandbox, reader: Reader) -> None:
        reading = reader.read(asked("wallet/journal"))
        assert [row["id"] for row in reading.value] == list(range(20_000_000_239, 19_999_999_999, -1))
        assert queries(eve, "wallet/journal") == [{"page": "1"}, {"page": "2"}, {"page": "3"}]
        assert list(EsiAnswer.objects.values_list("key", "pages")) == [
            (f"esi:characters:{PILOT}:wallet:journal?page={page}", 3) for page in (1, 2, 3)
        ]

    def test_that_became_fewer_start_over(self, eve: EveSandbox, reader: Reader) -> None:
        reader.read(asked("assets"))
        expire(eve)
        EsiAnswer.objects.filter(key__endswith="=1").update(expires_at=timezone.now() + timedelta(hours=1))
        eve.control(counts={"assets": 10})
        reading = reader.read(asked("assets"))
        assert len(reading.value) == 10
        assert [(request["query"]["page"], request["status"]) for request in eve.received(route="assets")] == [
            ("2", 404),
            ("1", 200),
        ]

    def test_that_became_more_are_all_read(self, eve: EveSandbox, reader: Reader) -> None:
        reader.read(asked("assets"))
        expire(eve, counts={"assets": 2100})
        assert len(reader.read(asked("assets")).value) == 2100

    def test_that_are_about_to_change_are_left_until_they_have(self, eve: EveSandbox, reader: Reader) -> None:
        eve.control(ages={"assets": 5})
        with pytest.raises(Snooze, match="about to change") as raised:
            reader.read(asked("assets"))
        assert 0 < raised.value.after <= 7
        assert queries(eve, "assets") == [{"page": "1"}]

    def test_of_which_one_has_not_expired_wait_for_it(self, eve: EveSandbox, reader: Reader) -> None:
        reader.read(asked("assets"))
        expire(eve, counts={"assets": 1190})
        EsiAnswer.objects.filter(key__endswith="=2").update(
            expires_at=timezone.now() + timedelta(minutes=2), modified="of another snapshot"
        )
        with pytest.raises(Snooze, match="has not expired") as raised:
            reader.read(asked("assets"))
        assert 60 < raised.value.after <= 120
        assert queries(eve, "assets") == [{"page": "1"}]


class TestListsThatGoDown:
    def test_from_an_id_end_where_only_that_comes_back(self, eve: EveSandbox, reader: Reader) -> None:
        reading = reader.read(asked("wallet/transactions"))
        assert [row["transaction_id"] for row in reading.value] == list(range(6_000_000_119, 5_999_999_999, -1))
        assert queries(eve, "wallet/transactions") == [
            {},
            {"from_id": "6000000070"},
            {"from_id": "6000000021"},
            {"from_id": "6000000000"},
        ]

    def test_below_an_id_end_where_nothing_comes_back(self, eve: EveSandbox, reader: Reader) -> None:
        reading = reader.read(asked("mail"))
        assert len({row["mail_id"] for row in reading.value}) == 120
        assert queries(eve, "mail") == [
            {},
            {"last_mail_id": "1000070"},
            {"last_mail_id": "1000020"},
            {"last_mail_id": "1000000"},
        ]

    def test_end_where_the_last_reading_began(self, eve: EveSandbox, reader: Reader) -> None:
        first = reader.read(asked("mail"))
        assert first.cursor == "1000119"
        expire(eve, counts={"mail": 180})
        later = reader.read(asked("mail"), first.cursor)
        assert {row["mail_id"] for row in later.value} == set(range(1_000_080, 1_000_180))
        assert queries(eve, "mail") == [{}, {"last_mail_id": "1000130"}]
        assert later.version != first.version

    def test_may_be_empty(self, eve: EveSandbox, reader: Reader) -> None:
        eve.control(counts={"mail": 0})
        reading = reader.read(asked("mail"), "7")
        assert (reading.value, reading.cursor, reading.calls) == ([], "7", 1)


class TestCursors:
    def test_lead_back_to_the_oldest_and_later_on_from_the_newest(self, eve: EveSandbox, reader: Reader) -> None:
        first = reader.read(FREELANCE)
        assert len({row["id"] for row in first.value}) == 25
        assert len(eve.received(route="freelance-jobs")) == 4  # the last is empty
        expire(eve, counts={"freelance-jobs": 37})
        later = reader.read(FREELANCE, first.cursor)
        assert [row["id"][-2:] for row in later.value] == [str(number) for number in range(25, 37)]
        assert [list(query) for query in queries(eve, "freelance-jobs")] == [["after"]] * 3
        assert later.cursor not in ("", first.cursor)


class TestRefusedTokens:
    def test_are_renewed_once(self, eve: EveSandbox, pilot: Character) -> None:
        tokens = Tokens("no token", pilot.grant.access_token)
        assert Reader(tokens).read(asked("wallet")).value
        assert tokens.renewals == 1
        assert [request["status"] for request in eve.received(route="wallet")] == [401, 200]

    def test_that_are_refused_again_are_final(self, eve: EveSandbox, pilot: Character) -> None:
        with pytest.raises(Unauthorized):
            Reader(Tokens("no token", "nor this")).read(asked("wallet"))
        assert [request["status"] for request in eve.received(route="wallet")] == [401, 401]


def test_a_page_that_was_kept_is_not_asked_for_after_a_failure(eve: EveSandbox, reader: Reader) -> None:
    eve.fail("502", path="journal", after=2)
    with pytest.raises(Retry):
        reader.read(asked("wallet/journal"))
    reading = reader.read(asked("wallet/journal"))
    assert (len(reading.value), reading.calls) == (240, 1)
    assert eve.told()["early"] == 0


class TestTwoAtOnce:
    def test_do_not_both_ask_for_what_has_expired(self, eve: EveSandbox, pilot: Character) -> None:
        reads = Reader(lambda refused: pilot.grant.access_token)
        reads.read(asked("wallet"))
        expire(eve)

        def meanwhile(refused: bool) -> str:
            with pytest.raises(Snooze, match="another job is asking"):
                reads.read(asked("wallet"))
            return pilot.grant.access_token

        Reader(meanwhile).read(asked("wallet"))
        assert reads.read(asked("wallet")).calls == 0
        assert len(eve.received(route="wallet")) == 1

    def test_of_which_one_saw_what_the_other_has_replaced_since(self, eve: EveSandbox, reader: Reader) -> None:
        reader.read(asked("wallet"))
        key = EsiAnswer.objects.get().key
        expire(eve)
        seen = answers.find(key)
        assert seen
        reader.read(asked("wallet"))
        with pytest.raises(Snooze), answers.asking(key, seen):
            pass

    def test_take_turns_after_an_error(self, eve: EveSandbox, reader: Reader) -> None:
        reader.read(asked("wallet"))
        expire(eve)
        eve.fail("500", path="wallet")
        with pytest.raises(Retry):
            reader.read(asked("wallet"))
        assert reader.read(asked("wallet")).calls == 1


def test_each_page_is_asked_for_by_its_own_etag(eve: EveSandbox, reader: Reader) -> None:
    first = reader.read(asked("assets"))
    expire(eve)
    again = reader.read(asked("assets"))
    assert (again.value, again.version) == (first.value, first.version)
    assert [(request["status"], request["conditional"]) for request in eve.received(route="assets")] == [
        (304, True),
        (304, True),
    ]


def test_an_answer_without_an_expiry_is_kept_for_an_hour(eve: EveSandbox, reader: Reader) -> None:
    reading = reader.read(asked("portrait"))
    assert timedelta(minutes=59) < reading.expires_at - timezone.now() <= timedelta(minutes=61)


def test_answers_without_an_etag_are_told_apart_by_what_they_say(
    httpserver: HTTPServer, settings: Settings, eve: EveSandbox, reader: Reader
) -> None:
    first = reader.read(asked("ship"))
    settings.ESI_URL = httpserver.url_for("")
    client().close()
    client.cache_clear()
    versions = [first.version]
    for name in ("Raven", "Drake", "Drake"):
        EsiAnswer.objects.update(expires_at=timezone.now() - timedelta(days=2))
        httpserver.expect_oneshot_request(f"/characters/{PILOT}/ship").respond_with_json({"ship_name": name})
        versions.append(reader.read(asked("ship")).version)
    assert len(set(versions)) == 3
    assert versions[-1] == versions[-2]


def test_a_use_is_noted_but_not_each(eve: EveSandbox, reader: Reader) -> None:
    reader.read(asked("wallet"))
    fresh = EsiAnswer.objects.get().used_at
    reader.read(asked("wallet"))
    assert EsiAnswer.objects.get().used_at == fresh
    EsiAnswer.objects.update(used_at=fresh - timedelta(hours=1))
    reader.read(asked("wallet"))
    assert EsiAnswer.objects.get().used_at >= fresh


def test_keys_are_paths_with_colons() -> None:
    assert answers.key("/characters/7/assets", {"page": "2"}) == "esi:characters:7:assets?page=2"
    assert answers.key("/characters/7", {}) == "esi:characters:7"
    assert answers.key("/characters/7/mail", {"last_mail_id": "5", "labels": "1"}) == (
        "esi:characters:7:mail?labels=1&last_mail_id=5"
    )
