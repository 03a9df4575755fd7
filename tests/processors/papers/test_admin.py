"""The paper manager in the admin: lists with search and filters, and the actions."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from jobs.models import Job, Status
from jobs.testing import assert_enqueued, perform
from processors.papers.models import Analysis, Call, Paper, ProviderState
from tests.processors.papers.rows import asked, paper
from tests.processors.papers.sandbox import ProvidersControl

pytestmark = pytest.mark.django_db

MODELS = [Paper, Analysis, Call, ProviderState]


@pytest.fixture
def failed(papers: ProvidersControl) -> Job:
    """A job of which one provider has answered and one refused the key."""
    papers.fail("anthropic", "unauthorized")
    return perform(asked())


def address(model: type, page: str = "changelist", *args: object) -> str:
    return reverse(f"admin:papers_{model.__name__.lower()}_{page}", args=args)


def act(client: Client, model: type, action: str, *keys: object) -> int:
    return client.post(address(model), {"action": action, "_selected_action": keys}).status_code


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_table_has_a_list_that_can_be_searched(admin_client: Client, failed: Job, model: type) -> None:
    for query in ({}, {"q": "bees"}, {"q": str(failed.id)}, {"q": "x"}):
        assert admin_client.get(address(model), query).status_code == 200
    row = model.objects.first()  # type: ignore[attr-defined]
    assert admin_client.get(address(model, "change", row.pk)).status_code == 200


def test_an_analysis_shows_what_it_says_and_its_job(admin_client: Client, failed: Job) -> None:
    done = Analysis.objects.get(job=failed.id, provider="openai")
    page = admin_client.get(address(Analysis, "change", done.pk)).content.decode()
    assert f"/jobs/{failed.id}" in page
    assert "key_findings" in page


def test_papers_are_analysed_by_all_that_have_a_key(admin_client: Client, papers: ProvidersControl) -> None:
    papers_ = [paper(), paper()]
    assert act(admin_client, Paper, "analyse", *(row.pk for row in papers_)) == 302
    for row in papers_:
        (job,) = assert_enqueued("ai_analysis", {"paperId": row.pk}, created_by="admin", count=1)
        assert job.payload["providers"] == ["openai", "anthropic", "gemini", "xai"]


def test_without_any_key_it_says_so(admin_client: Client, settings: Settings) -> None:
    settings.AI_PROVIDERS = {}
    answer = admin_client.post(address(Paper), {"action": "analyse", "_selected_action": paper().pk}, follow=True)
    assert "No provider has a key." in answer.content.decode()
    assert not Job.objects.exists()


def test_failed_analyses_are_tried_again(admin_client: Client, failed: Job) -> None:
    assert act(admin_client, Analysis, "retry", *Analysis.objects.values_list("pk", flat=True)) == 302
    assert Job.objects.get(id=failed.id).status == Status.PENDING


def test_a_provider_is_switched_on_again(admin_client: Client, failed: Job) -> None:
    off = ProviderState.off("anthropic")
    assert off is not None
    assert off.off_until is not None
    assert off.off_until > timezone.now() + timedelta(minutes=50)
    assert act(admin_client, ProviderState, "switch_on", "anthropic") == 302
    assert ProviderState.off("anthropic") is None


def test_who_may_only_look_may_not_act(client: Client, failed: Job) -> None:
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.set(
        Permission.objects.filter(codename__startswith="view_", content_type__app_label="papers")
    )
    client.force_login(reader)
    before = Job.objects.count()
    for model, action in ((Paper, "analyse"), (Analysis, "retry"), (ProviderState, "switch_on")):
        act(client, model, action, *model.objects.values_list("pk", flat=True))
    assert Job.objects.count() == before
    assert Job.objects.get(id=failed.id).status == Status.FAILED
    assert ProviderState.off("anthropic") is not None


def test_a_paper_keeps_its_id(admin_client: Client) -> None:
    row = paper(id="10.1038/s41586")
    fields = {"id": "another", "title": "Bees, revised", "text": row.text, "owner": ""}
    assert admin_client.post(address(Paper, "change", row.pk), fields).status_code == 302
    assert list(Paper.objects.values_list("pk", "title")) == [("10.1038/s41586", "Bees, revised")]
    assert admin_client.post(address(Paper, "add"), fields).status_code == 302
    assert Paper.objects.filter(pk="another").exists()
