"""What Flower is told of queues, visitors and tasks, and where that is hooked in."""

import inspect
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import flower.events
import pytest
from django.contrib.auth.models import Permission, User
from django.db.models.functions import Now
from django.test import Client
from flower.api import BaseApiHandler
from flower.api.control import TaskRevoke
from flower.app import Flower
from flower.utils.authentication import authenticate, validate_auth_option
from flower.utils.blocking import BlockingOperationRunner
from flower.views import BaseHandler, auth
from tornado.options import options

from jobs import lifecycle
from jobs.celery import revoker
from jobs.flower import State, Threads, Visitor, lengths, site, visitor_of
from jobs.models import Worker
from jobs.processor import enqueue_many
from tests.jobs import stand_ins  # noqa: F401  (job types)


def visit(user: User) -> str:
    """The key of this user's session."""
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


def staff(*permissions: str) -> User:
    user = User.objects.create_user(f"staff-{uuid4()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


@pytest.mark.django_db
def test_queues_have_their_waiting_and_running_jobs_and_workers() -> None:
    enqueue_many([("greet_guest", {"guestName": "Ada"})] * 3 + [("refuse_guest", {})] * 2)
    enqueue_many([("greet_guest", {"guestName": "Ada"}, {"delay": 60})])
    lifecycle.claim({"default": 1}, 1, worker="w:1", lease=30)
    Worker.objects.create(name="w:1", pool="threads", queues=["default", "bgg"], concurrency=1)
    long_ago = Now() - timedelta(hours=1)
    Worker.objects.create(name="w:0", pool="threads", queues=["cpu"], concurrency=1, heartbeat_at=long_ago)
    shown = [tuple(queue.values()) for queue in lengths(["default", "elsewhere"])]
    assert [queue for queue in shown if queue[0] in ("bgg", "cpu", "default", "elsewhere")] == [
        ("bgg", 0, 0, 0, 1),
        ("cpu", 2, 2, 0, 0),
        ("default", 2, 2, 1, 1),
        ("elsewhere", 0, 0, 0, 0),
    ]


@pytest.mark.django_db
def test_visitors_are_staff_who_may_see_jobs() -> None:
    watcher, operator = staff("view_job"), staff("view_job", "change_job")
    root = User.objects.create_superuser("root")
    assert visitor_of(visit(watcher)) == Visitor(watcher.username, frozenset({"jobs.view_job"}))
    assert visitor_of(visit(operator)) == Visitor(operator.username, frozenset({"jobs.view_job", "jobs.change_job"}))
    visitor = visitor_of(visit(root))
    assert visitor is not None
    assert {"jobs.cancel_job", "jobs.drain_worker"} <= visitor.permissions


@pytest.mark.django_db
def test_nobody_else_is_a_visitor() -> None:
    assert visitor_of("made-up") is None
    assert visitor_of(visit(staff())) is None
    outsider = User.objects.create_user("outsider")
    outsider.user_permissions.set(Permission.objects.filter(codename="view_job"))
    assert visitor_of(visit(outsider)) is None
    watcher = staff("view_job")
    key = visit(watcher)
    User.objects.filter(pk=watcher.pk).update(is_active=False)
    assert visitor_of(key) is None


@pytest.mark.django_db
def test_a_session_ends_with_its_log_out_or_another_password() -> None:
    client, watcher = Client(), staff("view_job")
    client.force_login(watcher)
    key = client.cookies["sessionid"].value
    assert visitor_of(key) is not None
    client.logout()
    assert visitor_of(key) is None
    key = visit(watcher)
    watcher.set_password("another")
    watcher.save()
    assert visitor_of(key) is None


def test_calls_in_threads_know_on_whose_behalf() -> None:
    with Threads(1) as threads:
        before = revoker.set("somebody")
        told = threads.submit(revoker.get)
        revoker.reset(before)
        assert (told.result(), threads.submit(revoker.get).result()) == ("somebody", "revoke")


def test_the_way_back_to_the_site() -> None:
    request = SimpleNamespace(headers={}, host_name="127.0.0.1")
    assert site(SimpleNamespace(request=request), "/flower/tasks") == "http://127.0.0.1:8000/flower/tasks"
    request.headers["X-Forwarded-Proto"] = "https"
    assert site(SimpleNamespace(request=request), "/flower/tasks") == "/admin/login/?next=%2Fflower%2Ftasks"


def test_a_merged_event_counts_as_received_once() -> None:
    state, event = State(), {"uuid": str(uuid4()), "hostname": "w", "clock": 1, "timestamp": 1.0, "local_received": 1.0}
    state.event({**event, "type": "task-started", "received": 1.0, "started": 1.0})
    state.event({**event, "type": "task-succeeded", "succeeded": 1.0})
    state.event({**event, "type": "task-received", "uuid": str(uuid4()), "received": 1.0})
    assert state.counter["w"] == {"task-started": 1, "task-received": 2, "task-succeeded": 1}


def test_seams_of_flower_2_2() -> None:
    """Where `jobs.flower.fit` hooks in: a release that moves one of them must be met here."""
    assert {"get_broker", "check_xsrf_cookie", "get_current_user"} <= vars(BaseHandler).keys()
    assert "prepare" not in vars(BaseHandler)
    assert "prepare" in vars(BaseApiHandler)
    assert "get" in vars(auth.LogoutHandler)
    assert "instantiate(options.auth_provider" in inspect.getsource(auth.LoginHandler)
    assert "self.capp.control.revoke" in inspect.getsource(TaskRevoke.post)
    assert "EventsState(max_tasks_in_memory" in inspect.getsource(flower.events.Events)
    assert "self.counter[worker][event_type] += 1" in inspect.getsource(flower.events.EventsState.event)
    assert Flower.pool_executor_cls is ThreadPoolExecutor
    assert "set_default_executor(self.executor)" in inspect.getsource(Flower.__init__)
    assert "run_in_executor" in inspect.getsource(BlockingOperationRunner.run)


def test_options_of_flower_2_2() -> None:
    """What config/flowerconfig.py sets exists, and `auth` is a form that Flower takes and nobody fits."""
    named = {"address", "port", "url_prefix", "auth", "auth_provider", "tasks_columns", "max_tasks", "logging"}
    assert named | {"purge_offline_workers"} <= set(options)
    assert validate_auth_option("nobody@localhost")
    assert not authenticate("nobody@localhost", "root")
