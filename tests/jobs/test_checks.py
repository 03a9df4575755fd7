import pytest
from django.conf import settings
from django.core.checks import run_checks
from pytest_django import Settings

from jobs import checks
from jobs.models import Queue


def ids() -> list[str | None]:
    return [message.id for message in run_checks() if message.is_serious()]


def test_the_settings_of_the_tests_are_sound() -> None:
    assert ids() == []
    assert checks.configuration_problems() == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"DEBUG": True, "ALLOWED_HOSTS": ["localhost", "jobs.example"]}, "jobs.E001"),
        ({"SECRET_KEY": settings.DEFAULT_SECRET_KEY}, "jobs.E002"),
        ({"ALLOWED_HOSTS": []}, "jobs.E003"),
        ({"ALLOWED_HOSTS": ["jobs.example"], "SECURE_SSL_REDIRECT": False}, "jobs.E004"),
        ({"JOBS_QUEUES": {"default": {"worker": "nobody"}}}, "jobs.E006"),
        ({"JOBS_WORKERS": {"io": {"pool": "gevent"}, "cpu": {"pool": "prefork"}}}, "jobs.E007"),
    ],
)
def test_what_is_wrong_has_an_id(settings: Settings, change: dict[str, object], error: str) -> None:
    for name, value in change.items():
        setattr(settings, name, value)
    assert ids() == [error]


def test_development_needs_nothing(settings: Settings) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS, settings.SECRET_KEY = True, [], settings.DEFAULT_SECRET_KEY
    assert ids() == []


def test_this_machine_needs_no_tls(settings: Settings) -> None:
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["localhost", "127.0.0.1", "[::1]"], False
    assert ids() == []


@pytest.mark.parametrize(
    ("url", "errors"),
    [("redis://localhost/0", ["jobs.E005"]), ("redis://:secret@localhost/0", []), ("redis://me:secret@localhost", [])],
)
def test_redis_needs_a_password_in_a_deployment(settings: Settings, url: str, errors: list[str]) -> None:
    settings.REDIS_URL = url
    assert [message.id for message in checks.check_redis(None)] == errors


@pytest.mark.django_db
def test_a_worker_for_known_queues_may_start() -> None:
    assert checks.worker_problems(["default", "bgg"]) == []


@pytest.mark.django_db
def test_a_worker_is_told_each_unknown_queue_and_the_autoscaler() -> None:
    assert checks.worker_problems(["default", "nope", "nada"], autoscale=True) == [
        "There is no queue 'nope' in JOBS_QUEUES.",
        "There is no queue 'nada' in JOBS_QUEUES.",
        "Celery's autoscaler is not supported: set the concurrency.",
    ]


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_told_of_a_queue_that_was_added_since_the_last_migrate() -> None:
    Queue.objects.filter(name="bgg").delete()
    (problem,) = checks.worker_problems(["default", "bgg"])
    assert problem == "The queue 'bgg' has no row, so no job of it is taken: run manage.py migrate."
