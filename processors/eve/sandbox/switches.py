"""What a test may change about the sandbox: the body of `POST /_control`, and the state that it leaves."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Switches(BaseModel):
    """Everything as the real services have it, until told otherwise."""

    model_config = ConfigDict(extra="forbid")

    fault: str | None = None  # a name of `faults.FAULTS`: what goes wrong
    count: int = Field(1, ge=1)  # for how many requests
    after: int = Field(0, ge=0)  # after how many good ones
    path: str = ""  # of which routes, a regular expression found in the route's name; empty: all
    latency_ms: float = Field(0, ge=0)
    hold: str | None = None  # routes whose answers wait until this is taken back, a regular expression
    downtime: bool = False  # both services, as at 11:00 UTC

    ages: dict[str, int] = {}  # route → seconds until Expires; "*": of all routes
    sizes: dict[str, int] = {}  # route → rows an answer
    counts: dict[str, int] = {}  # route → rows in all
    answers: dict[str, Any] = {}  # route → what it tells of every character
    shift: int = Field(0, ge=0)  # how many later pages will be of another snapshot than the first
    buckets: dict[str, tuple[int, float]] = {}  # rate group → tokens, seconds
    error_limit: tuple[int, float] = (100, 60.0)  # errors, seconds

    rotate: bool = True  # each refresh gives a new refresh token and ends the old
    single_grant: bool = False  # a login ends the character's older grants
    dead: list[int] = []  # characters whose grants are gone
    lifetime: int = 1200  # seconds of an access token
    owners: dict[int, str] = {}  # character → whose it is now
    claims: dict[str, Any] = {}  # of access tokens, in place of the right ones
    forge: bool = False  # access tokens are signed with a key that is not published
    kid: str = "JWT-Signature-Key"  # another name makes another key
    login: int = 1337512245  # the character that logs in next
    deny: bool = False  # and whether it refuses

    def change(self, wanted: dict[str, Any]) -> None:
        """Take new values. A fault begins anew. Raises ValidationError, and changes nothing."""
        fresh = {"count": 1, "after": 0, "path": ""} if "fault" in wanted else {}
        changed = Switches.model_validate(self.model_dump() | fresh | wanted)
        for name in type(self).model_fields:
            setattr(self, name, getattr(changed, name))
