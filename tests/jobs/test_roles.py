"""The groups that come with migrate. The database of a test run is a fresh one."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from jobs import roles
from jobs.models import Job

pytestmark = pytest.mark.django_db


def given(name: str) -> set[str]:
    permissions = Group.objects.get(name=name).permissions.select_related("content_type")
    return {f"{permission.content_type.app_label}.{permission.codename}" for permission in permissions}


def platform() -> set[str]:
    found = Permission.objects.filter(content_type__app_label__in=roles.labels()).select_related("content_type")
    return {f"{permission.content_type.app_label}.{permission.codename}" for permission in found}


def test_it_is_about_the_platform_and_the_product_lines() -> None:
    assert {"jobs", "django_celery_beat", "bgg"} <= roles.labels()
    assert not roles.labels() & {"auth", "admin", "sessions", "contenttypes"}


def test_operators_may_do_everything_but_delete_keys() -> None:
    assert given("Operators") == platform() - {"jobs.delete_apikey"}
    assert {"jobs.retry_job", "jobs.pause_queue", "jobs.drain_worker", "bgg.change_game"} <= given("Operators")


def test_operators_have_no_power_over_accounts() -> None:
    assert not {name for name in given("Operators") if name.startswith("auth.")}


def test_readers_see_everything_of_the_platform() -> None:
    assert given("Read-only") == {name for name in platform() if ".view_" in name}
    assert {"jobs.view_job", "django_celery_beat.view_periodictask", "bgg.view_game"} <= given("Read-only")


def test_what_was_taken_out_stays_out() -> None:
    Group.objects.get(name="Operators").permissions.remove(Permission.objects.get(codename="delete_job"))
    call_command("migrate", verbosity=0)
    assert given("Operators") == platform() - {"jobs.delete_apikey", "jobs.delete_job"}


def test_a_permission_that_is_new_is_given() -> None:
    Permission.objects.filter(codename__in=["view_game", "retry_job"]).delete()
    assert "bgg.view_game" not in given("Read-only")
    call_command("migrate", verbosity=0)
    assert "bgg.view_game" in given("Read-only")
    assert {"bgg.view_game", "jobs.retry_job"} <= given("Operators")


def test_the_migration_gives_what_exists_already() -> None:
    call_command("migrate", "jobs", "0003", verbosity=0)
    Group.objects.all().delete()
    call_command("migrate", verbosity=0)
    assert given("Operators") == platform() - {"jobs.delete_apikey"}
    call_command("migrate", "jobs", "0003", verbosity=0)
    call_command("migrate", verbosity=0)
    assert Group.objects.count() == 2


def test_a_database_that_is_emptied_has_them_again() -> None:
    """As after `flush`, which asks for the same receivers."""
    Group.objects.all().delete()
    Permission.objects.all().delete()
    call_command("migrate", verbosity=0)
    assert given("Operators") == platform() - {"jobs.delete_apikey"}
    assert Permission.objects.filter(content_type__model=Job._meta.model_name).count() == 6
