"""API keys in the admin."""

import re

from django.test import Client

from jobs import keys
from jobs.models import ApiKey
from tests.jobs.admin.conftest import told

LIST = "/admin/jobs/apikey/"
NEW = {"name": "shop", "scopes": ["jobs:read", "jobs:write"], "expires_at_0": "2040-01-01", "expires_at_1": "00:00"}


def test_a_new_key_is_shown_once_and_works(operator: Client) -> None:
    messages = told(operator.post(f"{LIST}add/", NEW, follow=True))
    presented = re.search(r"<code>(.+)</code>", messages[0])
    assert presented is not None
    key = keys.find(presented[1])
    assert key is not None
    assert (key.name, key.scopes) == ("shop", ["jobs:read", "jobs:write"])
    secret = presented[1].partition(".")[2]
    for page in (LIST, f"{LIST}{key.pk}/change/"):
        assert secret not in operator.get(page).content.decode()
        assert key.digest not in operator.get(page).content.decode()


def test_a_name_cannot_smuggle_html_into_the_message(operator: Client) -> None:
    messages = told(operator.post(f"{LIST}add/", {**NEW, "name": "<img src=x>"}, follow=True))
    assert "&lt;img src=x&gt;" in messages[0]


def test_a_key_keeps_its_secret_when_its_scopes_change(operator: Client) -> None:
    presented = keys.create("shop", ["jobs:read"])
    key = ApiKey.objects.get()
    operator.post(
        f"{LIST}{key.pk}/change/", {"name": "shop", "scopes": ["jobs:admin"], "expires_at_0": "", "expires_at_1": ""}
    )
    found = keys.find(presented)
    assert found is not None
    assert found.scopes == ["jobs:admin"]


def test_a_key_needs_a_known_scope(operator: Client) -> None:
    for scopes in ([], ["jobs:everything"]):
        response = operator.post(f"{LIST}add/", {**NEW, "scopes": scopes})
        assert list(response.context["adminform"].errors) == ["scopes"]


def test_a_deleted_key_is_revoked(operator: Client) -> None:
    presented = keys.create("shop", ["jobs:read"])
    operator.post(f"{LIST}{ApiKey.objects.get().pk}/delete/", {"post": "yes"})
    assert keys.find(presented) is None
