"""The lists that the marketplace reads from Django's cache."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.cache import cache as django_cache
from django.utils import timezone
from pytest_django import Settings

from processors.bgg import cache, xml
from tests.processors.bgg.test_xml import recorded


@pytest.fixture(autouse=True)
def _own_cache(settings: Settings) -> None:
    settings.CACHES = {"default": settings.CACHES["default"] | {"KEY_PREFIX": uuid4().hex}}


def test_what_was_written_is_read_until_it_is_old() -> None:
    assert cache.hot() is None
    cache.write(cache.HOT, xml.hot(recorded("hot_boardgame_2026")))
    games = cache.hot()
    assert games
    assert games[0] == {"id": 42, "name": "Tigris & Euphrates", "year": 1997}
    django_cache.set(cache.HOT, (timezone.now() - cache.WARM - timedelta(seconds=1), games))
    assert cache.hot() == games
    assert cache.read(cache.HOT, within=cache.WARM) is None


def test_an_empty_result_is_a_result() -> None:
    cache.write(cache.search_key("nothing"), [])
    assert cache.search("nothing") == []
    assert cache.search("something") is None


def test_searches_that_differ_in_case_or_blanks_are_one() -> None:
    assert cache.search_key("  Ticket to  RIDE ") == cache.search_key("ticket to ride")
