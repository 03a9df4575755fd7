"""Who gets the files of a report, and where."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from jobs.models import Job
from jobs.processor import enqueue
from jobs.testing import perform
from processors.crm.models import ReportFile
from tests.processors.crm.rows import result_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def job() -> Job:
    return perform(enqueue("generate_report", {"kind": "revenue", "from": "2026-03-01", "to": "2026-03-31"}))


@pytest.fixture
def user(client: Client) -> User:
    """Logged in; may see jobs, and no report."""
    user = User.objects.create_user("ada", is_staff=True)
    allow(user, "view_job")
    client.force_login(user)
    return user


def allow(user: User, codename: str) -> None:
    user.user_permissions.add(Permission.objects.get(codename=codename))


def address(format_: str) -> str:
    return reverse("crm:report", args=[ReportFile.objects.get(format=format_).pk])


@pytest.mark.parametrize(("format_", "begins"), [("pdf", b"%PDF"), ("xlsx", b"PK")])
def test_who_may_see_reports_downloads_them(
    client: Client, user: User, job: Job, media: Path, format_: str, begins: bytes
) -> None:
    allow(user, "view_report")
    answer = client.get(address(format_))
    assert answer.status_code == 200
    assert answer.content.startswith(begins)
    assert answer["Content-Type"] == ReportFile.CONTENT_TYPES[format_]
    assert answer["Content-Disposition"] == f'attachment; filename="revenue-2026-03-01-2026-03-31.{format_}"'
    assert "no-store" in answer["Cache-Control"]


def test_others_do_not(client: Client, user: User, job: Job) -> None:
    assert client.get(address("pdf")).status_code == 403
    client.logout()
    assert client.get(address("pdf")).status_code == 302


def test_what_is_not_there_is_404(client: Client, user: User, job: Job, media: Path) -> None:
    allow(user, "view_report")
    assert client.get(reverse("crm:report", args=[0])).status_code == 404
    for file in media.rglob("*.pdf"):
        file.unlink()
    assert client.get(address("pdf")).status_code == 404


def test_the_jobs_page_links_to_them_for_who_may_see_reports(client: Client, user: User, job: Job) -> None:
    page = reverse("dashboard:job", args=[job.pk])
    link = f'href="{address("pdf")}"'
    assert link not in client.get(page).content.decode()
    allow(user, "view_report")
    assert link in client.get(page).content.decode()


def test_the_admin_links_to_them(admin_client: Client, job: Job) -> None:
    page = admin_client.get(reverse("admin:crm_report_changelist")).content.decode()
    assert address("pdf") in page
    assert address("xlsx") in page


def test_the_result_names_them(job: Job) -> None:
    sizes = {file.format: file.size for file in ReportFile.objects.all()}
    assert result_of(job)["files"] == [
        {
            "name": f"revenue-2026-03-01-2026-03-31.{format_}",
            "url": address(format_),
            "size": sizes[format_],
            "permission": "crm.view_report",
        }
        for format_ in ("pdf", "xlsx")
    ]


@pytest.mark.parametrize(
    "file",
    [
        {"name": "x", "url": "https://elsewhere.example/evil-one"},
        {"name": "x", "url": "//elsewhere.example/evil-one"},
        {"name": "x", "url": "javascript:evil-one"},
        {"name": "x", "url": ["evil-one"]},
        "evil-one",
    ],
)
def test_a_result_cannot_link_elsewhere(admin_client: Client, job: Job, file: Any) -> None:
    Job.objects.filter(pk=job.pk).update(result={"files": [file]})
    answer = admin_client.get(reverse("dashboard:job", args=[job.pk]))
    assert answer.status_code == 200
    assert 'id="files"' not in answer.content.decode()
