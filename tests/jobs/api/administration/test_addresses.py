"""The administration is at two addresses, and the pages of Django's admin stay where they are."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.jobs.api.conftest import Api

PAGES = ["/admin/", "/admin/jobs/", "/admin/jobs/job/", "/admin/jobs/queue/", "/admin/jobs/worker/"]
PATHS = ["stats", "failed", "active", "health", "metrics", "metrics/series", "workers", "queues", "scheduler", "errors"]


@pytest.mark.parametrize("path", PATHS)
def test_both_addresses_answer_alike(api: Api, path: str) -> None:
    def but_for_time(answer: tuple[int, Any]) -> tuple[int, Any]:
        return answer if path != "metrics/series" else (answer[0], answer[1].keys())

    assert but_for_time(api.get(f"/admin/jobs/{path}")) == but_for_time(api.get(f"/api/admin/jobs/{path}"))


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_gets_json_and_no_way_to_log_in(anonymous: Api, path: str) -> None:
    response = anonymous.client.get(f"/admin/jobs/{path}")
    assert (response.status_code, response["Content-Type"]) == (401, "application/problem+json")


@pytest.mark.parametrize("path", PAGES)
def test_the_admin_keeps_its_pages(uncollected: None, admin_client: Client, path: str) -> None:
    response = admin_client.get(path)
    assert (response.status_code, response["Content-Type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("path", PAGES)
def test_the_admin_still_asks_who_it_is(anonymous: Api, path: str) -> None:
    response = anonymous.client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={path}")


def test_a_session_may_use_them_too(uncollected: None, admin_client: Client, admin_user: User) -> None:
    assert admin_client.get("/admin/jobs/stats").status_code == 200
    response = admin_client.post("/admin/jobs/queues/default/pause", content_type="application/json")
    assert response.json()["pausedBy"] == admin_user.get_username()
