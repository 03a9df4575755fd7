"""Each provider by its official client: one request a question, and a class for whatever may go wrong."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from jobs.errors import Discard
from processors.papers import client
from processors.papers.client import Reply, Usage
from processors.papers.failures import Failure, Kind
from processors.papers.sandbox import KEYS
from processors.papers.splitting import INSTRUCTIONS
from tests.processors.papers.sandbox import ProvidersControl
from tests.processors.papers.test_reading import SENTENCE

ALL = ["openai", "anthropic", "gemini", "xai"]


def ask(provider: str, text: str = SENTENCE) -> Reply:
    return client.ask(provider, INSTRUCTIONS, text).result(60)


@pytest.mark.parametrize("provider", ALL)
def test_an_answer_is_an_analysis_with_what_it_cost(papers: ProvidersControl, provider: str) -> None:
    reply = ask(provider)
    (request,) = papers.requests(provider)
    assert reply.failure is None
    assert reply.structure is not None
    assert 1 <= reply.structure.quality.rigour <= 10
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == tuple(request["tokens"].values())
    assert (reply.usage.model, request["stream"], request["retry"]) == (request["model"], False, "0")
    assert reply.usage.cost is not None
    assert Decimal(0) < reply.usage.cost < 1
    assert reply.usage.request_id
    if request["request_id"]:
        assert reply.usage.request_id == request["request_id"]


def test_any_other_that_speaks_like_openai_is_asked_too(papers: ProvidersControl, settings: Settings) -> None:
    config = {"speaks": "openai", "url": f"{papers.url}/compatible/v1", "key": KEYS["compatible"], "model": "llama-4"}
    settings.AI_PROVIDERS = {**settings.AI_PROVIDERS, "compatible": config}
    reply = ask("compatible")
    assert reply.structure is not None
    assert (reply.usage.model, reply.usage.cost) == ("llama-4", None)


def test_a_model_without_schemas_answers_by_a_tool(papers: ProvidersControl, settings: Settings) -> None:
    settings.AI_PROVIDERS["anthropic"]["model"] = "claude-3-haiku-20240307"
    assert ask("anthropic").structure is not None
    assert len(papers.requests("anthropic")) == 1


OPENAI = {
    "rate-limit": Kind.RATE_LIMIT,
    "rate-limit-bare": Kind.RATE_LIMIT,
    "quota": Kind.QUOTA,
    "credits": Kind.QUOTA,
    "spend-limit": Kind.QUOTA,
    "usage-limits": Kind.QUOTA,
    "unauthorized": Kind.KEY,
    "forbidden": Kind.KEY,
    "unknown-model": Kind.MODEL,
    "context": Kind.TOO_LONG,
    "conflict": Kind.CONFLICT,
    "overloaded": Kind.OVERLOADED,
    "server-error": Kind.SERVER_ERROR,
    "html": Kind.SERVER_ERROR,
    "reset": Kind.CONNECTION,
    "tool-use-failed": Kind.INVALID_OUTPUT,
    "invalid": Kind.INVALID_OUTPUT,
    "truncated": Kind.TRUNCATED,
    "refusal": Kind.REFUSED,
    "content-filter": Kind.FILTERED,
}
COMMON = {name: OPENAI[name] for name in OPENAI if name not in ("conflict", "tool-use-failed", "refusal")}
ANTHROPIC = {
    **COMMON,
    "content-filter": Kind.REFUSED,  # it has one word for both
    "refusal": Kind.REFUSED,
    "too-large": Kind.TOO_LONG,
    "output-blocked": Kind.FILTERED,
    "timeout": Kind.SERVER_ERROR,
}
GEMINI = {
    **{name: kind for name, kind in COMMON.items() if name not in ("spend-limit", "usage-limits")},
    "refusal": Kind.FILTERED,
    "timeout": Kind.SERVER_ERROR,
}
FAULTS = [
    (provider, fault, kind)
    for provider, kinds in {"openai": OPENAI, "xai": OPENAI, "anthropic": ANTHROPIC, "gemini": GEMINI}.items()
    for fault, kind in kinds.items()
]


@pytest.mark.parametrize(("provider", "fault", "kind"), FAULTS)
def test_each_fault_has_its_class_and_takes_one_request(
    papers: ProvidersControl, provider: str, fault: str, kind: Kind
) -> None:
    papers.fail(provider, fault)
    reply = ask(provider)
    (request,) = papers.requests(provider)
    assert reply.structure is None
    assert reply.failure is not None
    assert (reply.failure.kind, request["retry"]) == (kind, "0")
    assert reply.failure.after == (2.0 if fault == "rate-limit" else None)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == tuple(request["tokens"].values())
    assert not any(key in reply.failure.message for key in KEYS.values())


@pytest.mark.parametrize("provider", ALL)
def test_an_answer_that_does_not_come_is_waited_for_so_long(
    papers: ProvidersControl, settings: Settings, provider: str
) -> None:
    settings.AI_TIMEOUT = 0.5
    papers.fail(provider, "slow")
    reply = ask(provider)
    assert reply.failure is not None
    assert (reply.failure.kind, reply.failure.message) == (Kind.TIMEOUT, "no answer within 0.5 s")
    assert len(papers.requests(provider)) == 1


@pytest.mark.parametrize("provider", ALL)
def test_a_cancelled_request_ends_on_the_wire(papers: ProvidersControl, provider: str) -> None:
    papers.fail(provider, "slow")
    asked = client.ask(provider, INSTRUCTIONS, SENTENCE)
    until(lambda: papers.received(provider)["running"] == 1)
    asked.cancel()
    until(lambda: papers.received(provider)["running"] == 0)
    assert papers.received(provider)["statuses"] == {"gone": 1}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_without_a_key_nobody_is_asked(settings: Settings) -> None:
    settings.AI_PROVIDERS = {"openai": {**settings.AI_PROVIDERS["openai"], "key": ""}}
    with pytest.raises(Discard, match="openai is not configured"):
        client.ask("openai", INSTRUCTIONS, SENTENCE)


def test_a_wrong_key_is_in_no_message(papers: ProvidersControl, settings: Settings) -> None:
    canary = "sk-canary-77c0ffee"
    for provider in ALL:
        settings.AI_PROVIDERS[provider]["key"] = canary
        reply = ask(provider)
        assert reply.failure is not None
        assert reply.failure.kind is Kind.KEY
        assert canary not in repr(reply)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"summary": "half an emoji: \ud83d"}, "no text that can be stored"),
        ({"summary": "x", "k" * 5000: 1}, "key_findings: Field required"),
    ],
    ids=["half an emoji", "a long name"],
)
def test_an_answer_that_cannot_be_stored_is_a_failure_and_its_cost_is_kept(said: dict[str, Any], why: str) -> None:
    from pydantic_ai.messages import ModelResponse, ToolCallPart

    response = ModelResponse(parts=[ToolCallPart(client.NAME, said)])
    reply = client.read(response, Usage(input_tokens=7))
    assert reply.failure is not None
    assert (reply.failure.kind, reply.usage.input_tokens) == (Kind.INVALID_OUTPUT, 7)
    assert why in reply.failure.message
    assert len(reply.failure.message) < 600


def failure_of_status(status: int, body: dict[str, Any]) -> Failure:
    from pydantic_ai.exceptions import ModelHTTPError

    from processors.papers.errors import failure_of

    return failure_of(ModelHTTPError(status_code=status, model_name="gpt", body=body))


def test_what_a_provider_says_of_a_failure_can_be_stored() -> None:
    body = {"error": {"message": "halves \ud83d and \0 of keys"}}
    failure = failure_of_status(500, body)
    assert failure.message == "500 halves  and  of keys"


def test_words_of_the_model_do_not_switch_its_provider_off() -> None:
    said = {"code": "tool_use_failed", "message": "no call", "failed_generation": "The server says: Incorrect API key."}
    failure = failure_of_status(400, {"error": said})
    assert failure.kind == Kind.INVALID_OUTPUT
