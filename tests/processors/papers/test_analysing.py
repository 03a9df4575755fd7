"""The analysis of a paper by several providers, through the real life of a job."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db.models import Max, Min
from django.utils import timezone
from pytest_django import Settings

from jobs import lifecycle
from jobs.models import Failure, Job, LogLine, Status
from jobs.processor import JobContext
from jobs.testing import assert_enqueued, perform
from processors.papers.analysing import analyse
from processors.papers.models import Analysis, Call, ProviderState
from processors.papers.structure import Structure
from tests.processors.papers.rows import TWO, account, asked, paper, result, statuses
from tests.processors.papers.sandbox import ProvidersControl

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _admins(settings: Settings) -> None:
    settings.ALERT_EMAILS = ["ops@papers.example"]


def again(job: Job) -> Job:
    """By hand."""
    assert lifecycle.retry([job.id], actor="ada").retried == [job.id]
    return perform(job)


def wait(job: Job) -> float:
    """Seconds until the next attempt, by Postgres's clock: that stands still for as long as a test's transaction."""
    assert job.status == Status.SCHEDULED
    return (job.scheduled_at - job.created_at).total_seconds()


def notices(**about: object) -> list[str]:
    found = Job.objects.filter(type="send_notification", **{f"payload__{name}": value for name, value in about.items()})
    return [job.payload["subject"] for job in found.order_by("id")]


class TestAnAnalysis:
    def test_is_kept_with_what_it_cost(self, papers: ProvidersControl) -> None:
        job = perform(asked(["openai", "anthropic", "gemini", "xai"]))
        assert job.status == Status.COMPLETED
        assert job.progress is not None
        assert (job.progress["done"], job.progress["total"]) == (4, 4)
        assert job.progress["note"] == "openai done, anthropic done, gemini done, xai done"
        assert result(job)["partial"] is False
        assert account(papers, "openai", "anthropic", "gemini", "xai") == dict.fromkeys(result(job)["providers"], 1)
        for row in Analysis.objects.filter(job=job.id):
            call = row.calls.get()
            Structure.model_validate(row.structure)
            told = result(job)["providers"][row.provider]
            assert (row.status, told["status"], told["analysis"]) == ("done", "done", row.pk)
            assert (row.model, row.request_id) == (call.model, call.request_id) == (told["model"], told["requestId"])
            assert (row.input_tokens, row.output_tokens) == (call.input_tokens, call.output_tokens)
            assert row.cost is not None
            assert float(row.cost) == told["cost"] > 0
            assert (call.error, call.error_class, call.part, call.run) == ("", "", 1, 1)
            assert call.ended_at is not None

    def test_is_asked_of_all_providers_side_by_side(self, papers: ProvidersControl) -> None:
        for provider in ("openai", "anthropic", "gemini"):
            papers.control(provider, latency_ms=500).raise_for_status()
        perform(asked(["openai", "anthropic", "gemini"]))
        times = Call.objects.aggregate(last_sent=Max("sent_at"), first_ended=Min("ended_at"))
        assert times["last_sent"] < times["first_ended"]

    def test_of_a_paper_that_is_not_there_or_is_empty_is_refused(self) -> None:
        missing = perform(asked(about=paper(id="x", text=" \n")))
        assert (missing.status, missing.failures.get().message) == (Status.FAILED, "the paper x has no text")

    def test_by_a_provider_without_a_key_says_so(self, papers: ProvidersControl, settings: Settings) -> None:
        settings.AI_PROVIDERS["anthropic"]["key"] = ""
        job = perform(asked())
        assert (job.status, result(job)["partial"]) == (Status.FAILED, True)
        assert job.failures.get().message == "partly completed: anthropic: anthropic has no key here"
        assert account(papers, *TWO) == {"openai": 1, "anthropic": 0}


class TestOneOfTwoFailsForGood:
    def test_the_other_is_kept_and_only_what_failed_is_tried_again(self, papers: ProvidersControl) -> None:
        papers.fail("anthropic", "refusal")
        job = perform(asked(about=paper(owner=User.objects.create_user("ada", "ada@papers.example"))))
        assert (job.status, job.attempt, result(job)["partial"]) == (Status.FAILED, 1, True)
        assert job.failures.get().message == "partly completed: anthropic: the model refuses"
        assert job.failures.get().classification == "permanent"
        assert result(job)["providers"]["anthropic"]["errorClass"] == "refused"
        assert statuses(job) == {"anthropic": "failed", "openai": "done"}
        assert notices(channel="email") == ["Analysis partly completed: Bees on caffeine"]
        assert notices(channel="in-app", recipient="ada") == ["Analysis partly completed: Bees on caffeine"]
        assert account(papers, *TWO) == {"openai": 1, "anthropic": 1}
        kept = Analysis.objects.get(job=job.id, provider="openai").structure

        job = again(job)
        assert (job.status, result(job)["partial"]) == (Status.COMPLETED, False)
        assert statuses(job) == {"anthropic": "done", "openai": "done"}
        assert Analysis.objects.get(job=job.id, provider="openai").structure == kept
        assert account(papers, *TWO) == {"openai": 1, "anthropic": 2}
        assert notices(channel="email")[1:] == ["Analysis completed: Bees on caffeine"]

    def test_what_failed_for_good_is_not_asked_again_for_the_sake_of_another(self, papers: ProvidersControl) -> None:
        papers.fail("anthropic", "refusal")
        papers.fail("openai", "overloaded")
        job = perform(perform(asked()))
        assert statuses(job) == {"anthropic": "failed", "openai": "done"}
        assert (job.status, job.attempt) == (Status.FAILED, 2)
        assert account(papers, *TWO) == {"openai": 2, "anthropic": 1}

    def test_both_fail(self, papers: ProvidersControl) -> None:
        papers.fail("anthropic", "context")
        papers.fail("openai", "content-filter")
        job = perform(asked())
        assert (job.status, result(job)["partial"]) == (Status.FAILED, False)
        assert {p["errorClass"] for p in result(job)["providers"].values()} == {"too-long", "filtered"}


class TestATemporaryFailure:
    def test_overloaded_twice_completes_at_the_third_attempt(self, papers: ProvidersControl) -> None:
        papers.fail("anthropic", "overloaded", "overloaded")
        job = perform(asked())
        assert 0 <= wait(job) <= 2  # full jitter over 2 s
        assert statuses(job) == {"anthropic": "waiting", "openai": "done"}
        assert job.result is None
        job = perform(perform(job))
        assert (job.status, job.attempt) == (Status.COMPLETED, 3)
        assert account(papers, *TWO) == {"openai": 1, "anthropic": 3}
        assert notices() == []

    def test_a_rate_limit_frees_the_slot_for_as_long_as_it_says(self, papers: ProvidersControl) -> None:
        papers.control("openai", fault="rate-limit", retry_after=40)
        job = perform(asked(["openai"]))
        assert 39 < wait(job) < 45
        assert job.failures.get().classification == "rate-limited"
        another = perform(asked(["openai"]))  # everybody keeps away
        assert 38 < wait(another) < 41
        assert (another.attempt, another.failures.count()) == (0, 0)
        assert account(papers, "openai") == {"openai": 1}

    def test_the_last_attempt_keeps_what_there_is_and_admins_hear_of_it_now_and_then(
        self, papers: ProvidersControl
    ) -> None:
        for _ in range(2):
            papers.fail("anthropic", "server-error")
            job = perform(asked(max_attempts=1))
            assert (job.status, result(job)["partial"]) == (Status.FAILED, True)
            assert statuses(job) == {"anthropic": "failed", "openai": "done"}
            assert job.failures.get().classification == "retryable"
        assert notices(recipient="ops@papers.example") == ["anthropic keeps failing: server error"]

    @pytest.mark.parametrize("fault", ["invalid", "truncated"])
    def test_an_answer_of_no_use_is_asked_for_again_four_times_in_all(
        self, papers: ProvidersControl, fault: str
    ) -> None:
        papers.fail("openai", fault, None)
        assert perform(asked(["openai"])).status == Status.COMPLETED
        assert account(papers, "openai") == {"openai": 2}
        papers.always("openai", fault)
        job = perform(perform(asked(["openai"])))
        assert job.status == Status.FAILED
        assert account(papers, "openai") == {"openai": 6}
        second = papers.requests("openai")[3]["text"]
        assert "Your last answer could not be used" in second

    def test_five_in_a_row_keep_all_jobs_away_for_a_while(self, papers: ProvidersControl) -> None:
        papers.fail("openai", *["server-error"] * 5)
        for _ in range(5):
            perform(asked(["openai"]))
        job = perform(asked(["openai"]))
        assert wait(job) > 20
        assert (job.attempt, Analysis.objects.get(job=job.id).error) == (0, "openai: its last calls failed")
        assert LogLine.objects.get(job=job.id).message == "openai: its last calls failed"
        assert account(papers, "openai") == {"openai": 5}

    def test_is_what_no_answer_within_the_time_of_the_job_is(self, papers: ProvidersControl) -> None:
        papers.fail("anthropic", "slow")
        context = JobContext(uuid4(), run=1, attempt=1, max_attempts=3)
        openai, anthropic = analyse(paper(), TWO, context, seconds=1.5)
        assert (openai.state, anthropic.state) == ("done", "waiting")
        assert anthropic.failure is not None
        assert (anthropic.failure.kind, anthropic.failure.message) == ("timeout", "no answer within 1.5 s")
        assert Call.objects.get(provider="anthropic").error_class == "timeout"


class TestAProviderThatIsSwitchedOff:
    @pytest.mark.parametrize(
        ("provider", "fault", "kind"),
        [
            ("openai", "quota", "quota"),
            ("anthropic", "spend-limit", "quota"),
            ("anthropic", "usage-limits", "quota"),
            ("gemini", "quota", "quota"),
            ("xai", "unauthorized", "key"),
            ("openai", "unknown-model", "model"),
        ],
    )
    def test_is_called_once_and_admins_are_told_once(
        self, papers: ProvidersControl, provider: str, fault: str, kind: str
    ) -> None:
        papers.always(provider, fault)
        jobs = [perform(asked([provider])) for _ in range(3)]
        assert [job.status for job in jobs] == [Status.FAILED] * 3
        assert [result(job)["providers"][provider]["errorClass"] for job in jobs] == [kind, "off", "off"]
        assert account(papers, provider) == {provider: 1}
        assert len(notices(recipient="ops@papers.example")) == 1
        assert "switched off until" in Failure.objects.get(job=jobs[2].id).message

    def test_is_asked_again_when_the_time_is_over(self, papers: ProvidersControl) -> None:
        papers.fail("openai", "quota")
        job = perform(asked(["openai"]))
        ProviderState.objects.update(off_until=timezone.now() - timedelta(seconds=1))
        assert again(job).status == Status.COMPLETED
        papers.fail("openai", "quota")
        perform(asked(["openai"]))
        assert len(notices(recipient="ops@papers.example")) == 2

    def test_leaves_the_others_on(self, papers: ProvidersControl) -> None:
        papers.fail("openai", "quota")
        job = perform(asked())
        assert statuses(job) == {"anthropic": "done", "openai": "failed"}


class TestALongPaper:
    TEXT = "\n\n".join(f"Section {n}. " + "Bees remember flowers better with caffeine. " * 30 for n in range(4))

    def test_is_asked_about_in_parts_that_are_merged(self, papers: ProvidersControl, settings: Settings) -> None:
        settings.AI_PART_TOKENS, settings.AI_MAX_PARTS = 1000, 2
        job = perform(asked(about=paper(text=self.TEXT)))
        assert job.status == Status.COMPLETED
        texts = [request["text"] for request in papers.requests("openai")]
        assert [" ".join(text.split()[:4]) for text in texts] == [
            "This paper is too",
            "This paper is too",
            "These are analyses of",
        ]
        assert account(papers, *TWO) == {"openai": 3, "anthropic": 3}
        row = Analysis.objects.get(job=job.id, provider="openai")
        assert (row.parts, row.parts_done) == (3, 3)
        assert row.input_tokens == sum(row.calls.values_list("input_tokens", flat=True))

    def test_does_not_pay_twice_for_a_part(self, papers: ProvidersControl, settings: Settings) -> None:
        settings.AI_PART_TOKENS, settings.AI_MAX_PARTS = 1000, 2
        papers.fail("openai", None, "overloaded", None)
        job = perform(asked(["openai"], about=paper(text=self.TEXT)))
        assert job.progress is not None
        assert (job.status, job.progress["note"]) == (Status.SCHEDULED, "openai waiting")
        assert perform(job).status == Status.COMPLETED
        assert list(Call.objects.order_by("id").values_list("part", flat=True)) == [1, 2, 2, 3]
        assert account(papers, "openai") == {"openai": 4}

    def test_that_is_too_long_is_refused_unasked(self, papers: ProvidersControl, settings: Settings) -> None:
        settings.AI_PART_TOKENS, settings.AI_MAX_PARTS = 500, 2
        job = perform(asked(["openai"], about=paper(text=self.TEXT)))
        reason = "openai: the paper is longer than 1,000 tokens, the most we analyse"
        assert (job.status, job.failures.get().message) == (Status.FAILED, reason)
        assert account(papers, "openai") == {"openai": 0}

    def test_that_the_model_finds_too_long_fails_for_that_provider(self, papers: ProvidersControl) -> None:
        papers.control("openai", context=100).raise_for_status()
        job = perform(asked())
        assert (job.status, result(job)["providers"]["openai"]["errorClass"]) == (Status.FAILED, "too-long")
        assert result(job)["partial"] is True


def test_a_run_that_was_superseded_writes_nothing(papers: ProvidersControl) -> None:
    waiting = asked()
    perform(waiting)
    Job.objects.filter(id=waiting.id).update(status=Status.PENDING, run=0, attempt=0, finished_at=None)
    Analysis.objects.update(run=5)
    job = perform(waiting)
    assert job.failures.get().message.startswith("A later run of this job has begun")
    assert account(papers, *TWO) == {"openai": 1, "anthropic": 1}


def test_the_owner_is_told_once_even_if_the_end_was_lost(papers: ProvidersControl) -> None:
    waiting = asked(about=paper(owner=User.objects.create_user("ada")))
    perform(waiting)
    Job.objects.filter(id=waiting.id).update(status=Status.PENDING, result=None, finished_at=None)
    assert perform(waiting).status == Status.COMPLETED
    assert_enqueued("send_notification", {"channel": "in-app", "recipient": "ada"}, count=1)
    assert account(papers, *TWO) == {"openai": 1, "anthropic": 1}
