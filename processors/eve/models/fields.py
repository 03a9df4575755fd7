"""A text column that the database sees encrypted only.

The keys are `FIELD_KEYS`, newest first: it writes with the first and reads with any. Rows are brought to the newest
key by `manage.py rotate_field_keys`.
"""

from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    TextField = models.TextField[str, str]
else:
    TextField = models.TextField


class CannotDecrypt(Exception):
    """A column was written with a key that FIELD_KEYS does not have."""


def keys() -> MultiFernet:
    """The keys as the settings have them now."""
    if not settings.FIELD_KEYS:
        raise ImproperlyConfigured("FIELD_KEYS is empty: nothing secret can be stored or read")
    return MultiFernet([Fernet(key) for key in settings.FIELD_KEYS])


class EncryptedTextField(TextField):
    """Text, encrypted at rest. NULL stays NULL and an empty text is one again; it cannot be searched.

    Reading raises CannotDecrypt without the right key.
    """

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return value if value is None else keys().encrypt(value.encode()).decode()

    def from_db_value(self, value: str | None, expression: Any, connection: BaseDatabaseWrapper) -> str | None:
        if value is None:
            return None
        try:
            return keys().decrypt(value).decode()
        except InvalidToken:
            raise CannotDecrypt from None

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name != "isnull":
            raise FieldError(f"{self.name} is encrypted: the database cannot compare it")
        return super().get_lookup(lookup_name)
