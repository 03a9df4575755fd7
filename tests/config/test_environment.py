import os
from collections.abc import Iterator

import pytest

from config import environment as env


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("A", "B", "REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_DB"):
        monkeypatch.delenv(name, raising=False)
    yield
    monkeypatch.undo()


def test_an_empty_value_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", " ")
    assert env.text("A", "x") == "x"
    assert env.flag("A", default=True) is True
    assert env.number("A", 1.5) == 1.5
    assert env.whole("A", 3) == 3
    assert env.words("A", ["x"]) == ["x"]


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("YES", True), ("1", True), ("False", False), ("0", False), ("off", False)]
)
def test_flags_in_any_case(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("A", value)
    assert env.flag("A", default=not expected) is expected


def test_a_list_is_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "one.example, two.example,")
    assert env.words("A") == ["one.example", "two.example"]


def test_wrong_values_name_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "maybe")
    for read in (
        lambda: env.flag("A", default=True),
        lambda: env.number("A", 1),
        lambda: env.whole("A", 1),
        lambda: env.choice("A", "x", ("x", "y")),
        lambda: env.url("A", "", ("http",)),
        lambda: env.database("A", ""),
    ):
        with pytest.raises(SystemExit, match=r"^Wrong setting A: .+") as refused:
            read()
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", ["0", "-1", "11", "nan", "inf", "2.5"])
def test_whole_numbers_within_bounds(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("A", value)
    with pytest.raises(SystemExit, match="A: "):
        env.whole("A", 1, least=1, most=10)


def test_another_name_is_read_with_its_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B", "3")
    assert env.whole("A", 1, least=1, also={"B": 1}) == 4


def test_two_names_may_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "4")
    monkeypatch.setenv("B", "3")
    assert env.whole("A", 1, also={"B": 1}) == 4


def test_two_names_that_contradict_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "4")
    monkeypatch.setenv("B", "4")
    with pytest.raises(SystemExit, match="A and B"):
        env.whole("A", 1, also={"B": 1})


def test_a_choice_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "debug")
    assert env.choice("A", "INFO", ("DEBUG", "INFO")) == "DEBUG"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("100/s", (100, 1)), ("6000/m", (6000, 60)), ("5/h", (5, 3600)), ("off", None), ("", (1, 1))],
)
def test_a_rate(monkeypatch: pytest.MonkeyPatch, value: str, expected: tuple[int, int] | None) -> None:
    monkeypatch.setenv("A", value)
    assert env.rate("A", "1/s") == expected


@pytest.mark.parametrize("value", ["100", "0/s", "-1/s", "1.5/s", "1/d", "/s", "x/s"])
def test_other_rates_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("A", value)
    with pytest.raises(SystemExit, match="A: "):
        env.rate("A", "1/s")


def test_a_database_by_network_and_by_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "postgres://me:p%40ss@db.example:5433/jobs?sslmode=require")
    database = env.database("A", "")
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example", 5433, "jobs")
    assert (database["USER"], database["PASSWORD"], database["OPTIONS"]) == ("me", "p@ss", {"sslmode": "require"})
    monkeypatch.setenv("A", "postgres://postgres@%2Frun%2Fpostgresql/jobs")
    assert env.database("A", "")["HOST"] == "/run/postgresql"


@pytest.mark.parametrize("value", ["mysql://localhost/jobs", "postgres://localhost", "jobs", "postgres://h:port/x"])
def test_other_databases_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("A", value)
    with pytest.raises(SystemExit, match="A: "):
        env.database("A", "")


def test_redis_by_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.redis() == "redis://localhost:6379/0"
    monkeypatch.setenv("REDIS_HOST", "cache.example")
    monkeypatch.setenv("REDIS_PORT", "6380")
    monkeypatch.setenv("REDIS_PASSWORD", "p@ss/word")
    monkeypatch.setenv("REDIS_DB", "2")
    assert env.redis() == "redis://:p%40ss%2Fword@cache.example:6380/2"


def test_the_address_of_redis_wins_over_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "rediss://:secret@cache.example/1")
    monkeypatch.setenv("REDIS_PORT", "tcp://10.0.0.1:6379")  # as Kubernetes sets it beside a service of that name
    assert env.redis() == os.environ["REDIS_URL"]


def test_addresses_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.urls("A", ("https",)) == {}
    monkeypatch.setenv("A", "sales=https://example.com/a?b=c, ops=https://example.com/d")
    assert env.urls("A", ("https",)) == {"sales": "https://example.com/a?b=c", "ops": "https://example.com/d"}


@pytest.mark.parametrize("value", ["https://example.com", "sales=", "sales=ftp://example.com", "=https://example.com"])
def test_addresses_without_a_name_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("A", value)
    with pytest.raises(SystemExit, match="Wrong setting A: names with addresses are wanted"):
        env.urls("A", ("https",))


def test_a_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.zone("A", "UTC").key == "UTC"
    monkeypatch.setenv("A", "Mars/Olympus")
    with pytest.raises(SystemExit, match="Wrong setting A: there is no time zone 'Mars/Olympus'"):
        env.zone("A", "UTC")
