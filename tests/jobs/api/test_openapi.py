"""The OpenAPI document and its page."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from tests.jobs.api.conftest import Api

ROOT = Path(__file__).resolve().parents[3]
EXPORT = [sys.executable, "manage.py", "export_openapi_schema", "--api", "jobs.api.api", "--indent", "2"]


@pytest.fixture
def document(anonymous: Api) -> dict[str, Any]:
    status, document = anonymous.get("/api/openapi.json")
    assert status == 200
    return document  # type: ignore[no-any-return]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_each_call_tells_how_it_is_let_in(document: dict[str, Any]) -> None:
    told = {f"{method.upper()} {path}": operation["security"] for method, path, operation in operations(document)}
    assert told["POST /api/jobs"] == [{"BearerKey": ["jobs:write"]}, {"StaffSession": ["jobs.add_job"]}]
    assert all(security for security in told.values())


def test_each_call_tells_which_errors_it_has(document: dict[str, Any]) -> None:
    told = {f"{method.upper()} {path}": " ".join(found["responses"]) for method, path, found in operations(document)}
    some = {
        "POST /api/jobs/enqueue": "202 400 401 403 409 413 422 429 503",
        "GET /api/jobs/{jobId}": "200 401 403 404 422 429 503",
        "DELETE /api/jobs/{jobId}": "200 202 401 403 404 409 422 429 503",
        "POST /api/jobs/{jobId}/retry": "202 401 403 404 409 413 422 429 503",
        "GET /api/admin/jobs/health": "200 401 403 429 503",
    }
    assert {call: told[call] for call in some} == some
    for call, statuses in told.items():
        assert {"401", "403", "429", "503"} <= set(statuses.split()), call


def test_each_post_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        headers = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"]
        assert headers == (["Idempotency-Key"] if method == "post" else []), path


def test_operations_have_ids_of_their_own_and_say_what_they_do(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert all(operation["description"] and operation["tags"] for _, _, operation in operations(document))


def test_the_second_address_of_the_administration_is_not_told(document: dict[str, Any]) -> None:
    assert all(path.startswith("/api/") for path in document["paths"])


def test_errors_are_problems(document: dict[str, Any]) -> None:
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert response["content"]["application/problem+json"]["schema"]["$ref"].endswith("/ProblemOut")


def test_the_payload_of_each_job_type_is_told_apart_by_its_type(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    body = schemas["NewJobIn"]
    assert body["discriminator"]["mapping"]["greet_guest"] == "#/components/schemas/greet_guest"
    assert {"$ref": "#/components/schemas/greet_guest"} in body["oneOf"]
    assert schemas["greet_guest"]["properties"]["type"] == {"const": "greet_guest", "type": "string"}
    assert schemas["greet_guest.payload"]["required"] == ["guestName"]
    assert schemas["greet_guest"]["required"] == ["type", "payload"]
    assert schemas["refuse_guest"]["required"] == ["type"]
    assert list(schemas["add_guests.payload"]["properties"]) == ["args", "kwargs"]


def test_a_payload_may_be_flat_or_not(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["FlatJobIn"]["discriminator"]["mapping"]["greet_guest"] == "#/components/schemas/greet_guest.either"
    ways = [way["$ref"].rpartition("/")[2] for way in schemas["greet_guest.either"]["anyOf"]]
    assert ways == ["greet_guest.flat", "greet_guest"]
    assert schemas["greet_guest.flat"]["required"] == ["type", "guestName"]
    assert {"guestName", "times", "priority", "uniqueKey"} <= schemas["greet_guest.flat"]["properties"].keys()


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)))
    assert names - document["components"]["schemas"].keys() == set()


def test_the_page_loads_nothing_from_elsewhere(anonymous: Api) -> None:
    page = Client().get("/api/docs").content.decode()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    assert all(address.startswith("/static/ninja/") for address in addresses)
    assert all(finders.find(address.removeprefix("/static/")) for address in addresses)
    assert "http://" not in page
    assert "https://" not in page


def test_the_committed_export_is_current() -> None:
    exported = subprocess.run(EXPORT, cwd=ROOT, env=os.environ, check=True, capture_output=True, text=True).stdout
    committed = (ROOT / "docs" / "openapi.json").read_text()
    assert json.loads(committed) == json.loads(exported), (
        f"write it anew: {' '.join(EXPORT[1:])} --output docs/openapi.json"
    )
