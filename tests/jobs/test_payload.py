"""Payloads, their secret fields wherever a model has them, and backoffs."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from jobs.errors import InvalidPayload
from jobs.payload import Backoff, Payload, Secret, redact, secrets, uncovered


class Card(BaseModel):
    holder: str = ""
    number: Secret


class Order(Payload):
    item_name: str = ""
    api_token: Secret = ""
    maybe: Secret | None = None
    either: int | Secret = 0
    annotated: Annotated[Secret, Field(max_length=50)] = ""
    many: list[Secret] = []
    named: dict[str, Secret] = {}
    card: Card | None = None
    cards: list[Card] = []
    by_name: dict[str, list[Card]] = {}
    parts: "list[Order]" = []


SECRET = {
    "apiToken": "s-1",
    "maybe": "s-2",
    "either": "s-3",
    "annotated": "s-4",
    "many": ["s-5", "s-6"],
    "named": {"a": "s-7"},
    "card": {"holder": "Ada", "number": "s-8"},
    "cards": [{"holder": "Ada", "number": "s-9"}],
    "byName": {"Ada": [{"number": "s-10"}]},
    "parts": [{"apiToken": "s-11"}],
}


@pytest.mark.parametrize("field", SECRET)
def test_a_secret_is_hidden_wherever_it_is(field: str) -> None:
    shown = redact(Order, {"itemName": "chess", field: SECRET[field]})
    assert shown["itemName"] == "chess"
    assert "s-" not in str(shown)
    assert "***" in str(shown)


def test_all_secrets_are_found() -> None:
    assert secrets(Order, {"itemName": "chess", **SECRET}) == {f"s-{number}" for number in range(1, 12)}


def test_what_surrounds_them_stays() -> None:
    shown = redact(Order, SECRET)
    assert shown["card"] == {"holder": "Ada", "number": "***"}
    assert SECRET["maybe"] == "s-2"  # the payload itself is as it was


def test_by_either_name() -> None:
    assert redact(Order, {"api_token": "s"}) == {"api_token": "***"}


@pytest.mark.parametrize("payload", [{}, {"maybe": None}, {"card": None}, {"card": 7, "cards": "x"}, [], 7])
def test_what_does_not_fit_the_model_is_shown_as_it_is(payload: Any) -> None:
    assert redact(Order, payload) == payload
    assert secrets(Order, payload) == set()


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"card": None}, {"cards": "?"}, {"apiToken": None}])
def test_a_secret_is_looked_for_in_anything(payload: Any) -> None:
    assert redact(Order, payload) == payload
    assert secrets(Order, payload) == set()


def test_a_secret_is_write_only_in_the_schema() -> None:
    schema = Order.model_json_schema(mode="validation")
    assert schema["$defs"]["Order"]["properties"]["apiToken"]["writeOnly"] is True


class TestAPayload:
    @pytest.mark.parametrize("given", [{"item_name": "x", "api_token": "y"}, {"itemName": "x", "apiToken": "y"}])
    def test_is_read_in_either_case_and_written_in_camel_case(self, given: dict[str, Any]) -> None:
        order = Order.model_validate(given)
        assert (order.item_name, order.api_token) == ("x", "y")
        assert list(order.model_dump(by_alias=True))[:2] == ["itemName", "apiToken"]

    def test_refuses_what_it_does_not_know(self) -> None:
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            Order.model_validate({"itemName": "x", "colour": "red"})

    def test_cannot_be_changed(self) -> None:
        order = Order(item_name="x")
        with pytest.raises(ValidationError, match="frozen"):
            order.item_name = "y"  # type: ignore[misc]


class TestBackoff:
    def test_grows_by_its_factor_up_to_its_maximum(self) -> None:
        backoff = Backoff(base=1, max=60, jitter=False)
        assert [backoff.delay(attempt) for attempt in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
        assert Backoff(base=2, max=1000, factor=10, jitter=False).delay(3) == 200

    def test_with_jitter_is_any_part_of_that(self) -> None:
        delays = [Backoff(base=8, max=60).delay(2) for _ in range(500)]
        assert all(0 <= delay <= 16 for delay in delays)
        assert min(delays) < 4
        assert max(delays) > 12

    def test_stays_a_number_after_any_number_of_attempts(self) -> None:
        assert Backoff(base=1, max=60, jitter=False).delay(32_767) == 60
        assert Backoff(base=1, max=1e300, factor=1e10, jitter=False).delay(10) == 1e90

    def test_of_nothing_is_none(self) -> None:
        assert Backoff(base=0).delay(5) == 0

    def test_survives_the_row(self) -> None:
        backoff = Backoff(base=1, max=2, factor=3, jitter=False)
        assert Backoff(**backoff.as_dict()) == backoff

    @pytest.mark.parametrize(
        "wrong",
        [
            {"base": -1},
            {"base": "1"},
            {"base": float("nan")},
            {"base": float("inf")},
            {"max": float("inf")},
            {"max": None},
            {"factor": 0.5},
            {"factor": True},
        ],
    )
    def test_is_refused_when_it_is_none(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=f"backoff: expected a number from . as {next(iter(wrong))}"):
            Backoff(**wrong)


def test_secrets_that_are_still_hidden_are_what_they_were() -> None:
    assert uncovered(Order, redact(Order, SECRET), SECRET) == SECRET
    shown = redact(Order, SECRET)
    assert uncovered(Order, {**shown, "itemName": "pen", "maybe": "new"}, SECRET) == {
        **SECRET,
        "itemName": "pen",
        "maybe": "new",
    }
    assert uncovered(None, {"args": ["***"]}, SECRET) == {"args": ["***"]}


def test_a_shorter_list_does_not_tell_which_secret_is_left() -> None:
    cards = {"cards": [{"holder": "Ada", "number": "s-1"}, {"holder": "Bob", "number": "s-2"}]}
    left = {"cards": [{"holder": "Bob", "number": "***"}]}
    with pytest.raises(InvalidPayload, match="still"):
        uncovered(Order, left, cards)
