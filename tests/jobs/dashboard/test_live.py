import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("is_staff", "may_see_jobs"), [(False, False), (True, False), (False, True)])
def test_only_staff_who_may_see_jobs_are_told(client: Client, is_staff: bool, may_see_jobs: bool) -> None:
    user = User.objects.create_user("visitor", is_staff=is_staff)
    if may_see_jobs:
        user.user_permissions.add(Permission.objects.get(codename="view_job"))
    client.force_login(user)
    assert client.get("/jobs/live").status_code == 403


def test_nobody_is_told_without_a_session(client: Client) -> None:
    assert client.get("/jobs/live").status_code == 403


def test_it_is_only_read(admin_client: Client) -> None:
    assert admin_client.post("/jobs/live").status_code == 405
    assert admin_client.head("/jobs/live").status_code == 405
