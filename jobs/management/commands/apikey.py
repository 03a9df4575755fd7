"""`manage.py apikey create|list|revoke`: API keys from the command line."""

import re
from argparse import ArgumentTypeError
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from jobs import keys
from jobs.models import ApiKey, Event

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def lifetime(text: str) -> timedelta:
    """`90d`, `12h` …"""
    match = re.fullmatch(r"([1-9]\d{0,4})([mhdw])", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is not a number with m, h, d or w behind it, such as 90d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


class Command(BaseCommand):
    help = "Make, list and revoke the keys of the HTTP API."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a key and print it, this once")
        create.add_argument("name")
        create.add_argument("--scope", action="append", required=True, choices=ApiKey.Scope.values, dest="scopes")
        create.add_argument("--expires", type=lifetime, metavar="90d", help="minutes, hours, days or weeks from now")
        verbs.add_parser("list", help="show the keys, not their secrets")
        verbs.add_parser("revoke", help="delete a key").add_argument("name")

    def handle(self, *, verb: str, **options: Any) -> None:
        match verb:
            case "create":
                self.create(options["name"], options["scopes"], options["expires"])
            case "list":
                self.list()
            case "revoke":
                self.revoke(options["name"])

    def create(self, name: str, scopes: Sequence[str], lifetime: timedelta | None) -> None:
        """Print the key alone to stdout, so that a script can catch it."""
        if not 1 <= len(name) <= 100:
            raise CommandError("A name has 1 to 100 characters.")
        if ApiKey.objects.filter(name=name).exists():
            raise CommandError(f"There is a key named {name!r} already: revoke it first.")
        expires_at = timezone.now() + lifetime if lifetime else None
        self.stdout.write(keys.create(name, sorted(set(scopes)), expires_at))
        self.record("added", name, {"scopes": sorted(set(scopes))})
        self.stderr.write("Keep it: it is not shown again.")

    def list(self) -> None:
        for key in ApiKey.objects.all():
            expires = f"expires {key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "does not expire"
            used = f"last used {key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
            self.stdout.write(f"{key.name}  {key.prefix}.…  {' '.join(key.scopes)}  {expires}, {used}")

    def revoke(self, name: str) -> None:
        deleted, _by_model = ApiKey.objects.filter(name=name).delete()
        if not deleted:
            raise CommandError(f"There is no key named {name!r}.")
        self.record("deleted", name)
        self.stdout.write(f"Revoked {name}.")

    def record(self, kind: str, name: str, after: dict[str, Any] | None = None) -> None:
        Event.objects.create(subject=f"API key {name}", kind=kind, actor="command line", after=after)
