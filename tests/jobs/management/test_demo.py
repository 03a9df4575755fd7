from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from jobs import keys
from jobs.management import demo, development
from jobs.models import Job
from jobs.processor import enqueue
from jobs.testing import perform

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(development, "HOME", tmp_path)
    monkeypatch.setattr(development, "CREDENTIALS", tmp_path / "credentials")
    monkeypatch.setattr(demo, "LOADED", tmp_path / "demo.json")


def test_every_room_takes_part_and_some_jobs_are_meant_to_fail() -> None:
    assert demo.load() == Job.objects.count()
    assert set(Job.objects.values_list("type", flat=True)) >= {"smoke", "bgg_sync", "bgg_bulk_sync", "cache_warmup"}
    assert Job.objects.filter(tags__contains=["fails"]).exists()


def report() -> str:
    out = StringIO()
    call_command("demo", "report", stdout=out)
    return out.getvalue()


def test_the_report_is_content_when_all_jobs_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    job = enqueue("smoke", {})
    monkeypatch.setattr(demo, "loaded", lambda: [job.id])
    with pytest.raises(CommandError):
        report()  # it has not run
    perform(job)
    head, line = report().splitlines()
    assert head.split("  ")[0] == "type"
    assert line.split()[:5] == ["smoke", "1", "1", "0", "0"]


def test_the_report_is_not_content_when_what_should_fail_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    job = enqueue("smoke", {}, tags=["fails"])
    perform(job)
    monkeypatch.setattr(demo, "loaded", lambda: [job.id])
    with pytest.raises(CommandError, match="as it should"):
        report()


def test_nothing_loaded_is_not_success() -> None:
    with pytest.raises(CommandError):
        report()


def test_the_login_and_the_key_stay_and_work(django_user_model: Any) -> None:
    call_command("demo_data")
    kept = development.read_credentials()
    call_command("demo_data")
    assert development.read_credentials() == kept
    assert keys.find(kept["DEMO_API_KEY"]) is not None
    user = django_user_model.objects.get(username=kept["DEMO_LOGIN"])
    assert user.is_staff
    assert user.check_password(kept["DEMO_PASSWORD"])


def test_a_key_that_the_database_does_not_know_is_made_anew() -> None:
    development.write_credentials(development.credentials() | {"DEMO_API_KEY": "old.key"})
    call_command("demo_data")
    assert keys.find(development.read_credentials()["DEMO_API_KEY"]) is not None
