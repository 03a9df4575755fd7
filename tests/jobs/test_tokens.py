import re

import pytest
from django.core import signing

import jobs
from jobs import tokens
from jobs.ids import new_id


def test_a_token_is_for_its_job() -> None:
    job = new_id()
    assert tokens.job_of(tokens.read_token(job)) == job
    assert tokens.job_of(jobs.read_token(str(job), ttl_seconds=5)) == job
    assert re.fullmatch(r"[\w:-]+", tokens.read_token(job))


def test_its_time_ends() -> None:
    assert tokens.job_of(tokens.read_token(new_id(), ttl_seconds=-1)) is None


@pytest.mark.parametrize("token", ["", "x", "x:y:z", "\x00", "ü", "a" * 5000])
def test_what_is_none_is_for_nothing(token: str) -> None:
    assert tokens.job_of(token) is None


def test_one_that_was_changed_or_made_for_something_else_is_for_nothing() -> None:
    token = tokens.read_token(new_id())
    payload, rest = token.split(":", 1)
    assert tokens.job_of(f"{payload[:-1]}x:{rest}") is None
    assert tokens.job_of(signing.dumps([str(new_id()), 2**40], salt="something else")) is None
