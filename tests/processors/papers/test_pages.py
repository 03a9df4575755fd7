"""The pages of the paper manager, without a browser: who sees what, what is refused, which jobs are made."""

from uuid import uuid4

import pytest
from celery.result import AsyncResult
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from jobs import cancel
from jobs.models import Job, Status
from processors.papers.models import Analysis, Paper
from tests.processors.papers.test_reading import SENTENCE, pdf

pytestmark = pytest.mark.django_db

KEYS = ("openai", "anthropic")


@pytest.fixture(autouse=True)
def _configured(settings: Settings) -> None:
    settings.AI_PROVIDERS = {
        name: {**provider, "key": "key" if name in KEYS else ""} for name, provider in settings.AI_PROVIDERS.items()
    }


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password="let me in")


@pytest.fixture
def browser(ada: User) -> Client:
    """Ada's, and she is nobody's operator."""
    client = Client()
    client.force_login(ada)
    return client


@pytest.fixture
def paper(ada: User) -> Paper:
    return Paper.objects.create(owner=ada, title="Bees on caffeine", text=SENTENCE)


def upload(browser: Client, content: bytes, **fields: str) -> None:
    browser.post("/papers/", {"file": SimpleUploadedFile("paper", content), **fields})


def analyse(browser: Client, paper: Paper, *providers: str) -> Job:
    answer = browser.post(f"/papers/{paper.pk}/analyse", {"providers": providers or KEYS})
    assert (answer.status_code, answer["Location"]) == (302, f"/papers/{paper.pk}/")
    return Job.objects.latest("created_at")


def test_a_pdf_becomes_a_paper_with_its_title(browser: Client, ada: User) -> None:
    upload(browser, pdf([SENTENCE] * 4, title="Bees"))
    paper = Paper.objects.get()
    assert (paper.owner, paper.title, paper.text.count(SENTENCE)) == (ada, "Bees", 4)
    assert b"<h1>Bees</h1>" in browser.get(f"/papers/{paper.pk}/").content


def test_a_title_that_is_given_is_kept(browser: Client) -> None:
    upload(browser, SENTENCE.encode(), title="Mine")
    assert Paper.objects.get().title == "Mine"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "The file is empty."),
        (b"\x89PNG\0", "The file is neither a PDF nor text in UTF-8."),
        (b"x" * (10 * 1024 * 1024 + 1), "The file is larger than 10 MB."),
    ],
)
def test_a_file_that_is_no_paper_is_refused_on_the_page(browser: Client, content: bytes, why: str) -> None:
    answer = browser.post("/papers/", {"file": SimpleUploadedFile("paper.pdf", content)})
    assert why in answer.content.decode()
    assert not Paper.objects.exists()


def test_no_file_is_asked_for(browser: Client) -> None:
    assert b"Choose a file." in browser.post("/papers/", {}).content


def test_whoever_is_not_logged_in_is_led_to_the_log_in(paper: Paper) -> None:
    for path in ("/papers/", f"/papers/{paper.pk}/", f"/papers/{paper.pk}/analyses"):
        answer = Client().get(path)
        assert (answer.status_code, answer["Location"]) == (302, f"/papers/login?next={path}")
    assert Client().post(f"/papers/{paper.pk}/analyse", {"providers": KEYS}).status_code == 302
    assert not Job.objects.exists()


def test_a_user_who_is_not_staff_logs_in_and_out(ada: User, paper: Paper) -> None:
    client, wanted = Client(), f"/papers/{paper.pk}/"
    answer = client.post(f"/papers/login?next={wanted}", {"username": "ada", "password": "let me in"})
    assert answer["Location"] == wanted
    assert b"Bees on caffeine" in client.get("/papers/").content
    assert client.post("/papers/logout")["Location"] == "/papers/login"
    assert client.get("/papers/").status_code == 302


def test_who_fails_to_log_in_too_often_is_kept_out(ada: User, settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = 1
    client = Client()
    answer = client.post("/papers/login", {"username": "ada", "password": "sesame"})
    assert (answer.status_code, b"Too many failed log-ins" in answer.content) == (429, True)


def test_the_papers_of_others_are_not_there(paper: Paper) -> None:
    stranger = Client()
    stranger.force_login(User.objects.create_superuser("eve"))
    assert b"Bees on caffeine" not in stranger.get("/papers/").content
    assert stranger.get(f"/papers/{paper.pk}/").status_code == 404
    assert stranger.get(f"/papers/{paper.pk}/analyses").status_code == 404
    for verb in ("analyse", "retry", "cancel"):
        assert stranger.post(f"/papers/{paper.pk}/{verb}", {"providers": KEYS}).status_code == 404


def test_an_analysis_is_a_job_and_the_page_follows_it(browser: Client, paper: Paper) -> None:
    job = analyse(browser, paper)
    assert (job.type, job.status, job.payload) == (
        "ai_analysis",
        Status.PENDING,
        {"paperId": paper.pk, "providers": ["openai", "anthropic"]},
    )
    rows = Analysis.objects.values_list("job", "provider", "status").order_by("provider")
    assert list(rows) == [(job.id, "anthropic", "waiting"), (job.id, "openai", "waiting")]
    page = browser.get(f"/papers/{paper.pk}/").content.decode()
    assert f'<job-progress job-id="{job.id}" token="' in page
    assert "0 of 2 have answered" in page
    assert "Start the analysis" not in page


def test_two_clicks_are_one_analysis(browser: Client, paper: Paper) -> None:
    assert analyse(browser, paper).id == analyse(browser, paper).id
    assert Job.objects.count() == 1


@pytest.mark.parametrize("providers", [[], ["gemini"], ["no-such"]])
def test_only_providers_that_are_set_up_can_be_asked(browser: Client, paper: Paper, providers: list[str]) -> None:
    answer = browser.post(f"/papers/{paper.pk}/analyse", {"providers": providers})
    assert b'class="errorlist"' in answer.content
    assert not Job.objects.exists()


def test_without_any_provider_the_page_says_so(browser: Client, paper: Paper, settings: Settings) -> None:
    settings.AI_PROVIDERS = {}
    assert b"No provider is set up" in browser.get(f"/papers/{paper.pk}/").content


def test_a_job_that_waits_is_cancelled_at_once_and_can_be_retried(browser: Client, paper: Paper) -> None:
    job = analyse(browser, paper)
    browser.post(f"/papers/{paper.pk}/cancel")
    job.refresh_from_db()
    assert job.status == Status.CANCELLED
    part = browser.get(f"/papers/{paper.pk}/analyses").content.decode()
    assert ("Not completed" in part, part.count("Cancelled"), "Retry what failed" in part) == (True, 2, True)
    browser.post(f"/papers/{paper.pk}/retry")
    job.refresh_from_db()
    assert job.status == Status.PENDING
    assert set(Analysis.objects.values_list("status", flat=True)) == {"waiting"}


def test_a_job_that_operators_cancelled_can_be_retried(browser: Client, paper: Paper) -> None:
    job = analyse(browser, paper)
    cancel([job.id], actor="operator")
    assert b"Retry what failed" in browser.get(f"/papers/{paper.pk}/").content


def test_what_is_too_old_to_be_retried_is_told(browser: Client, paper: Paper) -> None:
    gone = uuid4()
    Analysis.objects.create(paper=paper, provider="openai", job=gone, run=1, status="failed", error="Too long.")
    assert AsyncResult(str(gone)).name is None
    page = browser.post(f"/papers/{paper.pk}/retry", follow=True).content.decode()
    assert "too old to be tried again" in page
    assert Analysis.objects.get().status == "failed"


def test_what_providers_said_is_shown_as_text(browser: Client, paper: Paper) -> None:
    said = {
        "summary": "<script>alert(1)</script>",
        "key_findings": ["They remember."],
        "methods": "A week of training.",
        "limitations": [],
        "quality": {"rigour": 7, "novelty": 5, "clarity": 9, "reproducibility": 4},
        "keywords": ["bees"],
    }
    Analysis.objects.create(paper=paper, provider="openai", job=uuid4(), run=1, status="done", structure=said)
    page = browser.get(f"/papers/{paper.pk}/").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<dt>Rigour</dt><dd>7 of 10</dd>" in page
    assert "Completed" in page
