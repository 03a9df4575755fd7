"""What a query finds, as a file."""

import csv
import io
import json
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.test import AsyncClient, Client

from jobs.dashboard import export
from jobs.models import Status
from jobs.processor import enqueue
from jobs.search import pages
from jobs.sessions import plain_connection
from jobs.testing import perform
from tests.jobs.rows import enqueued, job_in


def read(answer: Any) -> str:
    text: str = answer.getvalue().decode()
    return text


def as_json(client: Client, query: str) -> Any:
    return json.loads(read(client.get("/jobs/export/json", {"q": query})))


def as_csv(client: Client, query: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(read(client.get("/jobs/export/csv", {"q": query})))))


def test_json(operator: Client) -> None:
    made = perform(enqueue("greet_guest", {"guestName": "Bob", "apiToken": "sesame"}, tags=["a"])).id
    job_in(Status.FAILED)
    answer = as_json(operator, "tag:a")
    assert (answer["query"], answer["truncated"], len(answer["jobs"])) == ("tag:a", False, 1)
    (job,) = answer["jobs"]
    assert list(job) == export.COLUMNS
    assert (job["id"], job["status"], job["tags"]) == (str(made), "completed", ["a"])
    assert job["payload"] == {"guestName": "Bob", "times": 1, "apiToken": "***"}
    assert job["result"] == {"text": "Hello Bob!"}
    assert job["run_seconds"] >= 0


def test_csv(operator: Client) -> None:
    perform(enqueue("greet_guest", {"guestName": "Bob", "apiToken": "sesame"}))
    failed = job_in(Status.FAILED)
    rows = as_csv(operator, "")
    assert {row["type"] for row in rows} == {"greet_guest", "improvise"}
    text = read(operator.get("/jobs/export/csv"))
    assert "sesame" not in text
    (broken,) = [row for row in rows if row["id"] == str(failed)]
    assert broken["error"] == "ValueError: the set fell down"
    assert broken["finished_at"].startswith("20")
    assert broken["tags"] == ""


def test_a_spreadsheet_runs_nothing(operator: Client) -> None:
    enqueued(unique_key="=1+2", type="@x")
    (row,) = as_csv(operator, "")
    assert (row["unique_key"], row["type"]) == ("'=1+2", "'@x")


def test_it_ends_somewhere_and_says_so(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST", 3)
    monkeypatch.setattr(export, "CHUNK", 2)
    ids = [enqueued().id for _ in range(4)]
    assert [UUID(job["id"]) for job in as_json(operator, "")["jobs"]] == ids[:0:-1]
    assert as_json(operator, "")["truncated"] is True
    lines = as_csv(operator, "")
    assert len(lines) == 4
    assert lines[-1]["id"] == "Only the first 3 jobs are here: there are more."
    monkeypatch.setattr(export, "MOST", 4)
    assert as_json(operator, "")["truncated"] is False
    assert len(as_csv(operator, "")) == 4


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["json", "csv"])
def test_it_says_so_too_when_it_turns_slow_on_the_way(
    operator: Client, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "CHUNK", 2)
    monkeypatch.setattr(pages, "PATIENCE", 300)
    for _ in range(5):
        enqueued()
    answer: Any = operator.get(f"/jobs/export/{kind}")
    chunks = answer.streaming_content
    begin = next(chunks) + (next(chunks) if kind == "json" else b"")
    other = plain_connection()
    try:
        other.set_autocommit(False)
        other.cursor().execute("LOCK TABLE jobs_job IN ACCESS EXCLUSIVE MODE")
        text = (begin + b"".join(chunks)).decode()
    finally:
        other.close()
    if kind == "json":
        assert (json.loads(text)["truncated"], len(json.loads(text)["jobs"])) == (True, 2)
    else:
        assert "Only the first 2 jobs are here: there are more." in text


def test_nothing_found(operator: Client) -> None:
    assert as_json(operator, "type:x") == {"query": "type:x", "jobs": [], "truncated": False}
    assert as_csv(operator, "type:x") == []


def test_who_and_what(operator: Client, as_staff: Any) -> None:
    answer = operator.get("/jobs/export/json")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="jobs-')
    assert as_staff("jobs.view_job").get("/jobs/export/csv").status_code == 200
    assert as_staff().get("/jobs/export/csv").status_code == 403
    assert Client().get("/jobs/export/csv").status_code == 302
    assert operator.get("/jobs/export/xml").status_code == 404
    wrong = operator.get("/jobs/export/csv", {"q": "colour:red"})
    assert (wrong.status_code, wrong.content[:11]) == (400, b"colour:red:")


def test_it_is_streamed_to_asgi(db: None, uncollected: None) -> None:
    user, job = User.objects.create_superuser("eve"), enqueued()

    async def read_all() -> bytes:
        client = AsyncClient()
        await client.aforce_login(user)
        answer: Any = await client.get("/jobs/export/json")
        return b"".join([part async for part in answer.streaming_content])

    assert [found["id"] for found in json.loads(async_to_sync(read_all)())["jobs"]] == [str(job.id)]


@pytest.mark.django_db(transaction=True)
def test_a_slow_reader_keeps_no_connection(uncollected: None) -> None:
    user, job = User.objects.create_superuser("eve"), enqueued()
    is_open = sync_to_async(lambda: connection.connection is not None)

    async def read_slowly() -> list[tuple[bytes, bool]]:
        client = AsyncClient()
        await client.aforce_login(user)
        answer: Any = await client.get("/jobs/export/csv")
        return [(part, await is_open()) async for part in answer.streaming_content]

    ((text, open_meanwhile),) = async_to_sync(read_slowly)()
    assert str(job.id).encode() in text
    assert not open_meanwhile
