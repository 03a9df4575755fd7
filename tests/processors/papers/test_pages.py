"""The pages of the paper manager, without a visitor: who sees what, what is refused, which jobs are made."""

from uuid import uuid4

import pytest
from celery.result import AsyncResult
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from jobs import cancel
from jobs.models import Job, Status
from jobs.testing import perform
from processors.papers.models import Analysis, Paper
from tests.processors.papers.sandbox import ProvidersControl
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
    return User.objects.create_user("ada")


@pytest.fixture
def visitor(ada: User) -> Client:
    """Ada's, and she is nobody's operator."""
    client = Client()
    client.force_login(ada)
    return client


@pytest.fixture
def paper(ada: User) -> Paper:
    return Paper.objects.create(owner=ada, title="Bees on caffeine", text=SENTENCE)


def upload(visitor: Client, content: bytes, **fields: str) -> None:
    visitor.post("/papers/", {"file": SimpleUploadedFile("paper", content), **fields})


def analyse(visitor: Client, paper: Paper, *providers: str) -> Job:
    answer = visitor.post(f"/papers/{paper.pk}/analyse", {"providers": providers or KEYS})
    assert (answer.status_code, answer["Location"]) == (302, f"/papers/{paper.pk}/")
    return Job.objects.latest("created_at")


def test_a_pdf_becomes_a_paper_with_its_title(visitor: Client, ada: User) -> None:
    upload(visitor, pdf([SENTENCE] * 4, title="Bees"))
    paper = Paper.objects.get()
    assert (paper.owner, paper.title, paper.text.count(SENTENCE)) == (ada, "Bees", 4)
    assert b"<h1>Bees</h1>" in visitor.get(f"/papers/{paper.pk}/").content


def test_a_title_that_is_given_is_kept(visitor: Client) -> None:
    upload(visitor, SENTENCE.encode(), title="Mine")
    assert Paper.objects.get().title == "Mine"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "The file is empty."),
        (b"\x89PNG\0", "The file is neither a PDF nor text in UTF-8."),
        (b"x" * (10 * 1024 * 1024 + 1), "The file is larger than 10 MB."),
    ],
)
def test_a_file_that_is_no_paper_is_refused_on_the_page(visitor: Client, content: bytes, why: str) -> None:
    answer = visitor.post("/papers/", {"file": SimpleUploadedFile("paper.pdf", content)})
    assert why in answer.content.decode()
    assert not Paper.objects.exists()


def test_no_file_is_asked_for(visitor: Client) -> None:
    assert b"Choose a file." in visitor.post("/papers/", {}).content


def test_whoever_is_not_logged_in_is_led_to_the_log_in(paper: Paper) -> None:
    for path in ("/papers/", f"/papers/{paper.pk}/", f"/papers/{paper.pk}/analyses"):
        answer = Client().get(path)
        assert (answer.status_code, answer["Location"]) == (302, f"/papers/login?next={path}")
    assert Client().post(f"/papers/{paper.pk}/analyse", {"providers": KEYS}).status_code == 302
    assert not Job.objects.exists()


def test_a_user_who_is_not_staff_logs_in_and_out(ada: User, paper: Paper) -> None:
    ada.set_password("let me in")
    ada.save()
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


def test_an_analysis_is_a_job_and_the_page_follows_it(visitor: Client, paper: Paper) -> None:
    job = analyse(visitor, paper)
    assert (job.type, job.status, job.payload) == (
        "ai_analysis",
        Status.PENDING,
        {"paperId": paper.pk, "providers": ["openai", "anthropic"]},
    )
    rows = Analysis.objects.values_list("job", "provider", "status").order_by("provider")
    assert list(rows) == [(job.id, "anthropic", "waiting"), (job.id, "openai", "waiting")]
    page = visitor.get(f"/papers/{paper.pk}/").content.decode()
    assert f'<job-progress job-id="{job.id}" token="' in page
    assert "0 of 2 have answered" in page
    assert "data-analyse hidden" in page


def test_a_paper_whose_id_has_slashes_has_its_pages(visitor: Client, ada: User, papers: ProvidersControl) -> None:
    paper = Paper.objects.create(id="10.1038/s41586/9", owner=ada, title="Bees on caffeine", text=SENTENCE)
    assert b"/papers/10.1038/s41586/9/" in visitor.get("/papers/").content
    job = analyse(visitor, paper)
    assert perform(job.id).status == Status.COMPLETED
    for path in ("", "analyses"):
        assert b"Completed" in visitor.get(f"/papers/{paper.pk}/{path}").content
    assert visitor.get("/papers/10.1038/s41586/").status_code == 404


def test_two_clicks_are_one_analysis(visitor: Client, paper: Paper) -> None:
    assert analyse(visitor, paper).id == analyse(visitor, paper).id
    assert Job.objects.count() == 1


@pytest.mark.parametrize("providers", [[], ["gemini"], ["no-such"]])
def test_only_providers_that_are_set_up_can_be_asked(visitor: Client, paper: Paper, providers: list[str]) -> None:
    answer = visitor.post(f"/papers/{paper.pk}/analyse", {"providers": providers})
    assert b'class="errorlist"' in answer.content
    assert not Job.objects.exists()


def test_without_any_provider_the_page_says_so(visitor: Client, paper: Paper, settings: Settings) -> None:
    settings.AI_PROVIDERS = {}
    assert b"No provider is set up" in visitor.get(f"/papers/{paper.pk}/").content


def test_a_job_that_waits_is_cancelled_at_once_and_can_be_retried(visitor: Client, paper: Paper) -> None:
    job = analyse(visitor, paper)
    visitor.post(f"/papers/{paper.pk}/cancel")
    job.refresh_from_db()
    assert job.status == Status.CANCELLED
    part = visitor.get(f"/papers/{paper.pk}/analyses").content.decode()
    assert ("Not completed" in part, part.count("Cancelled"), "Retry what failed" in part) == (True, 2, True)
    visitor.post(f"/papers/{paper.pk}/retry")
    job.refresh_from_db()
    assert job.status == Status.PENDING
    assert set(Analysis.objects.values_list("status", flat=True)) == {"waiting"}


def test_a_job_that_operators_cancelled_can_be_retried(visitor: Client, paper: Paper) -> None:
    job = analyse(visitor, paper)
    cancel([job.id], actor="operator")
    page = visitor.get(f"/papers/{paper.pk}/").content.decode()
    assert ("Retry what failed" in page, page.count("Stopped"), "Waiting" in page) == (True, 2, False)


def test_what_failed_is_asked_again_and_nothing_else(visitor: Client, paper: Paper, papers: ProvidersControl) -> None:
    papers.fail("anthropic", "refusal")
    job = analyse(visitor, paper)
    perform(job.id)
    page = visitor.get(f"/papers/{paper.pk}/").content.decode()
    assert ("Partly completed" in page, "the model refuses" in page, "<job-progress" in page) == (True, True, False)
    visitor.post(f"/papers/{paper.pk}/retry")
    assert "1 of 2 have answered" in visitor.get(f"/papers/{paper.pk}/").content.decode()
    perform(job.id)
    assert "<h2>Completed</h2>" in visitor.get(f"/papers/{paper.pk}/").content.decode()
    assert [papers.received(name)["total"] for name in KEYS] == [1, 2]


def test_what_is_too_old_to_be_retried_is_told(visitor: Client, paper: Paper) -> None:
    gone = uuid4()
    Analysis.objects.create(paper=paper, provider="openai", job=gone, run=1, status="failed", error="Too long.")
    assert AsyncResult(str(gone)).name is None
    page = visitor.post(f"/papers/{paper.pk}/retry", follow=True).content.decode()
    assert "too old to be tried again" in page
    assert Analysis.objects.get().status == "failed"


def test_what_providers_said_is_shown_as_text(visitor: Client, paper: Paper) -> None:
    said = {
        "summary": "<script>alert(1)</script>",
        "key_findings": ["They remember."],
        "methods": "A week of training.",
        "limitations": [],
        "quality": {"rigour": 7, "novelty": 5, "clarity": 9, "reproducibility": 4},
        "keywords": ["bees"],
    }
    Analysis.objects.create(paper=paper, provider="openai", job=uuid4(), run=1, status="done", structure=said)
    page = visitor.get(f"/papers/{paper.pk}/").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<dt>Rigour</dt><dd>7 of 10</dd>" in page
    assert "Completed" in page
