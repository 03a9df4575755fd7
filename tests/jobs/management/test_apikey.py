"""`manage.py apikey`."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs import keys
from jobs.models import ApiKey, Event

pytestmark = pytest.mark.django_db
Output = pytest.CaptureFixture[str]


def create(capsys: Output, *arguments: str) -> str:
    call_command("apikey", "create", *arguments)
    return capsys.readouterr().out


def test_create_prints_the_key_and_nothing_else(capsys: Output) -> None:
    out = create(capsys, "shop", "--scope", "jobs:read", "--scope", "jobs:write")
    found = keys.find(out.strip())
    assert found is not None
    assert (found.name, found.scopes, found.expires_at) == ("shop", ["jobs:read", "jobs:write"], None)


@pytest.mark.parametrize(("text", "lifetime"), [("90d", timedelta(days=90)), ("12h", timedelta(hours=12))])
def test_a_key_may_expire(capsys: Output, text: str, lifetime: timedelta) -> None:
    before = timezone.now()
    create(capsys, "shop", "--scope", "jobs:read", "--expires", text)
    expires = ApiKey.objects.get().expires_at
    assert expires is not None
    assert before + lifetime <= expires <= timezone.now() + lifetime


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shop"], "the following arguments are required: --scope"),
        (["shop", "--scope", "jobs:all"], "invalid choice: 'jobs:all'"),
        (["shop", "--scope", "jobs:read", "--expires", "soon"], "'soon' is not a number with m, h, d or w behind it"),
        (["", "--scope", "jobs:read"], "A name has 1 to 100 characters."),
        (["taken", "--scope", "jobs:read"], "There is a key named 'taken' already: revoke it first."),
    ],
)
def test_what_is_wrong_is_said_and_no_key_is_made(arguments: list[str], message: str) -> None:
    keys.create("taken", [])
    with pytest.raises(CommandError, match=message):
        call_command("apikey", "create", *arguments)
    assert ApiKey.objects.count() == 1


def test_list_shows_keys_without_their_secrets(capsys: Output) -> None:
    presented = create(capsys, "shop", "--scope", "jobs:read").strip()
    keys.create("old", ["jobs:admin"], timezone.now())
    call_command("apikey", "list")
    out = capsys.readouterr().out
    prefix, _, secret = presented.partition(".")
    assert f"shop  {prefix}.…  jobs:read  does not expire, never used" in out
    assert "old" in out
    assert secret not in out


def test_revoke_ends_a_key(capsys: Output) -> None:
    presented = create(capsys, "shop", "--scope", "jobs:read").strip()
    call_command("apikey", "revoke", "shop")
    assert keys.find(presented) is None
    with pytest.raises(CommandError, match="There is no key named 'shop'"):
        call_command("apikey", "revoke", "shop")


def test_what_is_done_leaves_events(capsys: Output) -> None:
    create(capsys, "shop", "--scope", "jobs:read")
    call_command("apikey", "revoke", "shop")
    assert list(Event.objects.order_by("id").values_list("subject", "kind", "actor", "after")) == [
        ("API key shop", "added", "command line", {"scopes": ["jobs:read"]}),
        ("API key shop", "deleted", "command line", None),
    ]
