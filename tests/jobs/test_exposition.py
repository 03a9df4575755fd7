"""/metrics says what SQL says, in Prometheus's words, to those who may ask."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from jobs import exposition, leadership, lifecycle
from jobs.models import Job, Status, Worker
from jobs.rollups import roll_up_errors
from tests.jobs.history import failure_at, job_at, minute, roll_up_all
from tests.jobs.rows import job_in

pytestmark = pytest.mark.django_db

Samples = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """The answer before."""
    exposition._text.cache_clear()
    yield
    exposition._text.cache_clear()


@pytest.fixture
def client(uncollected: None) -> Client:
    return Client()


def scraped(client: Client) -> Samples:
    """Each sample by its name and the values of its labels, in the order of their names."""
    exposition._text.cache_clear()
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(response.content.decode())
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def sql(statement: str) -> Samples:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return {tuple(row[:-1]): row[-1] for row in cursor.fetchall()}


def under(samples: Samples, name: str) -> Samples:
    return {key[1:]: value for key, value in samples.items() if key[0] == name}


def some_history() -> None:
    for ago in (2, 3, 3, 90):
        job_at(minute(ago), type="juggle", wait_ms=20, run_ms=300)
        job_at(minute(ago), type="improvise", queue="cpu", wait_ms=4_000, run_ms=0.5)
    failure_at(minute(4))
    job_at(minute(1), Status.CANCELLED)
    roll_up_all(minute(120))
    roll_up_errors()


def test_counters_are_what_sql_counts(client: Client) -> None:
    some_history()
    samples = scraped(client)
    assert under(samples, "jobyard_jobs_enqueued_total") == sql(
        "SELECT queue, type, count(*) FROM jobs_job GROUP BY 1, 2"
    )
    assert under(samples, "jobyard_jobs_ended_total") == sql(
        "SELECT status, queue, type, count(*) FROM jobs_job WHERE finished_at IS NOT NULL GROUP BY 1, 2, 3"
    )
    assert under(samples, "jobyard_run_failures_total") == {("retryable", "improvise"): 1}


def test_durations_are_histograms_that_end_with_all(client: Client) -> None:
    some_history()
    samples = scraped(client)
    runs = "jobyard_job_run_seconds"
    assert samples[f"{runs}_count", "juggle"] == samples[f"{runs}_bucket", "+Inf", "juggle"] == 4
    assert samples[f"{runs}_sum", "juggle"] == pytest.approx(1.2)
    assert samples[f"{runs}_bucket", "0.256", "juggle"] == 0
    assert samples[f"{runs}_bucket", "0.512", "juggle"] == 4
    waits = "jobyard_job_wait_seconds"
    assert samples[f"{waits}_count", "cpu"] == 4
    assert samples[f"{waits}_bucket", "2.048", "cpu"] == 0
    assert samples[f"{waits}_bucket", "4.096", "cpu"] == 4


def test_counters_never_shrink(client: Client) -> None:
    some_history()
    before = {key: value for key, value in scraped(client).items() if re.search("_(total|count|sum|bucket)$", key[0])}
    Job.objects.all().delete()
    roll_up_all(minute(120))
    job_at(minute(1))
    roll_up_all(minute(2))
    after = scraped(client)
    assert all(after[key] >= value for key, value in before.items())
    assert after["jobyard_jobs_ended_total", "completed", "default", "improvise"] == 1


def test_gauges_are_what_sql_counts(client: Client) -> None:
    for status in Status:
        job_in(status)
    job_in(Status.PENDING, queue="cpu")
    lifecycle.pause("cpu", actor="ann")
    Job.objects.filter(status=Status.PENDING).update(scheduled_at=Now() - timedelta(seconds=90))
    samples = scraped(client)
    assert under(samples, "jobyard_jobs") == sql("SELECT status, count(*) FROM jobs_job GROUP BY 1")
    assert (samples["jobyard_queue_ready", "default"], samples["jobyard_queue_ready", "cpu"]) == (1, 0)
    assert (samples["jobyard_queue_held", "default"], samples["jobyard_queue_held", "cpu"]) == (0, 1)
    assert (samples["jobyard_queue_paused", "default"], samples["jobyard_queue_paused", "cpu"]) == (0, 1)
    assert samples["jobyard_queue_running", "default"] == samples["jobyard_queue_scheduled", "default"] == 1
    assert samples["jobyard_queue_oldest_seconds", "default"] == pytest.approx(90, abs=30)
    assert samples["jobyard_queue_oldest_seconds", "bgg"] == 0


def workers_and_schedules() -> None:
    for name, age in (("a", 0), ("b", 1), ("gone", 3600)):
        at = Now() - timedelta(seconds=age)
        Worker.objects.create(name=name, pool="threads", queues=["cpu"], concurrency=8, stuck=1, heartbeat_at=at)
    every = IntervalSchedule.objects.create(every=1, period="hours")
    PeriodicTask.objects.all().delete()
    PeriodicTask.objects.create(name="digest", task="improvise", interval=every, last_run_at=minute(5))
    PeriodicTask.objects.create(name="never", task="improvise", interval=every, enabled=False)


def test_workers_leaders_and_schedules(client: Client) -> None:
    workers_and_schedules()
    leadership.lead("beat", "a", 60)
    samples = scraped(client)
    assert under(samples, "jobyard_workers") == {("threads",): 2}
    assert under(samples, "jobyard_worker_slots") == {("threads",): 16}
    assert under(samples, "jobyard_worker_slots_stuck") == {("threads",): 2}
    assert under(samples, "jobyard_queue_workers") == {
        (name,): 2 if name == "cpu" else 0 for name in django_settings.JOBS_QUEUES
    }
    assert under(samples, "jobyard_leader") == {("upkeep",): 0, ("beat",): 1}
    assert under(samples, "jobyard_schedules") == {("true",): 1, ("false",): 1}
    assert under(samples, "jobyard_schedule_last_run_timestamp_seconds") == {("digest",): minute(5).timestamp()}


def test_the_hit_rate_of_the_cache_is_there_when_it_is_known(client: Client) -> None:
    assert ("jobyard_cache_hit_ratio",) not in scraped(client)
    job_at(minute(1), type="cache_warmup", queue="bgg", result={"hits": 30, "misses": 10})
    assert scraped(client)["jobyard_cache_hit_ratio",] == 0.75


def test_an_answer_is_kept_for_a_moment(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "CACHE_SECONDS", 10**9)
    first = client.get("/metrics").content
    job_in(Status.PENDING)
    assert client.get("/metrics").content == first


class TestWhoMayAsk:
    @pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
    def test_without_a_token_this_machine(self, client: Client, address: str) -> None:
        assert client.get("/metrics", REMOTE_ADDR=address).status_code == 200

    @pytest.mark.parametrize("address", ["10.1.2.3", "203.0.113.9", "2001:db8::1", ""])
    def test_without_a_token_nobody_else(self, client: Client, address: str) -> None:
        response = client.get("/metrics", REMOTE_ADDR=address)
        assert response.status_code == 403
        assert b"METRICS_TOKEN" in response.content

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
    def test_without_a_token_no_proxy_on_this_machine(self, client: Client, header: str) -> None:
        assert client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 403

    def test_with_a_token_whoever_has_it(self, client: Client, settings: Settings) -> None:
        settings.METRICS_TOKEN = "s3cret"
        right = {"Authorization": "Bearer s3cret"}
        assert client.get("/metrics", headers=right, REMOTE_ADDR="10.1.2.3").status_code == 200
        for wrong in ({}, {"Authorization": "Bearer s3cre"}, {"Authorization": "Basic s3cret"}, {"Authorization": "é"}):
            response = client.get("/metrics", headers=wrong)
            assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")

    def test_nothing_is_posted(self, client: Client) -> None:
        assert client.post("/metrics").status_code == 405


def test_the_dashboard_for_grafana_asks_for_metrics_that_exist(client: Client) -> None:
    some_history()
    workers_and_schedules()
    job_at(minute(1), type="cache_warmup", queue="bgg", result={"hits": 30, "misses": 10})
    names = {name for name, *_ in scraped(client)}
    docs = Path(django_settings.BASE_DIR) / "docs"
    dashboard = json.loads((docs / "grafana" / "jobyard.json").read_text())
    asked = set(re.findall(r"jobyard_\w+", json.dumps(dashboard)))
    assert asked
    assert asked <= names
    told = set(re.findall(r"jobyard_\w+", (docs / "metrics.md").read_text()))
    histograms = {re.sub("_(bucket|count|sum)$", "", name) for name in names}
    assert told <= names | histograms
    assert histograms <= told
