"""With LOG_FORMAT=json every line of every process is one JSON object; a request is followed to the job's last line."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from jobs import keys
from jobs.management.embedded import free_port
from jobs.models import ApiKey, Job, Status
from tests.integration.servers import Server
from tests.integration.workers import ROOT, Start, environment, wait_for, wait_for_status

JSON = {"LOG_FORMAT": "json"}
WEB = ("-m", "uvicorn", "config.asgi:application", "--lifespan", "off", "--workers", "2", "--log-level", "warning")
GOOD_BYE = "worker: Warm shutdown (MainProcess)"  # Celery writes it past all logging


def lines(log: Path) -> list[dict[str, object]]:
    """What a process logged, after the banner of Celery that `--quiet` leaves out; anything else than JSON fails."""
    text = log.read_text().rpartition("[queues]")[2]
    return [json.loads(line) for line in text[text.index('{"') :].splitlines() if line and line != GOOD_BYE]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_request_is_followed_from_the_call_to_the_end_of_its_job(start: Start, tmp_path: Path, pool: str) -> None:
    worker = start(pool, 2, LOG_FORMAT="json")
    port = free_port()
    site = Server(tmp_path / "site.log", [*WEB, "--port", str(port)], port, "/readyz", role="web", DEBUG="1", **JSON)
    try:
        site.wait_until_up()
        headers = {"Authorization": f"Bearer {keys.create('shop', ['jobs:write'])}", "X-Request-ID": "shop-42"}
        payload = {"token": "sesame", "account": {"user": "ada", "password": "s"}}
        with httpx2.Client(base_url=site.url, headers=headers) as client:
            answer = client.post("/api/jobs/enqueue", json={"type": "confess", "payload": payload})
        job = answer.json()["jobId"]
        wait_for_status(job, Status.COMPLETED)
        assert Job.objects.get(id=job).request_id == answer.headers["X-Request-ID"] == "shop-42"
        wait_for(lambda: "confess-job" in worker.log.read_text(), "the line of the finish")
    finally:
        site.process.send_signal(signal.SIGTERM)  # to its children too
        site.process.wait()
        site.remove()
        ApiKey.objects.all().delete()

    called = [line for line in lines(site.log) if line.get("request_id") == "shop-42"]
    assert [(line["logger"], line["event"], line["status"]) for line in called] == [
        ("jobs.web", "POST /api/jobs/enqueue", 202)
    ]
    written = [line for line in lines(worker.log) if line.get("request_id") == "shop-42"]
    by_body = [line for line in written if line["logger"] == "confessions"]
    assert len(by_body) == 2
    assert {(line["job_id"], line["attempt"], line["job_type"]) for line in written} == {(job, 1, "confess")}
    (ended,) = [line for line in written if line["logger"] == "confess-job"]
    assert (ended["category"], ended["status"], ended["queue"]) == ("job_metrics", "completed", "default")
    assert isinstance(ended["duration_ms"], float)


def test_beat_and_flower_write_nothing_else_either(db: None, tmp_path: Path) -> None:
    port = free_port()
    commands = {
        "beat": ["-m", "celery", "-A", "config", "--quiet", "beat"],
        "flower": ["manage.py", "flower"],
    }
    logs = {role: tmp_path / role for role in commands}
    processes = {}
    for role, command in commands.items():
        with logs[role].open("wb") as out:
            changes = environment(JOBYARD_ROLE=role, FLOWER_PORT=str(port), **JSON)
            processes[role] = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=changes, stdout=out, stderr=out
            )
    try:
        wait_for(lambda: all(log.read_text() for log in logs.values()), "a line of each")
    finally:
        for process in processes.values():
            process.terminate()
            process.wait()
    for log in logs.values():
        assert lines(log)
