"""Analyses by real workers: stopped, killed, cancelled and kept waiting, and nothing is paid for twice."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django import Settings

from jobs import lifecycle
from jobs.models import Job, Status
from processors.papers.models import Analysis, Call, Paper, ProviderState
from processors.papers.sandbox import KEYS
from tests.integration.servers import Server
from tests.integration.test_canary import heard as heard
from tests.integration.test_canary import kept
from tests.integration.workers import Start, wait_for, wait_for_end, wait_for_status
from tests.processors.papers.rows import TWO, account, asked, paper, statuses
from tests.processors.papers.sandbox import ProvidersControl

CANARY = "canary-of-papers-51"
LONG = "\n\n".join(f"Section {n}. " + "Bees remember flowers better with caffeine. " * 30 for n in range(6))


@pytest.fixture
def papers(upstreams: tuple[Server, dict[str, Any]], db: None) -> Iterator[ProvidersControl]:
    _empty()
    control = ProvidersControl(upstreams[0].url)
    control.forget()
    yield control
    control.http.close()
    _empty()


def _empty() -> None:
    for model in (Paper, ProviderState):
        model.objects.all().delete()
    User.objects.all().delete()


def running(papers: ProvidersControl, provider: str) -> bool:
    return bool(papers.received(provider)["running"] == 1)


def half_way(papers: ProvidersControl) -> Job:
    """A job whose first provider has answered, and whose second will never."""
    papers.fail("anthropic", "slow")
    job = asked()
    wait_for(lambda: statuses(job).get("openai") == "done" and running(papers, "anthropic"), "one of two answers")
    return Job.objects.get(id=job.id)


def test_neither_a_stop_nor_a_kill_costs_a_finished_provider(
    start: Start, papers: ProvidersControl, upstreams: tuple[Server, dict[str, Any]]
) -> None:
    settings = {**upstreams[1], "JOBS_SHUTDOWN_GRACE": "1", "JOBS_LEASE": "4"}
    worker = start("threads", 2, "ai", **settings)
    job = half_way(papers)
    worker.stop()
    wait_for_status(job.id, Status.PENDING)
    wait_for(lambda: not running(papers, "anthropic"), "the end of its request")
    papers.fail("anthropic", "slow")
    worker = start("threads", 2, "ai", **settings)
    wait_for(lambda: running(papers, "anthropic"), "the next request")
    worker.kill()
    start("threads", 2, "ai", **settings)
    wait_for_end([job.id])

    job.refresh_from_db()
    assert (job.status, job.run, job.attempt, job.losses) == (Status.COMPLETED, 3, 1, 1)
    assert statuses(job) == {"anthropic": "done", "openai": "done"}
    assert account(papers, *TWO) == {"openai": 1, "anthropic": 3}
    lost = Call.objects.filter(provider="anthropic", ended_at=None)
    assert [call.run for call in lost.order_by("id")] == [1, 2]


def test_cancels_waits_and_keys(
    start: Start,
    papers: ProvidersControl,
    upstreams: tuple[Server, dict[str, Any]],
    heard: list[str],
    client: Client,
    settings: Settings,
) -> None:
    settings.AI_PROVIDERS = {**settings.AI_PROVIDERS, "other": {}}  # to be named in a payload; the worker asks it
    other: dict[str, Any] = {
        "AI_COMPATIBLE": f"other={papers.url}/xai/v1",
        "OTHER_MODEL": "grok-4",
        "OTHER_API_KEY": CANARY,
    }
    parts: dict[str, Any] = {"AI_PART_TOKENS": "1000", "AI_MAX_PARTS": "9"}
    worker = start("threads", 4, "ai", LOG_LEVEL="DEBUG", LOG_FORMAT="json", **upstreams[1], **other, **parts)
    jobs = [cancelled_during_a_request(papers), cancelled_between_requests(papers), kept_waiting(papers)]
    jobs.append(cut_off_from_the_database(papers))
    refused = asked(["other"])
    wait_for_end([refused.id])
    assert Analysis.objects.get(job=refused.id).error_class == "key"

    secrets = [CANARY, *KEYS.values()]
    wait_for(lambda: str(refused.id) in events(heard), "what Flower is told")
    written, told = worker.log.read_text(), "\n".join([*heard, events(heard)])
    shown = pages(client, [*jobs, Job.objects.get(id=refused.id)])
    assert "ai_analysis" in written
    assert "Incorrect API key" in shown
    for secret in secrets:
        assert [line for line in (written, told, shown) if secret in line] == []
        assert kept(secret) == []


def cancelled_during_a_request(papers: ProvidersControl) -> Job:
    job = half_way(papers)
    lifecycle.cancel([job.id], actor="ada")
    wait_for_status(job.id, Status.CANCELLED)
    wait_for(lambda: papers.received("anthropic")["statuses"] == {"gone": 1}, "the end of the request")
    assert statuses(job) == {"anthropic": "cancelled", "openai": "done"}
    assert Call.objects.get(provider="anthropic").error_class == "stopped"
    assert account(papers, *TWO) == {"openai": 1, "anthropic": 1}

    assert lifecycle.retry([job.id], actor="ada").retried == [job.id]
    wait_for_status(job.id, Status.COMPLETED)
    assert account(papers, *TWO) == {"openai": 1, "anthropic": 2}
    return Job.objects.get(id=job.id)


def cancelled_between_requests(papers: ProvidersControl) -> Job:
    papers.control("gemini", latency_ms=700, faults=[None, None, None, "slow"]).raise_for_status()  # it cannot end
    job = asked(["gemini"], about=paper(text=LONG))
    wait_for(lambda: Call.objects.filter(analysis__job=job.id).exclude(answer=None).exists(), "the first part")
    lifecycle.cancel([job.id], actor="ada")
    wait_for_status(job.id, Status.CANCELLED)
    wait_for(lambda: not papers.received("gemini")["running"], "the end of its request")
    row = Analysis.objects.get(job=job.id)
    assert row.parts == 4
    assert 0 < row.parts_done < row.parts
    assert account(papers, "gemini")["gemini"] in (row.parts_done, row.parts_done + 1)
    return Job.objects.get(id=job.id)


def kept_waiting(papers: ProvidersControl) -> Job:
    papers.forget()
    Call.objects.all().delete()
    papers.control("openai", fault="rate-limit", retry_after=2).raise_for_status()
    job = asked(["openai"])
    ended = wait_for_status(job.id, Status.COMPLETED)
    assert (ended.run, ended.attempt) == (2, 2)  # its slot was free meanwhile
    first, second = (request["at"] for request in papers.requests("openai"))
    assert second - first >= 2
    assert account(papers, "openai") == {"openai": 2}
    return Job.objects.get(id=job.id)


def cut_off_from_the_database(papers: ProvidersControl) -> Job:
    papers.control("xai", latency_ms=3000).raise_for_status()
    job = asked(["xai"])
    wait_for(lambda: running(papers, "xai"), "the request")
    with connection.cursor() as cursor:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")  # noqa: S608
    wait_for_status(job.id, Status.COMPLETED)
    assert account(papers, "xai") == {"xai": 1}
    return Job.objects.get(id=job.id)


def events(heard: list[str]) -> str:
    """Celery's, as anybody hears them in Redis: their bodies are base64."""
    bodies = [body for line in heard for body in re.findall(r"[A-Za-z0-9+/]{80,}={0,2}", line)]
    return "\n".join(base64.b64decode(body).decode(errors="replace") for body in bodies if len(body) % 4 == 0)


def pages(client: Client, jobs: list[Job]) -> str:
    """What the site shows of them."""
    client.force_login(User.objects.create_superuser("ada"))
    rows = [(model, row.pk) for model in (Analysis, Call, ProviderState) for row in model.objects.all()]
    addresses = [
        *(f"/jobs/{job.id}" for job in jobs),
        *(f"/api/jobs/{job.id}" for job in jobs),
        *(f"/admin/papers/{model.__name__.lower()}/{key}/change/" for model, key in rows),
        "/jobs/errors",
        "/api/admin/jobs/errors",
    ]
    answers = [client.get(address) for address in addresses]
    assert {answer.status_code for answer in answers} == {200}
    return json.dumps([answer.content.decode() for answer in answers])
