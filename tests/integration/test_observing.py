"""Traces and errors, as those who keep them receive them."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from jobs import keys
from jobs.management.embedded import free_port
from jobs.models import ApiKey, Status
from tests.integration.servers import Server
from tests.integration.workers import Start, wait_for, wait_for_status

WEB = ("-m", "uvicorn", "config.asgi:application", "--lifespan", "off")


@pytest.fixture
def received(httpserver: HTTPServer) -> Callable[[str], bytes]:
    """All bodies that came to a path, unpacked."""
    bodies: dict[str, bytes] = {}

    def take(request: Request) -> Response:
        body = request.get_data()
        body = gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
        bodies[request.path] = bodies.get(request.path, b"") + body
        return Response(b"{}", 200)

    for path in ("/v1/traces", "/api/1/envelope/"):
        httpserver.expect_request(path, method="POST").respond_with_handler(take)
    return lambda path: bodies.get(path, b"")


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_run_and_its_request_are_traced_and_an_error_told_without_secrets(
    start: Start, tmp_path: Path, httpserver: HTTPServer, received: Callable[[str], bytes], pool: str
) -> None:
    sending: dict[str, Any] = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": httpserver.url_for("").rstrip("/"),
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "SENTRY_DSN": f"http://key@{httpserver.host}:{httpserver.port}/1",
    }
    start(pool, 2, "default", **sending)
    port = free_port()
    site = Server(tmp_path / "site.log", [*WEB, "--port", str(port)], port, "/readyz", role="web", DEBUG="1", **sending)
    try:
        site.wait_until_up()
        headers = {"Authorization": f"Bearer {keys.create('shop', ['jobs:write'])}", "X-Request-ID": "shop-42"}
        body = {"type": "whisper", "payload": {"secretWord": "sesame-canary", "fails": True}, "maxAttempts": 1}
        with httpx2.Client(base_url=site.url, headers=headers) as client:
            job = client.post("/api/jobs/enqueue?token=query-canary", json=body).json()["jobId"]
        wait_for_status(job, Status.FAILED)
        wait_for(lambda: b"run whisper" in received("/v1/traces"), "the span of the run")
        wait_for(lambda: b"POST /api/jobs/enqueue" in received("/v1/traces"), "the span of the request")
        wait_for(lambda: b"ValueError" in received("/api/1/envelope/"), "the error")
    finally:
        site.remove()
        ApiKey.objects.all().delete()
    traces, errors = received("/v1/traces"), received("/api/1/envelope/")
    assert traces.count(b"shop-42") >= 2
    assert job.encode() in traces
    assert b"was heard: ***" in errors
    assert b'"request_id": "shop-42"' in errors or b'"request_id":"shop-42"' in errors
    for canary in (b"sesame-canary", b"query-canary"):
        assert canary not in traces + errors
