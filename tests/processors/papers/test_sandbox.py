"""The simulated providers under their official SDKs: answers, whole and streamed."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel, Field

from processors.papers.sandbox import KEYS
from tests.processors.papers.sandbox import ProvidersControl
from tests.processors.papers.sdks import Sdks

PAPER = (
    "Bees that are given caffeine remember flowers better. We trained 40 honeybees on two scents for a week. "
    "After three days the bees that drank caffeine recognised the scent three times as often. "
    "The study is limited to one colony and one season."
)


class Finding(BaseModel):
    statement: str
    confidence: float = Field(ge=0, le=1)


class Review(BaseModel):
    summary: str
    findings: list[Finding] = Field(min_length=1, max_length=2)
    keywords: list[str]
    score: int = Field(ge=0, le=5)


@pytest.fixture
def sdks(sandbox: ProvidersControl) -> Iterator[Sdks]:
    made = Sdks(sandbox.url)
    yield made
    made.close()


def test_openai_answers_a_chat_with_what_the_schema_asks_for(sdks: Sdks, sandbox: ProvidersControl) -> None:
    raw = sdks.openai.chat.completions.with_raw_response.parse(
        model="gpt-5.1", messages=[{"role": "user", "content": PAPER}], response_format=Review
    )
    answer = raw.parse()
    review = answer.choices[0].message.parsed
    assert review
    assert review.summary in PAPER
    assert (len(review.findings), len(set(review.keywords))) == (2, 3)
    assert answer.choices[0].finish_reason == "stop"
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["x-ratelimit-remaining-requests"] == "3999"
    received = sandbox.received("openai")
    assert answer.usage
    assert received["tokens"] == {"input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens}
    assert (received["total"], received["requests"][0]["request_id"]) == (1, raw.headers["x-request-id"])


def test_the_same_paper_gets_the_same_answer_and_another_from_another_provider(sdks: Sdks) -> None:
    def review(client: Any, model: str) -> str:
        messages = [{"role": "user", "content": PAPER}]
        answer = client.chat.completions.parse(model=model, messages=messages, response_format=Review)
        return str(answer.choices[0].message.content)

    first = review(sdks.openai, "gpt-5.1")
    assert first == review(sdks.openai, "gpt-5.1")
    assert first != review(sdks.xai, "grok-4")


def test_openai_answers_with_a_tool(sdks: Sdks) -> None:
    tool: Any = {
        "type": "function",
        "function": {"name": "final_result", "parameters": Review.model_json_schema(), "description": ""},
    }
    ask: Any = {"model": "gpt-5.1", "messages": [{"role": "user", "content": PAPER}], "tools": [tool]}
    (choice,) = sdks.openai.chat.completions.create(**ask, tool_choice="required").choices
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert Review.model_validate_json(call.function.arguments).summary in PAPER
    with sdks.openai.chat.completions.stream(**ask) as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls or []
    assert [call.function.arguments for call in streamed] == [call.function.arguments]


def test_openai_streams_a_chat(sdks: Sdks) -> None:
    with sdks.openai.chat.completions.stream(
        model="gpt-5.1",
        messages=[{"role": "user", "content": PAPER}],
        response_format=Review,
        stream_options={"include_usage": True},
    ) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        answer = stream.get_final_completion()
    assert len(pieces) > 3
    assert answer.choices[0].message.parsed == Review.model_validate_json("".join(pieces))
    assert answer.usage
    assert answer.usage.completion_tokens > 0


def test_openai_answers_and_streams_responses(sdks: Sdks) -> None:
    answer = sdks.openai.responses.parse(model="gpt-5.1", input=PAPER, text_format=Review)
    assert (answer.status, answer.output_parsed is not None) == ("completed", True)
    with sdks.openai.responses.stream(model="gpt-5.1", input=PAPER, text_format=Review) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        streamed = stream.get_final_response()
    assert len(pieces) > 3
    assert streamed.output_parsed == answer.output_parsed
    assert streamed.usage == answer.usage


def test_openai_calls_a_tool_in_responses(sdks: Sdks) -> None:
    tool: Any = {"type": "function", "name": "final_result", "parameters": Review.model_json_schema(), "strict": False}
    (call,) = sdks.openai.responses.create(model="gpt-5.1", input=PAPER, tools=[tool]).output
    assert call.type == "function_call"
    with sdks.openai.responses.stream(model="gpt-5.1", input=PAPER, tools=[tool]) as stream:
        (streamed,) = stream.get_final_response().output
    assert streamed.type == "function_call"
    assert streamed.arguments == call.arguments


def test_a_strict_schema_must_name_every_field(sandbox: ProvidersControl) -> None:
    shape = {"name": "Review", "strict": True, "schema": Review.model_json_schema()}
    answer = sandbox.http.post(
        f"{sandbox.url}/openai/v1/chat/completions",
        headers={"Authorization": f"Bearer {KEYS['openai']}"},
        json={
            "model": "gpt-5.1",
            "messages": [{"role": "user", "content": PAPER}],
            "response_format": {"type": "json_schema", "json_schema": shape},
        },
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json_schema")


def test_anthropic_answers_with_what_the_schema_asks_for(sdks: Sdks) -> None:
    ask: Any = {"model": "claude-sonnet-5-5", "max_tokens": 2000, "messages": [{"role": "user", "content": PAPER}]}
    answer = sdks.anthropic.messages.parse(**ask, output_format=Review)
    assert answer.parsed_output
    assert answer.parsed_output.score in range(6)
    assert (answer.stop_reason, answer.usage.output_tokens > 0) == ("end_turn", True)
    raw = sdks.anthropic.messages.with_raw_response.create(**ask)
    assert raw.headers["request-id"].startswith("req_")
    assert raw.headers["anthropic-ratelimit-requests-remaining"] == "3998"


def test_anthropic_takes_its_key_in_either_header(sandbox: ProvidersControl) -> None:
    body = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": PAPER}]}
    statuses = [
        sandbox.http.post(
            f"{sandbox.url}/anthropic/v1/messages?beta=true",
            headers={"anthropic-version": "2023-06-01", **header},
            json=body,
        ).status_code
        for header in (
            {"x-api-key": KEYS["anthropic"]},
            {"Authorization": f"Bearer {KEYS['anthropic']}"},
            {"x-api-key": "wrong"},
            {"Authorization": "Bearer wrong"},
            {},
        )
    ]
    assert statuses == [200, 200, 401, 401, 401]


def test_anthropic_answers_and_streams_with_a_tool(sdks: Sdks) -> None:
    ask: Any = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 2000,
        "messages": [{"role": "user", "content": PAPER}],
        "tools": [{"name": "final_result", "input_schema": Review.model_json_schema()}],
        "tool_choice": {"type": "any"},
    }
    answer = sdks.anthropic.messages.create(**ask)
    (call,) = answer.content
    assert answer.stop_reason == "tool_use"
    assert call.type == "tool_use"
    with sdks.anthropic.messages.stream(**ask) as stream:
        streamed = stream.get_final_message()
    (told,) = streamed.content
    assert told.type == "tool_use"
    assert told.input == call.input
    assert Review.model_validate(told.input).summary in PAPER
    assert streamed.usage.output_tokens == answer.usage.output_tokens


def test_anthropic_streams_a_text(sdks: Sdks) -> None:
    with sdks.anthropic.messages.stream(
        model="claude-sonnet-5-5", max_tokens=2000, messages=[{"role": "user", "content": PAPER}]
    ) as stream:
        assert "".join(stream.text_stream) in PAPER


def test_gemini_answers_and_streams_what_the_schema_asks_for(sdks: Sdks) -> None:
    ask: Any = {
        "model": "gemini-3-flash",
        "contents": PAPER,
        "config": {"response_mime_type": "application/json", "response_json_schema": Review.model_json_schema()},
    }
    answer = sdks.gemini.models.generate_content(**ask)
    assert isinstance(answer.text, str)
    review = Review.model_validate_json(answer.text)
    assert review.summary in PAPER
    assert answer.usage_metadata
    assert answer.usage_metadata.prompt_token_count
    chunks = list(sdks.gemini.models.generate_content_stream(**ask))
    assert len(chunks) > 3
    assert Review.model_validate_json("".join(chunk.text or "" for chunk in chunks)) == review


def test_gemini_takes_its_own_form_of_schema_and_calls_functions(sdks: Sdks) -> None:
    config: Any = {"response_mime_type": "application/json", "response_schema": Review}
    answer = sdks.gemini.models.generate_content(model="gemini-3-flash", contents=PAPER, config=config)
    assert isinstance(answer.parsed, Review)
    function = {"name": "final_result", "parameters_json_schema": Review.model_json_schema()}
    config = {"tools": [{"function_declarations": [function]}]}
    answer = sdks.gemini.models.generate_content(model="gemini-3-flash", contents=PAPER, config=config)
    (call,) = answer.function_calls or []
    assert Review.model_validate(call.args).summary in PAPER


def test_an_answer_may_not_be_longer_than_was_allowed(sdks: Sdks) -> None:
    answer = sdks.openai.chat.completions.create(
        model="gpt-5.1", messages=[{"role": "user", "content": PAPER}], max_completion_tokens=5
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage
    assert answer.usage.completion_tokens == 5


def test_what_was_received_is_told_and_forgotten(sandbox: ProvidersControl, sdks: Sdks) -> None:
    sdks.openai.chat.completions.create(model="gpt-5.1", messages=[{"role": "user", "content": PAPER}])
    everything = httpx2.get(f"{sandbox.url}/_received").json()
    assert {name: told["total"] for name, told in everything.items()} == {
        "openai": 1, "xai": 0, "compatible": 0, "anthropic": 0, "gemini": 0,
    }  # fmt: skip
    (request,) = everything["openai"]["requests"]
    assert (request["model"], request["text"], request["status"]) == ("gpt-5.1", PAPER, 200)
    assert KEYS["openai"] not in json.dumps(everything)
    sandbox.forget()
    assert sandbox.received("openai")["total"] == 0
