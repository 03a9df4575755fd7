"""JSON as Postgres stores it: what `json` accepts and jsonb refuses is told here, before any statement."""

import json
import re
from typing import Any

MAX_LEVELS = 200  # of arrays and objects in each other: well inside of what Python and Postgres can read again
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_to_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


def encode(value: Any, limit: int) -> str:
    """`value` as JSON text of at most `limit` bytes. Raises ValueError saying what is wrong with it."""
    try:
        text = _to_json(value)
        size = len(text.encode())
    except TypeError as error:
        raise ValueError(f"not JSON: {error}") from None
    except UnicodeEncodeError:
        raise ValueError("not JSON: a lone surrogate in a string") from None
    except RecursionError:
        raise ValueError(f"nested too deeply: the limit is {MAX_LEVELS} levels") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if "\\u0000" in text and _NUL.search(text):
        raise ValueError("not storable: a NUL character in a string")
    if size > limit:
        raise ValueError(f"too large: {size:,} bytes of JSON, the limit is {limit:,}")
    if text.count("[") + text.count("{") > MAX_LEVELS and levels(value) > MAX_LEVELS:
        raise ValueError(f"nested too deeply: the limit is {MAX_LEVELS} levels")
    return text


def levels(value: Any) -> int:
    """How many arrays and objects are in each other."""
    deep, layer = 0, [value]
    while layer := [item for item in layer if isinstance(item, dict | list | tuple)]:
        deep += 1
        layer = [inner for item in layer for inner in (item.values() if isinstance(item, dict) else item)]
    return deep


def storable(text: str, limit: int = 100_000) -> str:
    """`text` with what Postgres cannot store replaced, and its middle cut out above `limit` characters."""
    if len(text) > limit:
        text = f"{text[: limit // 2]}\n… {len(text) - limit:,} characters …\n{text[-limit // 2 :]}"
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
