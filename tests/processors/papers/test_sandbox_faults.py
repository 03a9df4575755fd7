"""What goes wrong at the simulated providers, as their official SDKs tell of it."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from processors.papers.sandbox import KEYS
from tests.processors.papers.sandbox import ProvidersControl
from tests.processors.papers.sdks import Sdks, error

ASK = {"role": "user", "content": "Bees that are given caffeine remember flowers better."}


@pytest.fixture
def sdks(sandbox: ProvidersControl) -> Iterator[Sdks]:
    made = Sdks(sandbox.url)
    yield made
    made.close()


def chat(sdks: Sdks, **more: Any) -> Any:
    return sdks.openai.chat.completions.create(model="gpt-5.1", messages=[ASK], **more)  # type: ignore[list-item]


def message(sdks: Sdks, **more: Any) -> Any:
    return sdks.anthropic.messages.create(model="claude-sonnet-5-5", max_tokens=500, messages=[ASK], **more)  # type: ignore[list-item]


def generate(sdks: Sdks, **more: Any) -> Any:
    return sdks.gemini.models.generate_content(model="gemini-3-flash", contents=ASK["content"], **more)


@pytest.mark.parametrize(
    ("fault", "kind", "status", "code"),
    [
        ("rate-limit", "openai.RateLimitError", 429, "rate_limit_exceeded"),
        ("rate-limit-bare", "openai.RateLimitError", 429, "rate_limit_exceeded"),
        ("quota", "openai.RateLimitError", 429, "insufficient_quota"),
        ("credits", "openai.RateLimitError", 429, "credit_balance_exhausted"),
        ("spend-limit", "openai.RateLimitError", 429, "organization_spend_limit_exceeded"),
        ("usage-limits", "openai.RateLimitError", 429, "organization_usage_limit_exceeded"),
        ("unauthorized", "openai.AuthenticationError", 401, "invalid_api_key"),
        ("forbidden", "openai.PermissionDeniedError", 403, "unsupported_country_region_territory"),
        ("unknown-model", "openai.NotFoundError", 404, "model_not_found"),
        ("context", "openai.BadRequestError", 400, "context_length_exceeded"),
        ("tool-use-failed", "openai.BadRequestError", 400, "tool_use_failed"),
        ("conflict", "openai.ConflictError", 409, None),
        ("server-error", "openai.InternalServerError", 500, None),
        ("overloaded", "openai.InternalServerError", 503, "server_is_overloaded"),
        ("html", "openai.InternalServerError", 502, None),
    ],
)
def test_openais_errors(
    sdks: Sdks, sandbox: ProvidersControl, fault: str, kind: str, status: int, code: str | None
) -> None:
    sandbox.fail("openai", fault)
    with pytest.raises(error(kind)) as refused:
        chat(sdks)
    assert (refused.value.status_code, refused.value.code) == (status, code)
    assert refused.value.request_id == sandbox.requests("openai")[0]["request_id"]
    assert refused.value.response.headers.get("retry-after") == ("2" if fault == "rate-limit" else None)
    assert chat(sdks).choices  # one fault, one request


@pytest.mark.parametrize(
    ("fault", "kind", "status", "type_", "words"),
    [
        ("rate-limit", "anthropic.RateLimitError", 429, "rate_limit_error", "50 requests per minute"),
        ("spend-limit", "anthropic.RateLimitError", 429, "rate_limit_error", "Spend limit"),
        ("quota", "anthropic.BadRequestError", 400, "invalid_request_error", "credit balance is too low"),
        ("usage-limits", "anthropic.BadRequestError", 400, "invalid_request_error", "specified API usage limits"),
        ("credits", "anthropic.APIStatusError", 402, "billing_error", "billing"),
        ("unauthorized", "anthropic.AuthenticationError", 401, "authentication_error", "invalid x-api-key"),
        ("forbidden", "anthropic.PermissionDeniedError", 403, "permission_error", "permission"),
        ("unknown-model", "anthropic.NotFoundError", 404, "not_found_error", "model: claude-sonnet-5-5"),
        ("context", "anthropic.BadRequestError", 400, "invalid_request_error", "prompt is too long"),
        ("output-blocked", "anthropic.BadRequestError", 400, "invalid_request_error", "content filtering"),
        ("too-large", "anthropic.APIStatusError", 413, "request_too_large", "maximum size"),
        ("server-error", "anthropic.InternalServerError", 500, "api_error", "Internal"),
        ("timeout", "anthropic.InternalServerError", 504, "timeout_error", "timed out"),
        ("overloaded", "anthropic.InternalServerError", 529, "overloaded_error", "Overloaded"),
    ],
)
def test_anthropics_errors(
    sdks: Sdks,
    sandbox: ProvidersControl,
    fault: str,
    kind: str,
    status: int,
    type_: str,
    words: str,
) -> None:
    sandbox.fail("anthropic", fault)
    with pytest.raises(error(kind), match=words) as refused:
        message(sdks)
    body: Any = refused.value.body
    assert (refused.value.status_code, body["error"]["type"]) == (status, type_)
    assert body["error"].get("details") == (
        {"error_code": "enforced_spend_limit_reached"} if fault == "spend-limit" else None
    )
    assert refused.value.response.headers.get("retry-after") == ("2" if fault == "rate-limit" else None)


@pytest.mark.parametrize(
    ("fault", "kind", "code", "status"),
    [
        ("rate-limit", "google.genai.errors.ClientError", 429, "RESOURCE_EXHAUSTED"),
        ("quota", "google.genai.errors.ClientError", 429, "RESOURCE_EXHAUSTED"),
        ("credits", "google.genai.errors.ClientError", 402, "FAILED_PRECONDITION"),
        ("unauthorized", "google.genai.errors.ClientError", 400, "INVALID_ARGUMENT"),
        ("forbidden", "google.genai.errors.ClientError", 403, "PERMISSION_DENIED"),
        ("unknown-model", "google.genai.errors.ClientError", 404, "NOT_FOUND"),
        ("context", "google.genai.errors.ClientError", 400, "INVALID_ARGUMENT"),
        ("server-error", "google.genai.errors.ServerError", 500, "INTERNAL"),
        ("overloaded", "google.genai.errors.ServerError", 503, "UNAVAILABLE"),
        ("timeout", "google.genai.errors.ServerError", 504, "DEADLINE_EXCEEDED"),
    ],
)
def test_geminis_errors(sdks: Sdks, sandbox: ProvidersControl, fault: str, kind: str, code: int, status: str) -> None:
    sandbox.fail("gemini", fault)
    with pytest.raises(error(kind)) as refused:
        generate(sdks)
    assert (refused.value.code, refused.value.status) == (code, status)
    details: Any = refused.value.details
    told = {detail["@type"].rsplit(".", 1)[-1]: detail for detail in details["error"].get("details", [])}
    assert told.get("RetryInfo", {}).get("retryDelay") == ("2s" if fault == "rate-limit" else None)
    assert told.get("ErrorInfo", {}).get("reason") == ("API_KEY_INVALID" if fault == "unauthorized" else None)


def test_wrong_keys_are_refused_in_each_ones_way(sandbox: ProvidersControl) -> None:
    sdks = Sdks(sandbox.url)
    for name, kind in (("openai", "openai.AuthenticationError"), ("xai", "openai.BadRequestError")):
        with sdks.compatible(name, "wrong") as client, pytest.raises(error(kind)) as refused:
            client.chat.completions.create(model="any", messages=[ASK])  # type: ignore[list-item]
        assert "Incorrect API key provided: wro***" in refused.value.response.text
    body = {"contents": [{"parts": [{"text": "Bees."}]}]}
    url = f"{sandbox.url}/gemini/v1beta/models/gemini-3-flash:generateContent"
    answers = [sandbox.http.post(f"{url}{key}", json=body) for key in ("", "?key=wrong", f"?key={KEYS['gemini']}")]
    assert [answer.status_code for answer in answers] == [403, 400, 200]


def test_what_is_no_model_of_theirs_is_unknown(sdks: Sdks) -> None:
    with pytest.raises(error("openai.NotFoundError"), match="claude-1"):
        sdks.openai.chat.completions.create(model="claude-1", messages=[ASK])  # type: ignore[list-item]
    with pytest.raises(error("openai.BadRequestError")) as refused:
        sdks.openai.responses.create(model="claude-1", input="Bees.")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_a_compatible_one_may_say_that_another_is_busy(sandbox: ProvidersControl) -> None:
    sandbox.fail("compatible", "rate-limit-bare")
    with Sdks(sandbox.url).compatible("compatible") as client, pytest.raises(error("openai.RateLimitError")) as refused:
        client.chat.completions.create(model="any", messages=[ASK])  # type: ignore[list-item]
    assert refused.value.response.json()["error"]["code"] == 429


@pytest.mark.parametrize(
    ("fault", "finish", "anthropics", "geminis"),
    [
        ("refusal", "stop", "refusal", None),
        ("truncated", "length", "max_tokens", "MAX_TOKENS"),
        ("content-filter", "content_filter", "refusal", "SAFETY"),
    ],
)
def test_answers_that_are_not_whole(
    sdks: Sdks, sandbox: ProvidersControl, fault: str, finish: str, anthropics: str, geminis: str | None
) -> None:
    for provider in ("openai", "anthropic", "gemini"):
        sandbox.fail(provider, fault)
    (choice,) = chat(sdks).choices
    assert (choice.finish_reason, bool(choice.message.refusal)) == (finish, fault == "refusal")
    assert message(sdks).stop_reason == anthropics
    generated = generate(sdks)
    if geminis is None:
        assert generated.prompt_feedback.block_reason == "PROHIBITED_CONTENT"
        assert generated.candidates is None
    else:
        assert generated.candidates[0].finish_reason == geminis


@pytest.mark.parametrize(
    ("fault", "reason"), [("truncated", "max_output_tokens"), ("content-filter", "content_filter")]
)
def test_a_response_that_is_incomplete_says_why(sdks: Sdks, sandbox: ProvidersControl, fault: str, reason: str) -> None:
    sandbox.fail("openai", fault)
    answer = sdks.openai.responses.create(model="gpt-5.1", input="Bees.")
    assert answer.incomplete_details
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", reason)


def test_a_limit_of_requests_a_minute_is_kept(sdks: Sdks, sandbox: ProvidersControl) -> None:
    sandbox.control("openai", per_minute=2, retry_after=7).raise_for_status()
    chat(sdks)
    chat(sdks)
    with pytest.raises(error("openai.RateLimitError")) as refused:
        chat(sdks)
    assert refused.value.response.headers["retry-after"] == "7"
    assert refused.value.response.headers["x-ratelimit-remaining-requests"] == "0"


def test_a_text_that_does_not_fit_is_refused(sdks: Sdks, sandbox: ProvidersControl) -> None:
    sandbox.control("anthropic", context=10).raise_for_status()
    with pytest.raises(error("anthropic.BadRequestError"), match=r"prompt is too long: \d+ tokens > 10 maximum"):
        message(sdks)


def test_an_error_in_the_middle_of_a_stream(sdks: Sdks, sandbox: ProvidersControl) -> None:
    for provider in ("openai", "anthropic", "gemini"):
        sandbox.fail(provider, "stream-error")
    with pytest.raises(error("openai.APIError"), match="The server had an error"):
        list(chat(sdks, stream=True))
    with pytest.raises(error("anthropic.APIStatusError"), match="Overloaded"):
        list(message(sdks, stream=True))
    with pytest.raises(error("google.genai.errors.ServerError")):
        list(sdks.gemini.models.generate_content_stream(model="gemini-3-flash", contents="Bees."))


def test_a_connection_that_is_dropped(sdks: Sdks, sandbox: ProvidersControl) -> None:
    sandbox.fail("openai", "reset", "stream-reset")
    with pytest.raises(error("openai.APIConnectionError")):
        chat(sdks)
    with pytest.raises((error("openai.APIConnectionError"), httpx2.HTTPError)):
        list(chat(sdks, stream=True))
    assert sandbox.received("openai")["statuses"] == {"reset": 1, "200": 1}


def test_an_answer_that_is_slow_and_a_client_that_leaves(sdks: Sdks, sandbox: ProvidersControl) -> None:
    sandbox.fail("openai", "slow")
    with pytest.raises(error("openai.APITimeoutError")):
        chat(sdks, timeout=0.5)
    deadline = time.monotonic() + 30
    while sandbox.received("openai")["running"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sandbox.received("openai")["statuses"] == {"gone": 1}


def test_requests_at_the_same_time_are_counted(sdks: Sdks, sandbox: ProvidersControl) -> None:
    sandbox.control("openai", latency_ms=1000).raise_for_status()
    threads = [threading.Thread(target=chat, args=(sdks,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sandbox.received("openai")["busiest"] == 3


def test_a_paper_may_name_its_fault(sdks: Sdks) -> None:
    ask = {"role": "user", "content": "A text about sandbox:openai:overloaded and sandbox:anthropic:refusal."}
    with pytest.raises(error("openai.InternalServerError")):
        sdks.openai.chat.completions.create(model="gpt-5.1", messages=[ask])  # type: ignore[list-item]
    refused = sdks.anthropic.messages.create(model="claude-sonnet-5-5", max_tokens=500, messages=[ask])  # type: ignore[list-item]
    assert refused.stop_reason == "refusal"


@pytest.mark.parametrize("wanted", [{"fault": "flood"}, {"faults": ["flood"]}, {"count": "many"}, {"latency_ms": None}])
def test_a_wrong_control_is_refused_and_changes_nothing(sandbox: ProvidersControl, wanted: dict[str, Any]) -> None:
    answer = sandbox.control("gemini", **wanted)
    assert answer.status_code == 400
    assert "overloaded" in answer.json()["faults"]
    assert sandbox.control("gemini").json() == {
        "faults": [],
        "latency_ms": 0,
        "retry_after": 2,
        "per_minute": 4000,
        "context": 1_048_576,
    }


def test_other_paths_are_not_found(sandbox: ProvidersControl) -> None:
    headers = {"Authorization": f"Bearer {KEYS['openai']}"}
    assert sandbox.http.get(f"{sandbox.url}/openai/v1/files", headers=headers).status_code == 404
    assert sandbox.http.get(f"{sandbox.url}/mistral/v1/chat/completions").status_code == 404
