"""API keys: made, stored hashed, found again."""

import hashlib
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from jobs import keys
from jobs.models import ApiKey

pytestmark = pytest.mark.django_db


def test_only_the_hash_of_the_secret_is_stored() -> None:
    prefix, _, secret = keys.create("shop", ["jobs:read"]).partition(".")
    key = ApiKey.objects.get()
    assert key.prefix == prefix
    assert key.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert len(secret) == 43  # 256 bits
    assert secret not in str(vars(key))


def test_a_presented_key_is_found() -> None:
    presented = keys.create("shop", ["jobs:read"])
    keys.create("other", [])
    found = keys.find(presented)
    assert found is not None
    assert found.name == "shop"


@pytest.mark.parametrize(
    "presented", ["", ".", "x", "x.y", "\0.\0", "é.é", "{prefix}", "{prefix}.", "{prefix}.x", ".{secret}"]
)
def test_anything_else_is_not(presented: str) -> None:
    prefix, _, secret = keys.create("shop", []).partition(".")
    assert keys.find(presented.format(prefix=prefix, secret=secret)) is None


def test_an_expired_key_is_not_found() -> None:
    later = keys.create("later", [], timezone.now() + timedelta(hours=1))
    over = keys.create("over", [], timezone.now() - timedelta(seconds=1))
    assert keys.find(later) is not None
    assert keys.find(over) is None


def test_its_use_is_noted_at_most_once_a_minute(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    presented = keys.create("shop", [])
    with django_assert_num_queries(2):
        keys.find(presented)
    noted = ApiKey.objects.get().last_used_at
    assert noted is not None
    with django_assert_num_queries(1):
        keys.find(presented)
    assert ApiKey.objects.get().last_used_at == noted

    ApiKey.objects.update(last_used_at=Now() - timedelta(seconds=61))
    with django_assert_num_queries(2):
        keys.find(presented)


def test_a_wrong_secret_is_no_use() -> None:
    prefix = keys.create("shop", []).partition(".")[0]
    keys.find(f"{prefix}.wrong")
    assert ApiKey.objects.get().last_used_at is None
