"""Who may do what in the Django admin, role by role and action by action: an action missing here fails a test."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model
from django.test import RequestFactory

from jobs import roles
from jobs.models import Worker
from jobs.processor import enqueue
from tests.jobs.test_permissions import ROLES, visitor, with_permissions, with_role

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("uncollected")]

RETRY, CANCEL, CHANGE, ADD = "jobs.retry_job", "jobs.cancel_job", "jobs.change_job", "jobs.add_job"
PAUSE, DRAIN, RESOLVE = "jobs.pause_queue", "jobs.drain_worker", "jobs.change_errorgroup"
SCHEDULE = "django_celery_beat.change_periodictask"
ON_LISTS = {
    ("job", "retry_jobs"): RETRY,
    ("job", "cancel_jobs"): CANCEL,
    ("job", "rerun_jobs"): ADD,
    **{("job", f"priority_{name}"): CHANGE for name in ("critical", "high", "normal", "low", "batch")},
    ("queue", "pause_queues"): PAUSE,
    ("queue", "resume_queues"): PAUSE,
    ("worker", "drain_workers"): DRAIN,
    ("errorgroup", "resolve"): RESOLVE,
    ("errorgroup", "reopen"): RESOLVE,
    ("periodictask", "enable_tasks"): SCHEDULE,
    ("periodictask", "disable_tasks"): SCHEDULE,
    ("periodictask", "run_tasks"): ADD,
    ("game", "synchronise"): "bgg.change_game",
    ("customer", "synchronise"): ADD,
    ("promotion", "send_to_all"): ADD,
    ("opportunity", "make_offers"): ADD,
    **{("opportunity", action): "crm.change_opportunity" for action in ("qualify", "win", "lose")},
    ("visit", "remind"): ADD,
    ("visit", "ask_for_review"): ADD,
    ("invoice", "charge"): ADD,
    ("invoice", "make_void"): "crm.change_invoice",
    ("paper", "analyse"): ADD,
    ("analysis", "retry"): RETRY,
    ("providerstate", "switch_on"): "papers.change_providerstate",
    **{("character", action): ADD for action in ("new_tokens", "refresh", "collect")},
    ("grant", "new_tokens"): ADD,
    ("esianswer", "clean"): ADD,
    ("snapshot", "refresh"): ADD,
}
ON_PAGES = {
    ("job", "retry_job"): RETRY,
    ("job", "cancel_job"): CANCEL,
    ("job", "rerun_job"): ADD,
    ("job", "prioritise_job"): CHANGE,
    ("queue", "pause_queue"): PAUSE,
    ("queue", "resume_queue"): PAUSE,
    ("worker", "drain_worker"): DRAIN,
}
PAGES: list[tuple[type[Model], Any]] = sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label)


def name(model: type[Model]) -> str:
    return str(model._meta.model_name)


def request_of(user: Any) -> Any:
    request = RequestFactory().get("/admin/")
    request.user = user
    return request


def offered(page: Any, user: Any) -> set[str]:
    return set(page.get_actions(request_of(user))) - {"delete_selected"}


def test_every_action_is_in_the_tables() -> None:
    on_lists = {(name(model), action) for model, page in PAGES for action in page.actions or ()}
    assert {(model, getattr(action, "__name__", action)) for model, action in on_lists} == ON_LISTS.keys()
    assert {(name(model), action) for model, page in PAGES for action in page.actions_detail or ()} == ON_PAGES.keys()


@pytest.mark.parametrize("role", ROLES[1:])
@pytest.mark.parametrize(("model", "page"), PAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_list_offers_a_role_the_actions_that_are_its_own(role: str, model: type[Model], page: Any) -> None:
    user = with_role(role)
    mine = {action for (model_name, action), needs in ON_LISTS.items() if model_name == name(model)}
    may = {action for action in mine if user.has_perm(ON_LISTS[name(model), action])}
    assert offered(page, user) == may
    if role in ("staff", roles.READ_ONLY):
        assert may == set()
    else:
        assert may == mine


@pytest.mark.parametrize(("where", "needs"), ON_LISTS.items(), ids=str)
def test_an_action_is_offered_for_its_own_permission_alone(where: tuple[str, str], needs: str) -> None:
    model_name, action = where
    page = next(page for model, page in PAGES if name(model) == model_name)
    view = f"{page.opts.app_label}.view_{model_name}"
    assert action in offered(page, with_permissions(view, needs))
    others = {permission for permission in ON_LISTS.values() if permission != needs}
    assert action not in offered(page, with_permissions(view, *others))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("where", "needs"), ON_PAGES.items(), ids=str)
def test_a_button_works_for_the_roles_whose_it_is(role: str, where: tuple[str, str], needs: str) -> None:
    model_name, action = where
    Worker.objects.create(name="io-1", pool="threads", concurrency=4)
    keys = {"job": enqueue("greet_guest", {"guestName": "Ada"}).id, "queue": "default", "worker": "io-1"}
    address = f"/admin/jobs/{model_name}/{keys[model_name]}/{action}/"
    user = with_role(role)
    answer = visitor(user).post(address, {"_form_submitted": "1", "priority": "5"})
    if isinstance(user, AnonymousUser):
        assert answer.headers.get("Location", "").startswith("/admin/login/")
    else:
        assert answer.status_code == (200 if user.has_perm(needs) else 403)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("model", "page"), PAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_role_sees_the_lists_that_are_its_own(role: str, model: type[Model], page: Any) -> None:
    user = with_role(role)
    answer = visitor(user).get(f"/admin/{model._meta.app_label}/{name(model)}/")
    if isinstance(user, AnonymousUser):
        assert answer.headers.get("Location", "").startswith("/admin/login/")
    elif role == "superuser" or (role in roles.GROUPS and model._meta.app_label in roles.labels()):
        assert answer.status_code == 200
    else:
        assert answer.status_code == 403


@pytest.mark.parametrize(("model", "page"), PAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_who_may_only_read_changes_no_model(model: type[Model], page: Any) -> None:
    request = request_of(with_role(roles.READ_ONLY))
    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)


@pytest.mark.parametrize(("model", "page"), PAGES, ids=lambda value: getattr(value, "__name__", ""))
def test_operators_have_no_say_in_accounts_and_delete_no_key(model: type[Model], page: Any) -> None:
    request = request_of(with_role(roles.OPERATORS))
    if model._meta.app_label in ("auth", "axes") or name(model) == "apikey":
        assert not page.has_delete_permission(request)
    if model._meta.app_label in ("auth", "axes"):
        assert not page.has_change_permission(request)
        assert not page.has_view_permission(request)


@pytest.mark.parametrize(
    "guess",
    [
        "job/?payload__apiKey__startswith=s",
        "alertrule/?webhook_url__startswith=https",
        "alert/?rule__webhook_url__startswith=https",
        "event/?job__payload__apiKey__startswith=s",
        "apikey/?digest__startswith=a",
    ],
)
def test_a_list_is_not_narrowed_by_what_it_does_not_show(guess: str) -> None:
    assert visitor(with_role(roles.READ_ONLY)).get(f"/admin/jobs/{guess}").status_code == 400


@pytest.mark.parametrize(
    "chosen",
    [
        "jobs/job/?status__exact=failed&queue=default",
        "jobs/event/?about=jobs&at__gte=2026-01-01+00:00:00%2B00:00",
        "jobs/errorgroup/?resolved_at__isempty=1",
        "jobs/alert/?rule__id__exact=1",
        "django_celery_beat/periodictask/?enabled__exact=1",
        "auth/user/?is_staff__exact=1&groups__id__exact=1",
    ],
)
def test_the_filters_of_a_list_work(chosen: str) -> None:
    assert visitor(with_role("superuser")).get(f"/admin/{chosen}").status_code == 200
