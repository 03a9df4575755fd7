import json
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from jobs.errors import InvalidOption
from jobs.forms import OptionsForm, PayloadForm
from jobs.processor import JobContext, Payload, Processor, Secret, get_processor, processor
from tests.jobs import jobtypes

Data = dict[str, Any]


class Instrument(Enum):
    OBOE = "oboe"
    HARP = "harp"


class Seat(BaseModel):
    row: int = Field(ge=1)
    side: str = "left"


class Concert(Payload):
    """One field of every kind."""

    hall_name: str = Field(description="Where it is.")
    motto: str = "play"
    note: str | None = None
    musicians: int = Field(12, ge=1, le=90)
    ticket_price: float = 9.5
    sold_out: bool = True
    encore: bool | None = None
    instrument: Instrument = Instrument.OBOE
    key: Literal["major", "minor"]
    movement: Literal[1, 2, 3] = 1
    begins: datetime | None = None
    day: date | None = None
    guests: list[str] = []
    takings: list[float] = []
    seat: Seat = Seat(row=1)
    door_code: Secret
    either: int | str = 0


@processor(queue="cpu", priority="low", max_attempts=7)
def perform_concert(payload: Concert, job: JobContext) -> None:
    """Play."""


CONCERT: Processor = perform_concert
FILLED: Data = {
    "hallName": "Old Hall",
    "motto": "play on",
    "musicians": "30",
    "ticketPrice": "12.5",
    "soldOut": "on",
    "encore": "false",
    "instrument": "harp",
    "key": "minor",
    "movement": "3",
    "begins": "2026-05-01T19:30:00",
    "day": "2026-05-01",
    "guests": "Ann\n\n Bob ",
    "takings": "1\n2.5",
    "seat": '{"row": 4}',
    "doorCode": "sesame",
    "either": "B",
}


def form(data: Data | None = None, task: Processor = CONCERT, **options: Any) -> PayloadForm:
    prefixed = None if data is None else {f"payload-{name}": value for name, value in data.items()}
    return PayloadForm(task, prefixed, **options)


def payload(data: Data, task: Processor = CONCERT, **options: Any) -> Any:
    """What a form that is filled in so gives."""
    filled = form(data, task, **options)
    assert filled.is_valid(), filled.errors
    return json.loads(filled.payload)


def errors(data: Data, task: Processor = CONCERT, **options: Any) -> dict[str, list[str]]:
    filled = form(data, task, **options)
    assert not filled.is_valid()
    assert filled.payload == ""
    return {name: list(map(str, told)) for name, told in filled.errors.items()}


def test_each_kind_of_field() -> None:
    assert payload(FILLED) == {
        "hallName": "Old Hall",
        "motto": "play on",
        "note": None,
        "musicians": 30,
        "ticketPrice": 12.5,
        "soldOut": True,
        "encore": False,
        "instrument": "harp",
        "key": "minor",
        "movement": 3,
        "begins": "2026-05-01T19:30:00Z",
        "day": "2026-05-01",
        "guests": ["Ann", "Bob"],
        "takings": [1.0, 2.5],
        "seat": {"row": 4, "side": "left"},
        "doorCode": "sesame",
        "either": "B",
    }


def test_what_is_left_empty_is_as_the_model_says() -> None:
    given = payload(
        {"hallName": "Old Hall", "key": "major", "doorCode": "sesame", "instrument": "oboe", "movement": "1"}
    )
    assert given["musicians"] == 12
    assert given["ticketPrice"] == 9.5
    assert given["begins"] is given["encore"] is given["note"] is None
    assert given["seat"] == {"row": 1, "side": "left"}
    assert (given["soldOut"], given["motto"], given["guests"]) == (False, "", [])  # a person has emptied them


def test_a_new_form_shows_defaults_and_what_fields_are() -> None:
    fields = form()
    initial = {name: field.initial for name, field in fields.fields.items() if field.initial is not None}
    assert initial == {
        "motto": "play",
        "musicians": 12,
        "ticketPrice": 9.5,
        "soldOut": True,
        "instrument": "oboe",
        "movement": 1,
        "guests": [],
        "takings": [],
        "seat": {"row": 1, "side": "left"},
        "either": 0,
    }
    assert {name for name, field in fields.fields.items() if field.required} == {"hallName", "key", "doorCode"}
    assert fields.fields["hallName"].help_text == "Where it is."
    assert (fields["hallName"].label, fields["soldOut"].label) == ("Hall name", "Sold out")
    page = fields.as_div()
    assert '<option value="" selected>—</option>' in page  # of what may be left open
    assert 'type="datetime-local"' in page
    assert 'max="90"' in page


def test_values_of_another_job_are_filled_in_but_no_secrets() -> None:
    given = payload(FILLED)
    page = form(values=given).as_div()
    assert 'value="Old Hall"' in page
    assert 'value="2026-05-01T19:30:00"' in page
    assert "Ann\nBob" in page
    assert "sesame" not in page
    assert "***" not in page
    assert "sesame" not in form(FILLED).as_div()  # nor what was just typed


def test_a_secret_that_is_left_empty_stays_as_it_was() -> None:
    without = FILLED | {"doorCode": ""}
    assert errors(without) == {"doorCode": ["This field is required."]}
    before = payload(FILLED)
    assert payload(without, secrets_of=before)["doorCode"] == "sesame"
    assert payload(FILLED | {"doorCode": "new"}, secrets_of=before)["doorCode"] == "new"


def test_errors_come_at_their_fields() -> None:
    wrong = {"musicians": "0", "ticketPrice": "much", "seat": '{"row": 0}', "takings": "x", "key": "blue"}
    assert errors(FILLED | {"seat": "{", "hallName": ""}) == {
        "hallName": ["This field is required."],
        "seat": ["Enter a valid JSON."],
    }
    assert errors(FILLED | wrong).keys() == {"musicians", "ticketPrice", "key"}
    of_the_model = errors(FILLED | {"seat": '{"row": 0, "shape": 1}', "takings": "x"})
    assert of_the_model["seat"] == ["row: Input should be greater than or equal to 1"]
    assert of_the_model["takings"][0].startswith("0: Input should be a valid number")


def test_as_json() -> None:
    given = payload(FILLED)
    shown = form(as_json=True, values=given)
    assert list(shown.fields) == ["json"]
    assert json.loads(str(shown["json"].value())) == {**given, "doorCode": "***"}
    typed = {"json": shown["json"].value()}
    assert payload(typed, as_json=True, secrets_of=given) == given  # what is hidden is what it was
    assert errors({"json": '{"key": "major"}'}, as_json=True)["json"] == [
        "hallName: Field required",
        "doorCode: Field required",
    ]
    assert errors({"json": "[]"}, as_json=True) == {"json": ["expected an object, got list"]}


class Wallet(Payload):
    cards: list[jobtypes.Card] = []
    main: jobtypes.Card | None = None


@processor()
def pay(payload: Wallet, job: JobContext) -> None:
    """Pay."""


@pytest.mark.parametrize("as_json", [False, True])
def test_secrets_within_others_stay_as_they_were(as_json: bool) -> None:
    card = {"number": "4242", "holder": "Ann"}
    before = {"cards": [card, {"number": "4111", "holder": "Bob"}], "main": card}
    filled = form(None, pay, values=before, secrets_of=before, as_json=as_json)
    shown: Any = {name: json.loads(str(filled[name].value())) for name in filled.fields}
    whole = shown["json"] if as_json else shown
    assert "4242" not in json.dumps(shown)

    def typed() -> Data:
        return {name: json.dumps(value) for name, value in shown.items()}

    whole["main"]["holder"] = "Eve"
    whole["cards"][1]["number"] = "4000"
    assert payload(typed(), pay, secrets_of=before, as_json=as_json) == {
        "cards": [card, {"number": "4000", "holder": "Bob"}],
        "main": {"number": "4242", "holder": "Eve"},
    }
    del whole["cards"][1]  # whose secret is the one that is left?
    (told,) = errors(typed(), pay, secrets_of=before, as_json=as_json).values()
    assert told == ["a secret is still ***: write it anew"]


def test_a_plain_task_takes_arguments() -> None:
    task = get_processor("tests.jobs.jobtypes.add_up")
    assert json.loads(str(form(task=task)["json"].value())) == {"args": [], "kwargs": {}}
    assert payload({"json": '{"args": [1], "kwargs": {"y": 2}}'}, task) == {"args": [1], "kwargs": {"y": 2}}
    assert "missing 1 required positional argument" in errors({"json": "{}"}, task)["json"][0]
    assert errors({"json": '{"z": 1}'}, task) == {"json": ['expected {"args": [...], "kwargs": {...}}']}


def test_a_type_that_takes_nothing() -> None:
    assert payload({}, get_processor("idle"), as_json=False) == {}


def test_options() -> None:
    empty = OptionsForm(CONCERT, {})
    assert empty.is_valid()
    assert empty.options == {}
    page = OptionsForm(CONCERT).as_div()
    assert "cpu (usual)" in page
    assert "3 (usual)" in page
    data = {
        "queue": "default",
        "priority": "10",
        "scheduled_at": "2030-01-01T00:00",
        "unique_key": "k",
        "tags": "a, b,",
        "max_attempts": "2",
    }
    filled = OptionsForm(CONCERT, {f"options-{name}": value for name, value in data.items()})
    assert filled.is_valid()
    assert filled.options == {
        "queue": "default",
        "priority": 10,
        "scheduled_at": datetime(2030, 1, 1, tzinfo=UTC),
        "unique_key": "k",
        "tags": ["a", "b"],
        "max_attempts": 2,
    }


def test_options_that_are_wrong() -> None:
    both = OptionsForm(CONCERT, {"options-delay": "5", "options-scheduled_at": "2030-01-01T00:00"})
    assert both.errors == {"delay": ["Give a delay or a time, not both."]}
    filled = OptionsForm(CONCERT, {})
    assert filled.is_valid()
    filled.tell(InvalidOption("unique_key: too long", field="unique_key"))
    filled.tell(InvalidOption("backoff: not so", field="backoff"))
    assert filled.errors == {"unique_key": ["unique_key: too long"], "__all__": ["backoff: not so"]}


@pytest.mark.parametrize("text", ["NaN", "1e999", "[" * 100_000])
def test_what_json_does_not_know(text: str) -> None:
    assert "json" in errors({"json": f'{{"hallName": {text}}}'}, as_json=True)
