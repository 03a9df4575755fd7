import json
import math
from typing import Any

import pytest

from jobs.encoding import MAX_LEVELS, encode, levels, storable
from jobs.sessions import fetch


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


GOOD = [
    None,
    True,
    0,
    -1.5,
    10**40,
    "",
    "\N{SNOWMAN} \U0001f600",
    "\\u0000",
    "\\\\u0000",
    "a\\\\\\u0000b",
    "\x01\x1f\x7f",
    [],
    {},
    {"": None, "a b": [1, {"c": "d"}]},
    (1, 2),
    nested(MAX_LEVELS),
]


@pytest.mark.django_db
@pytest.mark.parametrize("value", GOOD, ids=[f"{value!r:.20}" for value in GOOD])
def test_what_is_encoded_postgres_gives_back(value: Any) -> None:
    text = encode(value, 100_000)
    ((stored,),) = fetch("SELECT %(text)s::text::jsonb::text", {"text": text})
    assert json.loads(stored) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "not JSON: Out of range float"),
        ([math.inf], "not JSON: Out of range float"),
        ({"a": -math.inf}, "not JSON: Out of range float"),
        ("a\x00b", "not storable: a NUL character in a string"),
        ({"a\x00": 1}, "not storable: a NUL character in a string"),
        ("\\\x00", "not storable: a NUL character in a string"),
        (["\ud800"], "not JSON: a lone surrogate in a string"),
        ({"\udfff": 1}, "not JSON: a lone surrogate in a string"),
        (object(), "not JSON: Object of type object is not JSON serializable"),
        ({1, 2}, "not JSON: Object of type set"),
        (b"x", "not JSON: Object of type bytes"),
        ({(1, 2): 3}, "not JSON: keys must be str"),
        (nested(MAX_LEVELS + 1), "nested too deeply: the limit is 200 levels"),
        (nested(100_000), "nested too deeply: the limit is 200 levels"),
        ("x" * 1000, "too large: 1,002 bytes of JSON, the limit is 1,000"),
        ("\N{SNOWMAN}" * 400, "too large: 1,202 bytes of JSON, the limit is 1,000"),
    ],
)
def test_what_cannot_be_stored_is_told(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(value, 1000)


def test_what_is_its_own_part_is_told() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="not JSON: Circular reference"):
        encode(circle, 1000)


def test_the_limit_itself_is_allowed() -> None:
    assert encode("x" * 998, 1000) == f'"{"x" * 998}"'


@pytest.mark.parametrize(
    ("value", "depth"), [(1, 0), ("[[", 0), ([], 1), ([[], {}], 2), ({"a": {"b": [1]}}, 3), ((1, [2]), 2)]
)
def test_levels_are_arrays_and_objects_in_each_other(value: Any, depth: int) -> None:
    assert levels(value) == depth


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain", "plain"),
        ("a\x00b", "a\N{REPLACEMENT CHARACTER}b"),
        ("\ud800\udfff", "\N{REPLACEMENT CHARACTER}" * 2),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_a_text_is_made_storable(text: str, stored: str) -> None:
    assert storable(text) == stored


def test_a_long_text_loses_its_middle() -> None:
    text = storable("a" * 600 + "b" * 600, 1000)
    assert text == "a" * 500 + "\n\N{HORIZONTAL ELLIPSIS} 200 characters \N{HORIZONTAL ELLIPSIS}\n" + "b" * 500
