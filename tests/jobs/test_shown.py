"""What people and clients may see of a job's row."""

import pytest

from jobs import shown
from jobs.models import Job
from tests.jobs import stand_ins as stand_ins  # registers the job types


def test_secret_fields_are_hidden() -> None:
    job = Job(type="greet_guest", payload={"guestName": "Ada", "apiToken": "s3cret"})
    assert shown.payload(job) == {"guestName": "Ada", "apiToken": "***"}
    assert job.payload["apiToken"] == "s3cret"


def test_every_value_is_hidden_when_the_code_of_a_type_is_gone() -> None:
    assert shown.payload(Job(type="forgotten", payload={"a": 1, "b": {"c": 2}})) == {"a": "***", "b": "***"}


@pytest.mark.parametrize(
    ("status", "progress", "percent"),
    [
        ("pending", None, 0),
        ("processing", None, 0),
        ("processing", {"percent": None}, 0),
        ("processing", {"percent": 33}, 33),
        ("processing", {"percent": 250}, 100),
        ("completed", None, 100),
        ("completed", {"percent": 50}, 100),
        ("failed", {"percent": 50}, 50),
    ],
)
def test_progress_is_0_to_100(status: str, progress: dict[str, int | None] | None, percent: int) -> None:
    assert shown.percent(Job(status=status, progress=progress)) == percent


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 ms"),
        (0.0451, "45 ms"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (86399, "23 h 59 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_durations_have_two_figures_that_matter(seconds: float, text: str) -> None:
    assert shown.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-2, "0 s"), (8.9, "8 s"), (60, "1 min"), (7300, "2 h"), (90_000, "1 d"), (864_000, "10 d")]
)
def test_how_long_ago_has_one_unit(seconds: float, text: str) -> None:
    assert shown.rough(seconds) == text
