"""/livez and /readyz."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from jobs import broker, health


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """That this process has seen a migrated database."""
    health._check_migrated.cache_clear()
    yield
    health._check_migrated.cache_clear()


@pytest.fixture
def client(uncollected: None) -> Client:
    return Client()


def test_livez_asks_nobody(client: Client, db: None, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        response = client.get("/livez")
    assert (response.status_code, response.json()) == (200, {"live": True})


def test_readyz_needs_a_migrated_database(client: Client, db: None) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"ready": True, "database": "ok", "broker": "ok"})
    assert "no-cache" in response["Cache-Control"]

    health._check_migrated.cache_clear()
    MigrationRecorder(connection).migration_qs.filter(app="jobs").latest("id").delete()
    response = client.get("/readyz")
    assert (response.status_code, response.json()["database"]) == (503, "the database lacks migrations")


def test_readyz_looks_at_migrations_once(
    client: Client, db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.get("/readyz")
    with django_assert_num_queries(1):
        client.get("/readyz")


def test_readyz_without_redis_is_ready_still(client: Client, db: None, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    broker.client.cache_clear()
    try:
        response = client.get("/readyz")
    finally:
        broker.client.cache_clear()
    assert (response.status_code, response.json()) == (200, {"ready": True, "database": "ok", "broker": "away"})


@pytest.fixture
def without_database(transactional_db: None) -> Iterator[None]:
    right = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(HOST="127.0.0.1", PORT="1")
    yield
    connection.close()
    connection.settings_dict.update(right)


def test_without_the_database_it_lives_but_is_not_ready(client: Client, without_database: None) -> None:
    assert client.get("/livez").status_code == 200
    response = client.get("/readyz")
    assert (response.status_code, response.json()["database"]) == (503, "the database cannot be reached")
