"""The providers by their own SDKs: one question, one request, one reply, whatever became of it.

`pydantic_ai` makes one interface of three. The SDKs' retries are off and nothing is asked again here: when to do so is
the job queue's business, and `analysing` keeps account of every request. Which class an error has is said in `errors`.

All requests of a process live on one event loop in a thread of its own: a job's thread waits for them and can leave
any of them at once, which ends its connection.
"""

import asyncio
import functools
import logging
import os
import threading
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from pydantic import ValidationError

from jobs.processor import Discard

from .failures import Failure, Kind
from .structure import Structure

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model

log = logging.getLogger(__name__)

ANSWER_TOKENS: Final = 16_000  # at most, thinking included; more, and Anthropic's SDK wants to stream
CONNECT: Final = 5.0  # seconds
PRICED_AS: Final = {"openai": "openai", "anthropic": "anthropic", "gemini": "google", "xai": "x-ai"}
NAME: Final = "analysis"
LONGEST_NAME: Final = 200  # characters of a model's name or a request's id


@dataclass(frozen=True)
class Usage:
    """What a request was, and what it cost. A refused one cost nothing."""

    model: str = ""  # as the provider names it
    request_id: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None  # USD; None: not known


@dataclass(frozen=True)
class Reply:
    """What became of one request: an analysis, or why there is none."""

    usage: Usage
    structure: Structure | None = None
    failure: Failure | None = None


def ask(provider: str, instructions: str, text: str) -> "Future[Reply]":
    """Send one request. Cancelling the future ends it on the wire."""
    config = settings.AI_PROVIDERS[provider]
    if not config["key"]:
        raise Discard(f"{provider} is not configured: it has no key")
    with _making:
        model = _model(provider, config["speaks"], config["url"], config["key"], config["model"])
        loop = _loop()
    return asyncio.run_coroutine_threadsafe(_ask(model, PRICED_AS.get(provider), instructions, text), loop)


async def _ask(model: "Model", priced_as: str | None, instructions: str, text: str) -> Reply:
    from pydantic_ai.direct import model_request
    from pydantic_ai.exceptions import AgentRunError
    from pydantic_ai.messages import ModelRequest

    from . import errors

    seen: list[str] = []
    _seen.set(seen)
    try:
        async with asyncio.timeout(settings.AI_TIMEOUT):
            response = await model_request(
                model,
                [ModelRequest.user_text_prompt(text, instructions=instructions)],
                model_settings={"max_tokens": ANSWER_TOKENS},
                model_request_parameters=_parameters(model),
            )
    except Exception as error:
        if not isinstance(error, AgentRunError | TimeoutError):  # a mistake of ours, or of the settings
            log.warning("%s: %s", model.model_name, errors.without_keys(f"{type(error).__name__}: {error}"))
        return Reply(
            Usage(model=model.model_name, request_id=_last(seen)[:LONGEST_NAME]), failure=errors.failure_of(error)
        )
    usage = Usage(
        model=errors.without_keys(response.model_name or model.model_name)[:LONGEST_NAME],
        request_id=errors.without_keys(_last(seen) or response.provider_response_id or "")[:LONGEST_NAME],
        input_tokens=response.usage.input_tokens,
        output_tokens=response.usage.output_tokens,
        cost=_cost(response, priced_as),
    )
    return read(response, usage)


def read(response: "ModelResponse", usage: Usage) -> Reply:
    """What an answer says. It is paid for: whatever is wrong with it is a failure, and no error."""
    from . import errors

    if failure := errors.failure_in(response):
        return Reply(usage, failure=failure)
    try:
        return Reply(usage, structure=Structure.model_validate_json(_said(response)))
    except ValueError as error:  # half an emoji is none of pydantic's
        wrong = error.errors()[:5] if isinstance(error, ValidationError) else []
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in wrong) or "no text that can be stored"
        told = errors.without_keys(told)[: errors.LONGEST]
        return Reply(usage, failure=Failure(Kind.INVALID_OUTPUT, f"not an analysis as it was asked for: {told}"))


def _parameters(model: "Model") -> Any:
    """Have it answer in our shape: by its own means for that, or as the arguments of a tool."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition
    from pydantic_ai.tools import ToolDefinition

    schema, about = Structure.model_json_schema(), "The analysis of a paper."
    if model.profile.get("supports_json_schema_output"):
        shape = OutputObjectDefinition(json_schema=schema, name=NAME, description=about, strict=True)
        return ModelRequestParameters(output_mode="native", output_object=shape)
    tool = ToolDefinition(name=NAME, description=about, parameters_json_schema=schema, kind="output")
    return ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)


def _said(response: "ModelResponse") -> str:
    texts = [call.args_as_json_str() for call in response.tool_calls[:1]] or [response.text or ""]
    return texts[0].replace("\\u0000", "")  # which Postgres does not store


def _cost(response: "ModelResponse", priced_as: str | None) -> Decimal | None:
    from genai_prices import calc_price

    if priced_as is None or not response.model_name:
        return None
    try:
        return calc_price(response.usage, response.model_name, provider_id=priced_as).total_price
    except (LookupError, ValueError):  # a model newer than the price list
        return None


# Request ids come in headers, which the libraries keep to themselves.
_seen: ContextVar[list[str]] = ContextVar("_seen")


async def _note(response: "httpx2.Response") -> None:
    headers = response.headers
    _seen.get([]).append(headers.get("x-request-id") or headers.get("request-id") or "")


def _last(seen: list[str]) -> str:
    return seen[-1] if seen else ""


_making = threading.Lock()  # one loop for all: connections belong to one


@functools.cache
def _model(provider: str, speaks: str, url: str, key: str, name: str) -> "Model":
    """Made when it is first needed: the SDKs take seconds to import, and connections do not survive a fork."""
    import httpx2

    wait = httpx2.Timeout(settings.AI_TIMEOUT, connect=CONNECT)
    http = httpx2.AsyncClient(timeout=wait, event_hooks={"response": [_note]})  # keys follow no redirect
    if speaks == "anthropic":
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        claude = AsyncAnthropic(api_key=key, base_url=url, max_retries=0, timeout=settings.AI_TIMEOUT, http_client=http)
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=claude))
    if speaks == "gemini":
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        return GoogleModel(name, provider=GoogleProvider(api_key=key, base_url=url, http_client=http))
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    gpt = AsyncOpenAI(api_key=key, base_url=url, max_retries=0, timeout=settings.AI_TIMEOUT, http_client=http)
    return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=gpt))


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="providers", daemon=True).start()
    return loop


def _forget() -> None:
    """Let go of connections and loop without a word to anybody: they are another process's."""
    global _making
    _making = threading.Lock()
    _model.cache_clear()
    _loop.cache_clear()


os.register_at_fork(after_in_child=_forget)
