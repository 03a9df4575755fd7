"""What log lines carry: the request, and the job whose code writes them, without its secrets."""

import logging
from uuid import UUID

import pytest
from django.test import Client

from jobs import lifecycle, logs
from jobs.lifecycle import Claimed, Error, Outcome, Verb
from jobs.models import Job, Status
from jobs.processor import JobContext, Payload, Secret, batch_process, enqueue, processor
from jobs.testing import drain, perform
from jobs.worker.held import Held, log_end

LINES = logging.getLogger("somebody.else")


class Confession(Payload):
    password: Secret
    fails: bool = False


@processor(name="tell_all", max_attempts=1)
def tell_all(payload: Confession, job: JobContext) -> None:
    """Tell everything, in every way."""
    LINES.info("the password is %s", payload.password)
    LINES.info("with fields", extra={"given": {"password": payload.password}, "count": 3})
    LINES.info("%r", payload)
    job.progress(1, 2, f"password {payload.password}")
    job.log.info("and again: %s", payload.password)
    job.enqueue_child("smoke", {"message": "from the confession"})
    if payload.fails:
        raise ValueError(payload.password) from KeyError(f"{payload.password!r}")


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every line as the deployment's handler writes it."""
    written: list[str] = []
    handler = next(h for h in logging.getLogger().handlers if h.formatter and "Processor" in type(h.formatter).__name__)
    monkeypatch.setattr(handler, "emit", lambda record: written.append(handler.format(record)))
    return written


@pytest.mark.django_db
class TestTheRequest:
    def test_is_kept_with_the_job_and_its_children(self) -> None:
        with logs.of_request("r-1"):
            job = enqueue("tell_all", {"password": "sesame"})
        perform(job)
        child = Job.objects.get(parent=job.id)
        assert [Job.objects.get(id=job.id).request_id, child.request_id] == ["r-1", "r-1"]
        assert logs.request_id() is None

    def test_is_kept_with_each_step_of_a_canvas(self) -> None:
        with logs.of_request("r-2"):
            chain = tell_all.si(password="a") | tell_all.si(password="b")
            chain.link(tell_all.si(password="c"))
            chain.apply_async()
        drain()
        assert list(Job.objects.filter(type="tell_all").values_list("request_id", flat=True)) == ["r-2"] * 3

    def test_is_that_of_whoever_runs_it_again(self) -> None:
        with logs.of_request("r-3"):
            old = perform(enqueue("smoke", {"message": "hello"}))
        with logs.of_request("r-4"):
            made = lifecycle.rerun([old.id], actor="ada")
        assert Job.objects.get(id=made[old.id]).request_id == "r-4"

    def test_stays_what_it_was_at_a_retry(self) -> None:
        with logs.of_request("r-5"):
            job = perform(enqueue("tell_all", {"password": "sesame", "fails": True}))
        lifecycle.retry([job.id], actor="ada")
        assert Job.objects.get(id=job.id).request_id == "r-5"

    def test_comes_from_the_header_of_a_call(self, admin_client: Client) -> None:
        body = {"type": "smoke", "payload": {"message": "hello"}}
        headers = {"X-Request-ID": "shop-17"}
        answer = admin_client.post("/api/jobs/enqueue", body, "application/json", headers=headers)
        assert answer["X-Request-ID"] == "shop-17"
        assert Job.objects.get(id=answer.json()["jobId"]).request_id == "shop-17"


@pytest.mark.django_db
class TestLinesOfARun:
    def test_name_the_job_and_the_request(self, rendered: list[str]) -> None:
        with logs.of_request("r-6"):
            job = perform(enqueue("tell_all", {"password": "sesame"}))
        mine = [line for line in rendered if "somebody.else" in line]
        assert len(mine) == 3
        for line in mine:
            assert f"job_id={job.id}" in line
            assert "request_id=r-6" in line
            assert "job_type=tell_all" in line
            assert "attempt=1" in line

    @pytest.mark.parametrize("password", ["sesame", 'a"b\\c', "päss wörd", "{'x': 1}", "tab\there"])
    def test_show_no_secret(self, rendered: list[str], caplog: pytest.LogCaptureFixture, password: str) -> None:
        caplog.set_level(logging.DEBUG)
        perform(enqueue("tell_all", {"password": password, "fails": True}))
        assert "***" in "\n".join(rendered)
        for shape in (password, repr(password)[1:-1]):
            assert shape not in "\n".join(rendered)

    def test_are_not_redacted_when_it_is_over(self, rendered: list[str]) -> None:
        perform(enqueue("tell_all", {"password": "sesame"}))
        rendered.clear()
        LINES.info("open sesame")
        assert "open sesame" in rendered[0]
        assert "job_id" not in rendered[0]

    def test_include_those_of_a_batchs_threads(self, rendered: list[str]) -> None:
        @processor(name="tell_in_batches")
        def tell_in_batches(payload: Confession, job: JobContext) -> None:
            """Write a line for each item."""
            batch_process(range(3), lambda item: LINES.info("item %d %s", item, payload.password), job=job)

        job = perform(enqueue("tell_in_batches", {"password": "sesame"}))
        told = [line for line in rendered if "item " in line]
        assert len(told) == 3
        assert all(f"job_id={job.id}" in line and "sesame" not in line for line in told)


def held() -> Held:
    plain = (UUID(int=7), 2, 1, 3, 0, "bgg_sync", "{}", "bgg", 5, 60.0, None, None, None, None, "r-7")
    return Held(Claimed(*plain))


@pytest.mark.parametrize(
    ("verb", "status", "level", "message"),
    [
        (Verb.COMPLETE, Status.COMPLETED, logging.INFO, "completed"),
        (Verb.CANCEL, Status.CANCELLED, logging.INFO, "cancelled"),
        (Verb.FAIL, Status.FAILED, logging.ERROR, "failed: ValueError: two lines"),
        (Verb.RETRY, Status.SCHEDULED, logging.WARNING, "scheduled: ValueError: two lines"),
        (Verb.SNOOZE, Status.SCHEDULED, logging.INFO, "scheduled"),
    ],
)
def test_one_line_tells_how_a_run_ended(
    caplog: pytest.LogCaptureFixture, verb: Verb, status: Status, level: int, message: str
) -> None:
    error = Error("ValueError", "two\nlines", "", "retryable") if "Value" in message else None
    outcome = Outcome(UUID(int=7), 2, verb, seconds=0.12345, error=error)
    with caplog.at_level(logging.INFO):
        log_end(outcome, held(), status)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("bgg_sync-job", level)
    assert record.getMessage() == f"job {UUID(int=7)} {message}"
    names = ("category", "job_type", "status", "duration_ms", "run", "attempt", "queue", "request_id")
    assert [record.__dict__[name] for name in names] == [
        *("job_metrics", "bgg_sync", status.value, 123.5),
        *(2, 1, "bgg", "r-7"),
    ]


def test_a_late_report_and_a_job_given_back_have_no_such_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_end(Outcome(UUID(int=7), 2, Verb.COMPLETE), held(), None)
        log_end(Outcome(UUID(int=7), 2, Verb.GIVE_BACK), held(), Status.PENDING)
    assert [record.name for record in caplog.records] == ["jobs.worker"]
