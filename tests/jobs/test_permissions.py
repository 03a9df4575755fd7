"""Who may do what, role by role and door by door: a door that is missing in these tables fails a test."""

from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.test import Client
from django.urls import URLPattern, reverse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from jobs import roles
from jobs.dashboard import jobactions, urls
from jobs.models import AlertRule, ErrorGroup, Job, Queue, Worker
from jobs.processor import enqueue
from tests.jobs import stand_ins as stand_ins  # registers job types

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("uncollected")]

VIEW, ADD, CHANGE = "jobs.view_job", "jobs.add_job", "jobs.change_job"
BEAT = "django_celery_beat"
ROLES = ("anonymous", "staff", "Read-only", "Operators", "superuser")


class Door(NamedTuple):
    """A page or button of the dashboard, and what one must be allowed to get through."""

    name: str
    needs: str
    method: str = "get"
    arguments: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    also: tuple[str, ...] = ()

    @property
    def all_it_needs(self) -> set[str]:
        return {VIEW, self.needs, *self.also}


def button(name: str, needs: str, **more: Any) -> Door:
    return Door(name, needs, "post", **more)


BULK = {"retry": "jobs.retry_job", "cancel": "jobs.cancel_job", "delete": "jobs.delete_job", "priority": CHANGE}
DOORS = [
    *(Door(name, VIEW) for name in ("overview", "jobs", "live", "queues", "workers", "errors", "audit", "alerts")),
    *(Door(name, VIEW) for name in ("job", "queue", "error")),
    Door("export", VIEW, arguments={"kind": "json"}),
    Door("new", ADD),
    Door("rerun", ADD),
    *(
        button("job-action", needs, arguments={"action": action}, fields={"new_priority": "5"})
        for action, (needs, _) in jobactions.ACTIONS.items()
    ),
    *(Door("bulk", needs, fields={"action": action, "q": "status:failed"}) for action, needs in BULK.items()),
    *(button("selected", needs, fields={"action": action, "new_priority": "5"}) for action, needs in BULK.items()),
    button("pause", "jobs.pause_queue"),
    button("resume", "jobs.pause_queue"),
    button("limit", "jobs.change_queue"),
    button("clean", "jobs.delete_job"),
    button("drain", "jobs.drain_worker"),
    *(Door(name, f"{BEAT}.view_periodictask") for name in ("schedules", "schedule")),
    Door("new-schedule", f"{BEAT}.add_periodictask", also=(ADD,)),
    Door("edit-schedule", f"{BEAT}.change_periodictask"),
    Door("schedule-preview", VIEW),
    Door("schedule-payload", VIEW),
    button("start-schedule", f"{BEAT}.change_periodictask"),
    button("stop-schedule", f"{BEAT}.change_periodictask"),
    button("run-schedule", ADD, also=(f"{BEAT}.view_periodictask",)),
    button("delete-schedule", f"{BEAT}.delete_periodictask"),
    button("retry-all", "jobs.retry_job"),
    button("resolve", "jobs.change_errorgroup"),
    button("reopen", "jobs.change_errorgroup"),
    *(button(name, "jobs.change_alertrule") for name in ("silence-rule", "unsilence-rule", "try-rule")),
]


def name_of(door: Door) -> str:
    return "-".join([door.name, *map(str, {**door.arguments, **door.fields}.values())])


@pytest.fixture
def rows() -> dict[str, Any]:
    """One of each, and what addresses take."""
    job = enqueue("greet_guest", {"guestName": "Ada"})
    every = IntervalSchedule.objects.create(every=1, period="hours")
    PeriodicTask.objects.create(name="greetings", task="greet_guest", kwargs='{"guestName": "x"}', interval=every)
    Worker.objects.create(name="io-1@host:ab", pool="threads", concurrency=4)
    seen = {"first_seen_at": timezone.now(), "last_seen_at": timezone.now()}
    ErrorGroup.objects.create(fingerprint="f" * 32, type="greet_guest", error="ValueError", sample=job.id, **seen)
    return {
        "job_id": job.id,
        "fingerprint": "f" * 32,
        "rule_id": AlertRule.objects.create(name="Watch", kind=AlertRule.Kind.BACKLOG, threshold=1).pk,
    }


def address(door: Door, rows: dict[str, Any]) -> str:
    names = {"drain": "io-1@host:ab"} | dict.fromkeys(("queue", "pause", "resume", "limit", "clean"), "default")
    known = {**rows, "name": names.get(door.name, "greetings"), **door.arguments}
    pattern = next(pattern for pattern in patterns() if pattern.name == door.name)
    return reverse(f"dashboard:{door.name}", kwargs={name: known[name] for name in pattern.pattern.converters})


def patterns() -> list[URLPattern]:
    return [pattern for pattern in urls.urlpatterns if isinstance(pattern, URLPattern)]


def knock(client: Client, door: Door, rows: dict[str, Any]) -> int:
    """The status of the answer. A stream's is known before it streams."""
    response: Any = getattr(client, door.method)(address(door, rows), door.fields)
    to_login = response.status_code == 302 and response["Location"].startswith("/admin/login/")
    return 401 if to_login else int(response.status_code)


def with_role(role: str) -> User | AnonymousUser:
    if role == "anonymous":
        return AnonymousUser()
    user = User.objects.create_user(role, is_staff=True, is_superuser=role == "superuser")
    if role in roles.GROUPS:
        user.groups.add(Group.objects.get(name=role))
    return user


def with_permissions(*permissions: str) -> User:
    user = User.objects.create_user(f"staff-{uuid4().hex[:8]}", is_staff=True)
    known = Permission.objects.select_related("content_type")
    user.user_permissions.add(*(p for p in known if f"{p.content_type.app_label}.{p.codename}" in permissions))
    return user


def visitor(user: User | AnonymousUser) -> Client:
    client = Client()
    if isinstance(user, User):
        client.force_login(user)
    return client


def test_every_page_and_button_of_the_dashboard_is_in_the_table() -> None:
    assert {door.name for door in DOORS} == {pattern.name for pattern in patterns()}
    assert {door.arguments.get("action") for door in DOORS if door.name == "job-action"} == jobactions.ACTIONS.keys()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("door", DOORS, ids=name_of)
def test_a_role_gets_through_the_doors_that_are_its_own(door: Door, role: str, rows: dict[str, Any]) -> None:
    user = with_role(role)
    status = knock(visitor(user), door, rows)
    if role == "anonymous":
        assert status == (403 if door.name == "live" else 401)  # a stream leads nobody to the log-in
    elif role == "superuser" or all(user.has_perm(permission) for permission in door.all_it_needs):
        assert status in (200, 302)
    else:
        assert status == 403


@pytest.mark.parametrize("door", DOORS, ids=name_of)
def test_no_other_permission_opens_a_door(door: Door, rows: dict[str, Any]) -> None:
    everything = {f"{p.content_type.app_label}.{p.codename}" for p in Permission.objects.select_related("content_type")}
    assert knock(visitor(with_permissions(*everything - {door.needs})), door, rows) == 403
    assert knock(visitor(with_permissions(*door.all_it_needs)), door, rows) in (200, 302)


@pytest.mark.parametrize("door", [door for door in DOORS if door.method == "post"], ids=name_of)
def test_a_button_is_no_link_and_wants_its_token(door: Door, rows: dict[str, Any]) -> None:
    before = list(Job.objects.values()), list(Queue.objects.values()), list(AlertRule.objects.values())
    superuser = User.objects.create_superuser("superuser")
    assert knock(visitor(superuser), door._replace(method="get"), rows) in (302, 404, 405)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(superuser)
    assert knock(strict, door, rows) == 403
    assert (list(Job.objects.values()), list(Queue.objects.values()), list(AlertRule.objects.values())) == before


def test_who_may_read_may_change_nothing() -> None:
    names = {door.name for door in DOORS if with_role_can("Read-only", door)}
    assert names == {door.name for door in DOORS if door.method == "get" and ".view_" in door.needs}


def with_role_can(role: str, door: Door) -> bool:
    return all(roles.is_granted(role, permission.partition(".")[2]) for permission in door.all_it_needs)
