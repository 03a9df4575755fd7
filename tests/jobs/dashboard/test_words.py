"""How values look."""

from datetime import UTC, datetime, timedelta
from urllib.parse import unquote_plus

import pytest
from django.utils import timezone

from jobs.metrics import Count
from jobs.models import Job
from jobs.templatetags import dashboard as words


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "—"), (0, "0"), (12345, "12,345"), (Count(9999, False), "9,999"), (Count(12345, True), "≈ 12,345")],
)
def test_numbers(value: Count | int | None, text: str) -> None:
    assert words.number(value) == text


def test_rates_have_no_zeros_at_their_end() -> None:
    assert [words.percent(rate) for rate in (None, 0.0, 98.25, 99.5, 100.0)] == [
        "—",
        "0 %",
        "98.25 %",
        "99.5 %",
        "100 %",
    ]
    assert [words.rounded(rate) for rate in (0.0, 2.54, 9.99, 12.4, 12345.6)] == ["0", "2.5", "10.0", "12", "12,346"]


def test_times_go_both_ways() -> None:
    assert ">5 min ago</time>" in words.relative(timezone.now() - timedelta(minutes=5, seconds=9))
    assert ">in 1 h</time>" in words.relative(timezone.now() + timedelta(hours=1, seconds=9))
    assert words.relative(None) == words.moment(None) == words.duration(None) == words.milliseconds(None) == "—"
    assert words.milliseconds(1500.0) == "1.5 s"


def test_times_on_the_clocks_of_a_zone() -> None:
    due = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
    assert ">Mon 2026-11-23 12:30</time>" in words.in_zone(due, "Australia/Lord_Howe")
    assert 'title="2026-11-23 01:30:00 UTC"' in words.in_zone(due, "Australia/Lord_Howe")
    assert ">Sun 2026-11-22 20:30:07</time>" in words.in_zone(due + timedelta(seconds=7), "America/New_York")
    assert ">Mon 2026-11-23 01:30</time>" in words.in_zone(due, "Mars/Olympus")
    assert words.in_zone(None, "UTC") == "—"


def test_links_to_jobs_quote_what_needs_it() -> None:
    link = words.jobs_link(worker='io@host:1 "x"', status="failed", queue="", finished="<24h")
    assert unquote_plus(link) == '/jobs/?q=worker:"io@host:1 \\"x\\"" status:failed finished:<24h'


def test_the_highest_bar_of_a_sparkline_is_as_high_as_the_line() -> None:
    drawn = words.sparkline([0, 2, 4], "<what>")
    assert [part.split('"')[0] for part in drawn.split(' height="')[1:]] == ["1.0", "12.0", "24.0"]
    assert 'aria-label="&lt;what&gt;"' in drawn
    assert "<rect" not in words.sparkline([], "nothing")


def test_an_estimate_of_the_time_left() -> None:
    job = Job(type="t", status="processing", started_at=timezone.now() - timedelta(minutes=3), progress={"percent": 25})
    assert words.time_left(job, {}) == "about 9 min"
    job.progress = None
    assert words.time_left(job, {}) == "—"
    assert words.time_left(job, {"t": 60.0}) == "—"  # it should have been done
    assert words.time_left(job, {"t": 3785.0}) == "about 1 h"
    assert words.time_left(Job(type="t", status="pending"), {"t": 60.0}) == "—"
