"""What people see where there is nothing to see."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.template.loader import render_to_string
from django.test import Client


def test_an_address_without_a_page(operator: Client) -> None:
    for address in (f"/jobs/{uuid4()}", "/jobs/queues/nosuch", "/nothing"):
        answer = operator.get(address)
        assert answer.status_code == 404
        assert b"There is nothing here" in answer.content


def test_a_page_that_is_not_for_everybody(as_staff: Callable[..., Client]) -> None:
    answer = as_staff().get("/jobs/queues")
    assert answer.status_code == 403
    assert b"<strong>staff-" in answer.content
    assert b"Log in as somebody else" in answer.content


@pytest.mark.usefixtures("uncollected")
def test_the_page_of_an_error_needs_nothing() -> None:
    assert "Something broke" in render_to_string("500.html")
