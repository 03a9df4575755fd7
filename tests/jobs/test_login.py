"""Logging in, and being kept out of it for a while."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("uncollected", "ada")]

HOME, OFFICE = "198.51.100.7", "203.0.113.9"
LogIn = Callable[..., Any]


@pytest.fixture
def ada() -> User:
    return User.objects.create_superuser("ada", password="let me in")


@pytest.fixture(autouse=True)
def three_times(settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = 3


@pytest.fixture
def log_in(client: Client) -> LogIn:
    """Send the form; returns the answer."""

    def send(password: str, name: str = "ada", address: str = HOME, **headers: str) -> Any:
        form = {"username": name, "password": password, "next": "/admin/"}
        return client.post("/admin/login/", form, REMOTE_ADDR=address, headers=headers)

    return send


def keep_out(log_in: LogIn, **whom: str) -> Any:
    return [log_in("wrong", **whom) for _ in range(3)][-1]


def test_the_right_password_lets_in(log_in: LogIn) -> None:
    answer = log_in("let me in")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")


def test_a_few_wrong_ones_do_no_harm(log_in: LogIn) -> None:
    assert [log_in("wrong").status_code for _ in range(2)] == [200, 200]
    assert log_in("let me in").status_code == 302
    assert AccessAttempt.objects.count() == 0  # and are forgotten then
    assert [log_in("wrong").status_code for _ in range(2)] == [200, 200]


def test_who_fails_too_often_is_told_when_to_come_again(log_in: LogIn) -> None:
    answer = keep_out(log_in)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "900")
    page = answer.content.decode()
    assert "Too many failed log-ins. Try again in 15 min." in page
    assert "correct username and password" not in page


def test_then_even_the_right_password_is_refused(log_in: LogIn, client: Client) -> None:
    keep_out(log_in)
    assert log_in("let me in").status_code == 429
    assert client.get("/admin/").status_code == 302


def test_trying_again_does_not_make_it_longer(log_in: LogIn) -> None:
    keep_out(log_in)
    AccessAttempt.objects.update(attempt_time=AccessAttempt.objects.get().attempt_time - timedelta(minutes=10))
    assert int(log_in("wrong").headers["Retry-After"]) <= 300


def test_after_that_time_the_right_password_lets_in(log_in: LogIn) -> None:
    keep_out(log_in)
    AccessAttempt.objects.update(attempt_time=AccessAttempt.objects.get().attempt_time - timedelta(minutes=15))
    assert log_in("let me in").status_code == 302


def test_others_at_the_same_address_get_in(log_in: LogIn) -> None:
    User.objects.create_superuser("grace", password="me too")
    keep_out(log_in)
    assert log_in("me too", name="grace").status_code == 302


def test_the_same_user_gets_in_elsewhere(log_in: LogIn) -> None:
    keep_out(log_in)
    assert log_in("let me in", address=OFFICE).status_code == 302


def test_another_browser_is_no_way_around(log_in: LogIn) -> None:
    answers = [log_in("wrong", **{"User-Agent": f"browser {n}"}).status_code for n in range(3)]
    assert answers == [200, 200, 429]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP"])
def test_no_header_makes_another_address_of_it(log_in: LogIn, header: str) -> None:
    for number in range(3):
        log_in("wrong", **{header: f"192.0.2.{number}"})
    assert log_in("let me in", **{header: "192.0.2.99"}).status_code == 429
    assert {attempt.ip_address for attempt in AccessAttempt.objects.all()} == {HOME}


@pytest.mark.parametrize("name", ["", "\x00", "a" * 10_000, "нет", "' OR 1=1 --"])
def test_hostile_names_are_refused_like_others(log_in: LogIn, name: str) -> None:
    assert [log_in("wrong", name=name).status_code for _ in range(2)] == [200, 200]


def test_neither_password_nor_name_is_written_down(log_in: LogIn, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            log_in("sesame", name="my-password-in-the-wrong-field")
    assert "sesame" not in caplog.text
    assert "my-password-in-the-wrong-field" not in caplog.text
    attempt = AccessAttempt.objects.get()
    assert "sesame" not in attempt.post_data + attempt.get_data


def test_an_administrator_lets_somebody_in_again(log_in: LogIn, admin_client: Client) -> None:
    keep_out(log_in)
    attempt = AccessAttempt.objects.get()
    assert "ada" in admin_client.get("/admin/axes/accessattempt/").content.decode()
    admin_client.post(f"/admin/axes/accessattempt/{attempt.pk}/delete/", {"post": "yes"})
    assert log_in("let me in").status_code == 302
