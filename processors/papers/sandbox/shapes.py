"""What all simulated providers share: what was asked, what is said, and how an answer goes out."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

Body = dict[str, Any]
Headers = dict[str, str]
Answer = tuple[int, Body | str, Headers]  # status, JSON or HTML, further headers
End = Literal["stop", "length", "refusal", "filter"]

PIECES: Final = 6  # in which a stream tells its text
HTML: Final = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
REFUSAL: Final = "I'm sorry, but I cannot assist with that request."


@dataclass(frozen=True)
class Asked:
    """One request, whatever the provider calls its parts."""

    model: str
    text: str  # of the last message
    tokens: int  # of all messages
    schema: Body | None = None  # the answer's
    tool: str | None = None  # the one to answer with
    stream: bool = False
    limit: int | None = None  # tokens of the answer
    usage: bool = True  # a stream tells it, too


@dataclass(frozen=True)
class Said:
    """One answer; `text` is JSON when the request had a schema."""

    text: str
    end: End
    tokens: int

    def parsed(self) -> Body:
        """The text as an object; what was cut off is missing whole."""
        try:
            value = json.loads(self.text)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def pieces(self) -> list[str]:
        """The text in a few parts, for a stream."""
        size = max(1, -(-len(self.text) // PIECES))
        return [self.text[at : at + size] for at in range(0, len(self.text), size)]


@dataclass(frozen=True)
class Limits:
    """Requests a minute: how many may be, how many are left, seconds until one more is."""

    limit: int
    remaining: int
    reset: float


class Dialect(Protocol):
    """How a provider reads and writes."""

    key: str
    families: tuple[str, ...]  # how names of models begin
    context: int  # tokens that fit
    faults: frozenset[str]  # that `refusal` knows

    def authorise(self, headers: Headers, query: Headers) -> Answer | None:
        """The refusal of a wrong key."""

    def read(self, path: str, body: Body) -> Asked | Answer | None:
        """What is asked, the refusal of a wrong request, or None where there is no such path."""

    def refusal(self, fault: str, asked: Asked, path: str, retry_after: float) -> Answer:
        """What it says in place of an answer."""

    def answer(self, path: str, asked: Asked, said: Said) -> Body:
        """A whole answer."""

    def events(self, path: str, asked: Asked, said: Said) -> list[str]:
        """The same as server-sent events."""

    def broken(self, path: str) -> str:
        """The event of an error in the middle of a stream."""

    def headers(self, limits: Limits) -> Headers:
        """What is told beside every answer."""


def tokens(text: str) -> int:
    """About as many as a tokenizer would find."""
    return len(text) // 4 + 1
