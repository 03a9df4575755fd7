"""What `GET /api/jobs/{id}/events` and `/log` answer; how a stream goes on is tested with real processes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import AsyncClient, Client

from jobs import keys
from jobs.api import api as jobs_api
from jobs.models import ApiKey, LogLine, Status
from jobs.tokens import read_token
from tests.jobs.api.conftest import Api
from tests.jobs.rows import enqueued, job_in


def log(job: UUID, *messages: str) -> list[int]:
    made = [LogLine.objects.create(job=job, run=1, level=20, message=message) for message in messages]
    return [line.id for line in made]


class TestTheLog:
    def test_is_read_page_by_page(self, api: Api) -> None:
        job = job_in(Status.COMPLETED)
        ids = log(job, "one", "two", "three")
        log(enqueued().id, "of another job")
        status, page = api.get(f"/api/jobs/{job}/log?limit=2")
        assert (status, page["next"]) == (200, ids[1])
        assert [(line["id"], line["run"], line["level"], line["message"]) for line in page["items"]] == [
            (ids[0], 1, "INFO", "one"),
            (ids[1], 1, "INFO", "two"),
        ]
        _, rest = api.get(f"/api/jobs/{job}/log?after={page['next']}")
        assert ([line["message"] for line in rest["items"]], rest["next"]) == (["three"], None)

    def test_of_a_job_that_wrote_none(self, api: Api) -> None:
        assert api.get(f"/api/jobs/{enqueued().id}/log") == (200, {"items": [], "next": None})

    def test_of_no_job(self, api: Api) -> None:
        assert api.get(f"/api/jobs/{uuid4()}/log")[0] == 404

    @pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=-1", "after=x", "after=9999999999999999999"])
    def test_with_wrong_numbers(self, api: Api, query: str) -> None:
        assert api.get(f"/api/jobs/{enqueued().id}/log?{query}")[0] == 422


@pytest.mark.parametrize("path", ["events", "log"])
class TestWhoMay:
    def test_nobody_without_credentials(self, anonymous: Api, path: str) -> None:
        assert anonymous.get(f"/api/jobs/{enqueued().id}/{path}")[0] == 401

    def test_nobody_with_a_key_for_something_else(self, db: None, path: str) -> None:
        writer = Api(keys.create("writer", [ApiKey.Scope.WRITE]))
        assert writer.get(f"/api/jobs/{enqueued().id}/{path}")[0] == 403


class TestReadTokens:
    def test_show_the_job(self, anonymous: Api, api: Api) -> None:
        job = job_in(Status.FAILED)
        for path in (f"/api/jobs/{job}", f"/api/jobs/status/{job}"):
            assert anonymous.get(f"{path}?token={read_token(job)}") == api.get(path)

    def test_show_no_other_job(self, anonymous: Api) -> None:
        job, other = enqueued().id, enqueued().id
        for path in ("", "/events"):
            assert anonymous.get(f"/api/jobs/{other}{path}?token={read_token(job)}")[0] == 403
        assert anonymous.get(f"/api/jobs/x?token={read_token(job)}")[0] == 403

    def test_end(self, anonymous: Api) -> None:
        job = enqueued().id
        for token in (read_token(job, ttl_seconds=-1), "x", ""):
            assert anonymous.get(f"/api/jobs/{job}/events?token={token}")[0] == 401

    def test_that_are_wrong_are_refused_beside_a_good_key(self, api: Api) -> None:
        assert api.get(f"/api/jobs/{enqueued().id}?token=x")[0] == 401

    def test_do_not_show_who_did_what_and_where(self, anonymous: Api) -> None:
        job = enqueued().id
        assert anonymous.get(f"/api/jobs/{job}?include=history&token={read_token(job)}")[0] == 403

    def test_are_good_for_nothing_else(self, anonymous: Api) -> None:
        job = enqueued().id
        token = read_token(job)
        assert anonymous.get(f"/api/jobs/{job}/log?token={token}")[0] == 401
        assert anonymous.delete(f"/api/jobs/{job}?token={token}")[0] == 401
        assert anonymous.post(f"/api/jobs/{job}/retry?token={token}")[0] == 401
        assert anonymous.get(f"/api/jobs?token={token}")[0] == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("uncollected")
class TestTheStream:
    def follow(self, job: UUID, *, headers: dict[str, str] | None = None, **query: Any) -> list[tuple[str, Any]]:
        """The events of a job that has ended, with what they say."""

        async def read() -> str:
            response = await AsyncClient().get(f"/api/jobs/{job}/events", query, headers=headers or {})
            assert response.status_code == 200
            assert response["Content-Type"] == "text/event-stream; charset=utf-8"
            assert (response["Cache-Control"], response["X-Accel-Buffering"]) == ("no-store", "no")
            content: Any = response.streaming_content  # type: ignore[attr-defined]
            return b"".join([part async for part in content]).decode()

        blocks = [block.split("\n") for block in _run(read).split("\n\n") if "event: " in block]
        fields = [dict(line.split(": ", 1) for line in block) for block in blocks]
        return [(block["event"], json.loads(block["data"])) for block in fields]

    def test_of_a_job_that_has_ended(self) -> None:
        job = job_in(Status.FAILED)
        ids = log(job, "one", "two")
        headers = {"Authorization": f"Bearer {keys.create('reader', [ApiKey.Scope.READ])}"}
        told = self.follow(job, headers=headers)
        assert [name for name, _ in told] == ["log", "log", "job"]
        assert told[-1][1] == Client(headers=headers).get(f"/api/jobs/{job}").json()
        assert told[-1][1]["error"] == "the set fell down"
        assert self.follow(job, headers=headers, after=ids[0]) == told[1:]
        assert self.follow(job, headers={**headers, "Last-Event-ID": str(ids[1])}) == told[2:]
        assert self.follow(job, headers={**headers, "Last-Event-ID": "what?"}) == told

    def test_for_who_has_a_token(self) -> None:
        job = job_in(Status.COMPLETED)
        log(job, "for the operators")
        ((name, data),) = self.follow(job, token=read_token(job))
        assert (name, data["status"]) == ("job", "completed")


def _run(read: Callable[[], Awaitable[str]]) -> str:
    async def within() -> str:
        async with asyncio.timeout(60):
            return await read()

    return asyncio.run(within())


def test_the_document_says_what_a_stream_is() -> None:
    responses = jobs_api.get_openapi_schema()["paths"]["/api/jobs/{jobId}/events"]["get"]["responses"]
    assert list(responses[200]["content"]) == ["text/event-stream"]
    assert {401, 403, 404} <= responses.keys()
