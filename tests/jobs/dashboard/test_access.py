"""Who gets to the dashboard, and what every page has."""

import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

PAGES = ["overview", "jobs", "new", "queues", "workers", "schedules", "errors", "audit", "alerts"]


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_for_staff_who_may_see_jobs(name: str, as_staff: Callable[..., Client]) -> None:
    address = reverse(f"dashboard:{name}")
    anonymous = Client().get(address)
    assert (anonymous.status_code, anonymous.headers["Location"]) == (302, f"/admin/login/?next={address}")
    assert as_staff().get(address).status_code == 403
    page = as_staff("jobs.view_job", "jobs.add_job", "django_celery_beat.view_periodictask").get(address)
    assert page.status_code == 200
    text = page.content.decode()
    assert len(re.findall('aria-current="page"', text)) <= 2
    assert not re.findall(r"<script(?![^>]*(src=|application/json))|<style| style=| on[a-z]+=", text)  # nothing inline
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', text)  # nothing from elsewhere


def test_whose_session_ended_is_taken_to_the_login_by_the_next_refresh(db: None) -> None:
    answer = Client().get(reverse("dashboard:overview"), headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (200, "true")


def test_whose_session_ended_before_a_button_was_pressed_comes_back_to_a_page(db: None) -> None:
    pause = reverse("dashboard:pause", args=["default"])
    answer = Client().post(pause, {"next": "/jobs/queues"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/login/?next=/jobs/queues")
    assert Client().post(pause, {"next": "https://elsewhere.example/"}).headers["Location"] == "/admin/login/?next=/"
    assert Client().post(pause).headers["Location"] == "/admin/login/?next=/"


def test_a_refresh_gets_the_content_alone(operator: Client) -> None:
    page = operator.get(reverse("dashboard:queues"), headers={"HX-Request": "true"})
    assert b"<html" not in page.content
