"""Who may call: keys with scopes, staff sessions with permissions and CSRF."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now
from django.test import Client

from jobs import keys
from jobs.models import ApiKey
from tests.jobs.api.conftest import ALL_SCOPES, Api

JOB = "0199a1b2-0000-7000-8000-000000000000"
GREET = {"type": "greet_guest", "payload": {"guestName": "Ada"}}
CALLS: list[tuple[str, str, Any, str, str, int]] = [  # method, path, body, scope, permission, status when let in
    ("post", "/api/jobs/enqueue", GREET, "jobs:write", "add_job", 202),
    ("post", "/api/jobs", GREET, "jobs:write", "add_job", 202),
    ("get", f"/api/jobs/{JOB}", None, "jobs:read", "view_job", 404),
    ("get", f"/api/jobs/status/{JOB}", None, "jobs:read", "view_job", 404),
    ("delete", f"/api/jobs/{JOB}", None, "jobs:write", "change_job", 404),
    ("post", f"/api/jobs/{JOB}/retry", None, "jobs:write", "change_job", 404),
    ("get", "/api/jobs/types", None, "jobs:read", "view_job", 200),
    ("get", "/api/jobs/health", None, "jobs:read", "view_job", 503),
]
every_call = pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call[0]} {call[1]}")
Call = tuple[str, str, Any, str, str, int]


def send(client: Client, call: Call) -> Any:
    method, path, body, *_ = call
    return getattr(client, method)(path, body, content_type="application/json")


@pytest.fixture
def staff(db: None, uncollected: None) -> User:
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture
def session(staff: User) -> Client:
    client = Client()
    client.force_login(staff)
    return client


@every_call
def test_without_credentials_nobody_is_let_in(anonymous: Api, call: Call) -> None:
    response = send(anonymous.client, call)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["detail"] == "An API key or a staff session is needed."


@every_call
def test_a_key_needs_the_scope(db: None, uncollected: None, call: Call) -> None:
    others = [scope for scope in ALL_SCOPES if scope != call[3]]
    response = send(Api(keys.create("others", others)).client, call)
    assert (response.status_code, response.json()["detail"]) == (403, f"The API key lacks the scope {call[3]}.")
    assert send(Api(keys.create("right", [call[3]])).client, call).status_code == call[5]


@every_call
def test_a_session_needs_the_permission(session: Client, staff: User, call: Call) -> None:
    response = send(session, call)
    assert (response.status_code, response.json()["detail"]) == (403, f"The permission jobs.{call[4]} is needed.")
    staff.user_permissions.add(Permission.objects.get(codename=call[4], content_type__app_label="jobs"))
    assert send(session, call).status_code == call[5]


def test_a_user_who_is_not_staff_is_not_let_in(session: Client, staff: User) -> None:
    User.objects.filter(pk=staff.pk).update(is_staff=False, is_superuser=True)
    assert session.get("/api/jobs/types").status_code == 403


def test_a_session_that_writes_needs_its_csrf_token(staff: User) -> None:
    User.objects.filter(pk=staff.pk).update(is_superuser=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    for content_type in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        response = client.post("/api/jobs/enqueue", "{}", content_type=content_type)
        assert (response.status_code, response.json()["detail"]) == (403, "The CSRF token is missing or wrong.")

    client.get("/admin/")
    token = client.cookies["csrftoken"].value
    response = client.post("/api/jobs/enqueue", GREET, content_type="application/json", headers={"X-CSRFToken": token})
    assert response.status_code == 202


def test_a_key_needs_no_csrf_token(db: None, uncollected: None) -> None:
    client = Client(enforce_csrf_checks=True, headers={"Authorization": f"bearer {keys.create('k', ['jobs:write'])}"})
    assert client.post("/api/jobs/enqueue", GREET, content_type="application/json").status_code == 202


@pytest.mark.parametrize("key", ["", "x", "abc.def", "….é", "a" * 10_000, "no-prefix."])
def test_a_wrong_key_is_refused(db: None, uncollected: None, key: str) -> None:
    response = Client(headers={"Authorization": f"Bearer {key}"}).get("/api/jobs/types")
    assert (response.status_code, response.json()["detail"]) == (401, "The API key is unknown or has expired.")


def test_another_secret_with_a_right_prefix_is_refused(db: None, uncollected: None) -> None:
    prefix = keys.create("k", ["jobs:read"]).partition(".")[0]
    assert Api(f"{prefix}.{'x' * 43}").get("/api/jobs/types")[0] == 401


def test_an_expired_key_is_refused(db: None, uncollected: None) -> None:
    api = Api(keys.create("k", ["jobs:read"]))
    ApiKey.objects.update(expires_at=Now() + timedelta(minutes=1))
    assert api.get("/api/jobs/types")[0] == 200
    ApiKey.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert api.get("/api/jobs/types")[0] == 401


def test_a_wrong_key_is_refused_even_beside_a_good_session(session: Client, staff: User) -> None:
    User.objects.filter(pk=staff.pk).update(is_superuser=True)
    assert session.get("/api/jobs/types").status_code == 200
    assert session.get("/api/jobs/types", headers={"Authorization": "Bearer a.b"}).status_code == 401


def test_another_scheme_is_no_credential(db: None, uncollected: None) -> None:
    assert Client(headers={"Authorization": "Basic YTpi"}).get("/api/jobs/types").status_code == 401
