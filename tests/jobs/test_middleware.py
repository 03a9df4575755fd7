"""What every answer of the site carries."""

import json
import logging
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from jobs import lifecycle, logs
from jobs.middleware import RequestId
from tests.jobs.rows import new

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("uncollected")]

STRICT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
ADMIN = {**STRICT, "script-src": "'self' 'unsafe-eval'", "style-src": "'self' 'unsafe-inline'"}


def policy(response: Any) -> dict[str, str]:
    directives = [directive.strip() for directive in response["Content-Security-Policy"].split(";")]
    return dict(directive.split(" ", 1) for directive in directives)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.mark.parametrize("path", ["/", "/jobs/", "/api/docs", "/api/openapi.json", "/flower/auth", "/nothing/here"])
def test_pages_of_ours_may_do_nothing_inline_and_nothing_elsewhere(staff: Client, path: str) -> None:
    assert policy(staff.get(path)) == STRICT


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/jobs/job/", "/admin/nothing/", "/admin/jsi18n/"])
def test_the_admin_may_do_a_little_more(staff: Client, path: str) -> None:
    assert policy(staff.get(path)) == ADMIN


@pytest.mark.parametrize("path", ["/", "/admin/", "/admin/login/", "/api/jobs/types", "/api/docs", "/livez", "/no"])
def test_other_headers_are_strict_too_and_name_no_host(client: Client, path: str) -> None:
    response = client.get(path)
    expected = {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    assert {name: response[name] for name in expected} == expected
    assert not [name for name, value in response.items() if "//" in value]


def test_a_request_keeps_a_sane_id(client: Client) -> None:
    assert client.get("/livez", headers={"X-Request-ID": "shop-7f.3:A"})["X-Request-ID"] == "shop-7f.3:A"


@pytest.mark.parametrize("given", ["", "a b", "<script>", "é", "x" * 101, '"', "-x"])
def test_and_is_given_one_instead_of_any_other(client: Client, given: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", client.get("/livez", headers={"X-Request-ID": given})["X-Request-ID"])


def test_the_id_is_bound_while_the_request_is_answered(rf: RequestFactory) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(logs.request_id())

    response = RequestId(view)(rf.get("/", headers={"X-Request-ID": "mine"}))
    assert response.content == b"mine"
    assert logs.request_id() is None


def test_a_line_tells_of_each_request_but_not_its_query(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "jobs.web"):
        client.get("/api/jobs/types?token=sesame")
        client.get("/livez")
    told = [(record.getMessage(), record.__dict__["status"]) for record in caplog.records if record.name == "jobs.web"]
    assert told == [("GET /api/jobs/types", 401)]
    assert "sesame" not in caplog.text


def test_a_line_is_one_line(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "jobs.web"):
        client.get("/no%0Asuch%1b[31mpage")
    assert [record.getMessage() for record in caplog.records if record.name == "jobs.web"] == ["GET /no?such?[31mpage"]


def test_answers_in_json_are_as_they_were(client: Client) -> None:
    assert json.loads(client.get("/livez").content)


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/audit?actor=%00",
        "/jobs/errors?type=%00",
        "/jobs/errors/%00",
        "/admin/jobs/job/?queue=%00",
        "/admin/jobs/job/?status__exact=%00",
        "/admin/jobs/event/?kind=%00",
        "/admin/jobs/worker/io%00/change/",
    ],
)
def test_an_address_with_a_nul_byte_is_a_wrong_one(staff: Client, path: str) -> None:
    response = staff.get(path)
    assert response.status_code == 400
    assert b"no text here can have" in response.content


def test_so_is_a_form_with_one(staff: Client) -> None:
    (job,) = lifecycle.enqueue([new()])
    assert staff.post(f"/jobs/{job.id}/cancel", {"reason": "\x00"}).status_code == 400
    assert lifecycle.cancel([job.id], actor="ada")  # nothing was done
