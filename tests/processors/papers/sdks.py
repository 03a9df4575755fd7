"""The providers' official clients, sent to the sandbox, without retries of their own.

They take seconds to import, which a test process that runs other files must not pay: each comes when it is first used.
"""

from functools import cached_property
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from processors.papers.sandbox import KEYS

if TYPE_CHECKING:
    from anthropic import Anthropic
    from google import genai
    from openai import OpenAI


def error(name: str) -> Any:
    """A class of theirs, by module and name: `openai.RateLimitError`."""
    return resolve_name(name)


class Sdks:
    """Made when first used."""

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def openai(self) -> "OpenAI":
        return self.compatible("openai")

    @cached_property
    def xai(self) -> "OpenAI":
        return self.compatible("xai")

    def compatible(self, name: str, key: str | None = None) -> "OpenAI":
        from openai import OpenAI

        return OpenAI(base_url=f"{self.url}/{name}/v1", api_key=key or KEYS[name], max_retries=0, timeout=30)

    @cached_property
    def anthropic(self) -> "Anthropic":
        from anthropic import Anthropic

        return Anthropic(base_url=f"{self.url}/anthropic", api_key=KEYS["anthropic"], max_retries=0, timeout=30)

    @cached_property
    def gemini(self) -> "genai.Client":
        from google import genai
        from google.genai.types import HttpOptions

        options = HttpOptions(base_url=f"{self.url}/gemini", timeout=30_000)
        return genai.Client(api_key=KEYS["gemini"], http_options=options)

    def close(self) -> None:
        """Their connections."""
        for name in ("openai", "xai", "anthropic", "gemini"):
            if name in self.__dict__:
                getattr(self, name).close()
