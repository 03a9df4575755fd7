"""Histograms can be added up, and their quantiles are as good as they say."""

import itertools
import math
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobs.histograms import BOUNDS, FACTOR, Percentiles, added, histogram, percentiles, quantile

DURATIONS = st.lists(st.floats(0, 2.0**32), max_size=200)


def test_bounds_grow_by_one_factor_from_a_millisecond_to_fifty_days() -> None:
    assert BOUNDS[0] == 1
    assert BOUNDS[-1] == 2**32
    assert all(math.isclose(high / low, FACTOR) for low, high in itertools.pairwise(BOUNDS))


@pytest.mark.parametrize(
    ("duration", "place"),
    [(0, 0), (0.99, 0), (1, 1), (1.18, 1), (1.2, 2), (2, 5), (1000, 40), (2**32, 129), (1e12, 129)],
)
def test_a_duration_counts_from_its_bound_up_to_the_next(duration: float, place: int) -> None:
    assert histogram([duration]) == [0] * place + [1]


@given(DURATIONS, DURATIONS, DURATIONS)
def test_adding_is_the_same_as_counting_all_in_any_order(
    one: list[float], two: list[float], three: list[float]
) -> None:
    first, second, third = map(histogram, (one, two, three))
    everything = histogram(one + two + three)
    assert added(added(first, second), third) == everything
    assert added(first, added(third, second)) == everything
    assert added(first, []) == first


@given(st.lists(st.floats(0, 2.0**32), min_size=1, max_size=200), st.floats(0.01, 1))
@example([0.4], 0.5)
@example([1.0] * 100, 0.99)
def test_a_quantile_is_off_by_a_factor_or_a_millisecond_at_most(durations: list[float], fraction: float) -> None:
    true = sorted(durations)[math.ceil(fraction * len(durations)) - 1]
    estimated = quantile(histogram(durations), fraction)
    assert estimated is not None
    assert true / FACTOR * 0.999999 <= max(estimated, 1) <= max(true, 1) * FACTOR * 1.000001


@given(st.lists(st.floats(0, 2.0**32), min_size=1, max_size=200))
def test_a_higher_quantile_is_never_lower(durations: list[float]) -> None:
    found = [value for value in percentiles(histogram(durations)) if value is not None]
    assert len(found) == 3
    assert found == sorted(found)


def test_what_is_longer_than_the_last_bound_is_said_to_be_that_long() -> None:
    assert quantile(histogram([1e13]), 0.5) == 2**32


def test_nothing_has_no_percentiles() -> None:
    assert percentiles([]) == Percentiles(None, None, None)


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.floats(0, 2.0**33), st.sampled_from(BOUNDS), st.sampled_from(BOUNDS).map(lambda b: math.nextafter(b, 0))
    )
)
def test_postgres_counts_the_same(db: Any, duration: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT width_bucket(%s::float8, %s::float8[])", [duration, BOUNDS])
        assert histogram([duration]) == [0] * cursor.fetchone()[0] + [1]
