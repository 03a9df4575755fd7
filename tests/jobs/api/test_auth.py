"""Who may call: keys with scopes, staff sessions with permissions and CSRF. Every call that the document tells of."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now
from django.test import Client

from jobs import keys
from jobs.api import api as the_api
from jobs.models import ApiKey
from tests.jobs.api.conftest import ALL_SCOPES, Api

GREET = {"type": "greet_guest", "payload": {"guestName": "Ada"}}
PATHS = {
    "jobId": "0199a1b2-0000-7000-8000-000000000000",
    "queueName": "nowhere",
    "workerName": "w:1",
    "jobName": "none",
}
BODIES = {"/api/jobs/admin": {"action": "cleanup"}}  # which permission it needs is in the body
CHANGING = {"post", "put", "patch", "delete"}


class Call(NamedTuple):
    method: str
    path: str
    scope: str
    permissions: list[str]
    by_token: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def send(self, client: Client) -> Any:
        return getattr(client, self.method)(self.path, BODIES.get(self.path), content_type="application/json")


def calls() -> Iterator[Call]:
    """Every call that the document tells of, and the administration's at its second address."""
    for path, operations in the_api.get_openapi_schema(path_prefix="api")["paths"].items():
        for method, operation in operations.items():
            needs: dict[str, list[str]] = {}
            for way in operation["security"]:
                needs |= way
            if "CronSecret" in needs:
                assert needs == {"CronSecret": []}  # nobody's key or session opens it: see test_cron
                continue
            (scope,) = needs["BearerKey"]
            call = Call(method, path.format_map(PATHS), scope, needs["StaffSession"], "ReadToken" in needs)
            yield call
            if path.startswith("/api/admin/"):
                yield call._replace(path=call.path.removeprefix("/api"))


CALLS = list(calls())
every_call = pytest.mark.parametrize("call", CALLS, ids=str)


@pytest.fixture
def staff(db: None, uncollected: None) -> User:
    return User.objects.create_user("ada", is_staff=True)


def allow(user: User, permissions: list[str]) -> None:
    known = Permission.objects.select_related("content_type")
    user.user_permissions.add(*(p for p in known if f"{p.content_type.app_label}.{p.codename}" in permissions))


@pytest.fixture
def session(staff: User) -> Client:
    client = Client()
    client.force_login(staff)
    return client


def test_the_document_tells_of_the_whole_contract() -> None:
    assert len(CALLS) > 60
    assert {call.scope for call in CALLS if "/admin/jobs/" in call.path} == {"jobs:admin"}
    assert all(call.scope != "jobs:read" for call in CALLS if call.method in CHANGING)


@every_call
def test_without_credentials_nobody_is_let_in(anonymous: Api, call: Call) -> None:
    response = call.send(anonymous.client)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["detail"] == "An API key or a staff session is needed."


@every_call
def test_a_key_needs_the_scope(db: None, uncollected: None, call: Call) -> None:
    others = [scope for scope in ALL_SCOPES if scope != call.scope]
    response = call.send(Api(keys.create("others", others)).client)
    assert (response.status_code, response.json()["detail"]) == (403, f"The API key lacks the scope {call.scope}.")
    assert call.send(Api(keys.create("right", [call.scope])).client).status_code not in (401, 403)


@every_call
def test_a_session_needs_the_permission(session: Client, staff: User, call: Call) -> None:
    response = call.send(session)
    needed = " or ".join(call.permissions)
    assert (response.status_code, response.json()["detail"]) == (403, f"The permission {needed} is needed.")
    allow(staff, call.permissions)
    assert call.send(session).status_code not in (401, 403)


@every_call
def test_a_user_who_is_not_staff_is_not_let_in(session: Client, staff: User, call: Call) -> None:
    User.objects.filter(pk=staff.pk).update(is_staff=False, is_superuser=True)
    assert call.send(session).status_code == 403


@every_call
def test_staff_who_may_only_look_change_nothing(session: Client, staff: User, call: Call) -> None:
    views = [
        f"{p.content_type.app_label}.{p.codename}" for p in Permission.objects.filter(codename__startswith="view_")
    ]
    allow(staff, views)
    may = call.method == "get" or call.path.endswith("/scheduler/validate")
    assert (call.send(session).status_code != 403) is may


@every_call
def test_a_session_that_changes_something_needs_its_csrf_token(staff: User, call: Call) -> None:
    User.objects.filter(pk=staff.pk).update(is_superuser=True)
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    assert (call.send(client).status_code == 403) is (call.method in CHANGING)


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("retry_failed_jobs", "jobs.retry_job"),
        ("cleanup", "jobs.delete_job"),
        ("pause", "jobs.pause_queue"),
        ("resume", "jobs.pause_queue"),
    ],
)
def test_each_action_needs_its_own_permission(session: Client, staff: User, action: str, permission: str) -> None:
    others = {"jobs.retry_job", "jobs.delete_job", "jobs.pause_queue"} - {permission}
    allow(staff, sorted(others))
    response = session.post("/api/jobs/admin", {"action": action}, content_type="application/json")
    assert (response.status_code, response.json()["detail"]) == (403, f"The permission {permission} is needed.")
    allow(staff, [permission])
    response = session.post("/api/jobs/admin", {"action": action}, content_type="application/json")
    assert response.status_code == 200


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
