"""Histograms of durations that can be added to each other, and quantiles of them.

A histogram is a list of counts: first of what took less than BOUNDS[0] = 1 ms, then of what took from each bound up to
the next, last of what took 2**32 ms (50 days) or longer. Zeros at its end are left out. A bound is FACTOR (19 %) above
the one before it, so a quantile is wrong by no more than that factor, or by 1 ms where it is less than 1 ms.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import add
from typing import Final, NamedTuple

FACTOR: Final = 2 ** (1 / 4)
BOUNDS: Final = [2 ** (step / 4) for step in range(4 * 32 + 1)]  # ms


class Percentiles(NamedTuple):
    """In ms; None where there is nothing to take them of."""

    p50: float | None
    p95: float | None
    p99: float | None


def histogram(durations: Iterable[float]) -> list[int]:
    """The histogram of durations in ms. In SQL: `width_bucket(duration, bounds)` counted by value."""
    counts: list[int] = []
    for duration in durations:
        place = bisect_right(BOUNDS, duration)
        counts.extend([0] * (place + 1 - len(counts)))
        counts[place] += 1
    return counts


def added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """The histogram of what either has."""
    short, long = sorted((one, other), key=len)
    return [*map(add, short, long), *long[len(short) :]]


def quantile(counts: Sequence[int], fraction: float) -> float | None:
    """The duration in ms that `fraction` (above 0, up to 1) of those counted do not exceed, interpolated by ratio."""
    return _quantiles(counts, [fraction])[0]


def percentiles(counts: Sequence[int]) -> Percentiles:
    """The usual three."""
    return Percentiles(*_quantiles(counts, (0.5, 0.95, 0.99)))


def _quantiles(counts: Sequence[int], fractions: Sequence[float]) -> list[float | None]:
    up_to = list(accumulate(counts))
    if not up_to or not up_to[-1]:
        return [None] * len(fractions)
    ranks = [fraction * up_to[-1] for fraction in fractions]
    places = [bisect_left(up_to, rank) for rank in ranks]
    return [
        _within(place, 1 - (up_to[place] - rank) / counts[place]) for place, rank in zip(places, ranks, strict=True)
    ]


def _within(place: int, part: float) -> float:
    if place == 0:
        return BOUNDS[0] * part
    low = BOUNDS[place - 1]
    return low if place == len(BOUNDS) else low * FACTOR**part
