"""The admin's sidebar."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import RequestFactory

from jobs.admin.sidebar import navigation


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada", is_staff=True)


def shown(user: User) -> dict[str, list[str]]:
    request = RequestFactory().get("/admin/")
    request.user = User.objects.get(pk=user.pk)
    return {group["title"]: [item["title"] for item in group["items"]] for group in navigation(request)}


def test_it_has_the_platform_then_the_product_lines_then_access(user: User) -> None:
    User.objects.update(is_superuser=True)
    groups = shown(user)
    titles = list(groups)
    assert titles[:4] == ["Jobyard", "Jobs", "Schedules", "Alerts"]
    assert groups["Jobyard"] == ["Dashboard", "Flower"]
    assert titles[-1] == "Access"
    assert groups["Jobs"][:3] == ["Jobs", "Queues", "Workers"]
    assert len({page for pages in groups.values() for page in pages}) == sum(map(len, groups.values()))


def test_it_has_only_what_a_user_may_see(user: User) -> None:
    assert shown(user) == {}
    user.user_permissions.add(Permission.objects.get(codename="view_job"))
    assert shown(user) == {"Jobyard": ["Dashboard", "Flower"], "Jobs": ["Jobs"]}
