"""The groups that come with the platform: who operates it, and who only looks.

A group is given a permission when that permission first appears, by `migrate`: so the models of a new product line are
in, and what an administrator took out of a group stays out.
"""

from collections.abc import Iterable
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import connections
from django.db.models import Max

from jobs.calling import processors

OPERATORS = "Operators"
READ_ONLY = "Read-only"
GROUPS = (OPERATORS, READ_ONLY)
PLATFORM = frozenset({"jobs", "django_celery_beat"})
KEPT_BACK = frozenset({"delete_apikey"})  # a key is revoked by its expiry and stays in the list

_newest: dict[str, int] = {}  # database → the youngest permission that was there before


def may_watch(user: User | AnonymousUser) -> bool:
    """Staff who may see jobs."""
    return user.is_active and user.is_staff and user.has_perm("jobs.view_job")


def is_granted(group: str, codename: str) -> bool:
    """Whether a permission of the platform is for this group."""
    return codename not in KEPT_BACK if group == OPERATORS else codename.startswith("view_")


def labels() -> frozenset[str]:
    """The apps that this is about: the platform's, and those that declare job types."""
    modules = {processor.__module__ for processor in processors().values()}
    lines = {app.label for app in apps.get_app_configs() if any(m.startswith(f"{app.name}.") for m in modules)}
    return PLATFORM.union(lines)


def note_newest(using: str, **kwargs: Any) -> None:
    """Before a migration: see up to where permissions are known."""
    if Permission._meta.db_table in connections[using].introspection.table_names():
        _newest[using] = Permission.objects.using(using).aggregate(id=Max("id"))["id"] or 0


def grant_new(app_config: AppConfig, using: str, **kwargs: Any) -> None:
    """After it, when Django has made this app's permissions: give those that are new to the groups."""
    if app_config.label in labels():
        new = Permission.objects.using(using).filter(
            content_type__app_label=app_config.label, id__gt=_newest.get(using, 0)
        )
        grant(Group.objects.using(using), new)


def grant(groups: Any, permissions: Iterable[Any]) -> None:
    """Make the groups, where they are missing, and give each its part. A migration calls it with its own models."""
    permissions = list(permissions)
    for name in GROUPS:
        group, _ = groups.get_or_create(name=name)
        group.permissions.add(*(p for p in permissions if is_granted(name, p.codename)))
