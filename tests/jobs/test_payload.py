"""Secret fields of payloads, wherever a model has them."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from jobs.payload import Payload, Secret, redact, secrets


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
