"""The way to Flower: who may go it, and where it leads."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django.fixtures import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("uncollected")]


@pytest.fixture
def watcher() -> User:
    """Staff who may see jobs."""
    user = User.objects.create_user("watcher", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_job"))
    return user


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("staff", is_staff=True)


def test_visitors_log_in_first(client: Client) -> None:
    answer = client.get("/flower/tasks?search=bgg")
    assert (answer.status_code, answer.headers["Location"]) == (
        302,
        "/admin/login/?next=/flower/tasks%3Fsearch%3Dbgg",
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_then_they_are_sent_to_the_same_page_at_flowers_port(client: Client, watcher: User, host: str) -> None:
    client.force_login(watcher)
    answer = client.get("/flower/tasks?search=bgg", headers={"Host": f"{host}:8000"})
    assert f'content="0; url=http://{host}:5555/flower/tasks?search=bgg"' in answer.content.decode()
    page = client.get("/flower/", headers={"Host": host}).content.decode()
    assert f'<a href="http://{host}:5555/flower/">Go on</a>' in page


def test_not_everybody_may(client: Client, staff: User) -> None:
    client.force_login(staff)
    assert client.get("/flower/").status_code == 403
    assert client.get("/flower/auth").status_code == 401


def test_with_tls_there_is_no_other_port(client: Client, watcher: User, settings: Settings) -> None:
    client.force_login(watcher)
    settings.SESSION_COOKIE_SECURE = True
    assert client.get("/flower/").status_code == 404


def test_a_proxy_asks_who_may_pass(client: Client, watcher: User) -> None:
    assert client.get("/flower/auth").status_code == 401
    client.force_login(watcher)
    assert client.get("/flower/auth").status_code == 204
    watcher.is_active = False
    watcher.save()
    assert client.get("/flower/auth").status_code == 401


@pytest.mark.parametrize(
    ("wanted", "offered"),
    [
        ("/flower/tasks?a=1", "%2Fflower%2Ftasks%3Fa%3D1"),
        ("//evil.example/flower/", "%2Fflower%2F"),
        ("", "%2Fflower%2F"),
    ],
)
def test_who_may_not_is_shown_the_way(client: Client, wanted: str, offered: str) -> None:
    page = client.get("/flower/auth", headers={"X-Forwarded-Uri": wanted}).content.decode()
    assert f'<a href="/admin/login/?next={offered}">Log in</a>' in page
