"""`manage.py rotate_field_keys`: bring every encrypted column to the newest of FIELD_KEYS. The older can then go."""

from collections.abc import Iterator
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import models
from django.db.models.functions import Cast

from processors.eve.models.fields import EncryptedTextField, keys

CHUNK: Final = 500  # rows


class Command(BaseCommand):
    help = "Encrypt every encrypted column anew with the first of FIELD_KEYS. May run beside everything, and twice."

    def handle(self, **options: Any) -> None:
        try:
            ring, newest = keys(), Fernet(settings.FIELD_KEYS[0])
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        unreadable: list[str] = []
        for model, column in _columns():
            changed = 0
            for pk, text in _rows(model, column):
                try:
                    changed += (
                        0 if _is_of(newest, text) else _replace(model, column, pk, text, ring.rotate(text).decode())
                    )
                except InvalidToken:
                    unreadable.append(f"{model._meta.label} {pk} {column}")
            self.stdout.write(f"{model._meta.label}.{column}: {changed} rows encrypted anew")
        if unreadable:
            raise CommandError(f"none of the keys is that of: {', '.join(unreadable)}")


def _columns() -> Iterator[tuple[type[models.Model], str]]:
    for model in apps.get_models():
        yield from ((model, field.name) for field in model._meta.fields if isinstance(field, EncryptedTextField))


def _rows(model: type[models.Model], column: str) -> Iterator[tuple[Any, str]]:
    """Primary keys with what the database has, by chunks."""
    texts = model._default_manager.annotate(stored=Cast(column, models.TextField())).exclude(stored=None).order_by("pk")
    after: dict[str, Any] = {}
    while chunk := list(texts.filter(**after).values_list("pk", "stored")[:CHUNK]):
        yield from chunk
        after = {"pk__gt": chunk[-1][0]}


def _is_of(key: Fernet, text: str) -> bool:
    try:
        key.decrypt(text)
    except InvalidToken:
        return False
    return True


def _replace(model: type[models.Model], column: str, pk: object, old: str, new: str) -> int:
    """Unless somebody has written another value meanwhile: that is of the newest key."""
    rows = model._default_manager.annotate(stored=Cast(column, models.TextField())).filter(pk=pk, stored=old)
    return rows.update(**{column: models.Value(new, models.TextField())})
