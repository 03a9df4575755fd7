"""Writes an answer that fits a JSON schema, out of the text it is about: the same each time, another a provider."""

import hashlib
import json
import re
from collections import Counter
from typing import Any, Final

from .shapes import Body

BOUNDS: Final = ("minimum", "maximum", "minItems", "maxItems", "maxLength")
BOUND: Final = re.compile(rf"\b({'|'.join(BOUNDS)})\W+(-?\d+(?:\.\d+)?)")
MATERIAL: Final = re.compile(r"<(\w+)>(.*)</\1>", re.DOTALL)  # what a question is about, when it says so
LOWEST, HIGHEST, ITEMS = 1, 10, 3


def write(schema: Body, text: str, author: str) -> str:
    """JSON for this schema."""
    return json.dumps(_Writer(schema, text, author).value(schema, ""), ensure_ascii=False)


def talk(text: str, author: str) -> str:
    """A few words, when no schema is asked for."""
    return _Writer({}, text, author).sentence("")


def _bounds(schema: Body) -> dict[str, float]:
    """By their names in JSON schema; Gemini has names of its own and 64-bit numbers as texts.

    A service whose schemas may have none is told of them in words.
    """
    said = dict(BOUND.findall(str(schema.get("description", ""))))
    named = {re.sub(r"_(.)", lambda found: found[1].upper(), name): bound for name, bound in schema.items()}
    return {name: float((said | named)[name]) for name in BOUNDS if name in said | named}


class _Writer:
    def __init__(self, schema: Body, text: str, author: str) -> None:
        if marked := MATERIAL.search(text):
            text = marked[2]
        self.definitions = schema.get("$defs", {})
        self.seed = f"{author} {text}"
        self.sentences = [
            " ".join(found.split()) for found in re.split(r"(?<=[.!?])\s+|\n\s*\n", text) if 20 <= len(found) <= 400
        ] or ["The text says little about itself."]
        words: list[str] = re.findall(r"[^\W\d_]{6,}", text.lower())
        self.words = [word for word, _ in Counter(words).most_common(12)] or ["science"]

    def pick(self, path: str, choices: int) -> int:
        digest = hashlib.sha256(f"{self.seed} {path}".encode()).digest()
        return int.from_bytes(digest[:4], "big") % choices

    def sentence(self, path: str) -> str:
        """In a list each is another, as long as there are others."""
        listed = re.fullmatch(r"(.*)\.(\d+)", path)
        where, further = (listed[1], int(listed[2])) if listed else (path, 0)
        return self.sentences[(self.pick(where, len(self.sentences)) + further) % len(self.sentences)]

    def value(self, schema: Body, path: str) -> Any:
        if "$ref" in schema:
            return self.value(self.definitions[schema["$ref"].rsplit("/", 1)[-1]], path)
        if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
            return self.value(choices[0], path)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][self.pick(path, len(schema["enum"]))]
        bounds = _bounds(schema)
        match str(schema.get("type", "string")).lower():
            case "object":
                return {name: self.value(part, f"{path}.{name}") for name, part in schema.get("properties", {}).items()}
            case "array":
                count = int(min(max(bounds.get("minItems", 0), ITEMS), bounds.get("maxItems", ITEMS)))
                return [self.value(schema.get("items", {}), f"{path}.{at}") for at in range(count)]
            case "integer" | "number" as kind:
                lowest, highest = bounds.get("minimum", LOWEST), bounds.get("maximum", HIGHEST)
                if kind == "number" and highest - lowest <= 1:
                    return round(lowest + (highest - lowest) * self.pick(path, 101) / 100, 2)
                return int(lowest) + self.pick(path, int(highest - lowest) + 1)
            case "boolean":
                return bool(self.pick(path, 2))
            case "null":
                return None
            case _:
                text = self._keyword(path) if "keyword" in path.lower() else self.sentence(path)
                return text[: int(bounds.get("maxLength", len(text)))]

    def _keyword(self, path: str) -> str:
        """Another for each place in a list."""
        at = re.search(r"\.(\d+)$", path)
        return self.words[int(at[1]) % len(self.words) if at else 0]
