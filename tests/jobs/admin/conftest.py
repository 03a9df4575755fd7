from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from tests.jobs import stand_ins as stand_ins  # registers the job types


@pytest.fixture
def as_staff(db: None, uncollected: None) -> Callable[..., Client]:
    """A logged-in member of staff with these permissions, as `app.codename`."""

    def log_in(*permissions: str) -> Client:
        user = User.objects.create_user(f"staff-{User.objects.count()}", is_staff=True)
        for permission in permissions:
            app, codename = permission.split(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        client = Client()
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def operator(db: None, uncollected: None) -> Client:
    """Somebody who may do everything, by the name of ada."""
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


def told(response: Any) -> list[str]:
    """The messages of a page."""
    return [str(message) for message in response.context["messages"]]
