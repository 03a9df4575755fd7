"""Requests of every kind that the document allows, and of kinds that it does not, with a key and without."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.conf import settings as platform
from django.core import signals as core_signals
from django.core.handlers.wsgi import WSGIHandler
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from jobs import enqueue, keys
from jobs.api import api
from jobs.models import Worker
from tests.jobs.api.conftest import ALL_SCOPES

WORKER = "io@here:1"
EXPECTED = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
document = api.get_openapi_schema(path_prefix="api/")
for body in ("NewJobIn", "FlatJobIn"):  # all job types would take minutes, and tell no more
    variants = document["components"]["schemas"][body]
    mapping = variants["discriminator"]["mapping"]
    kept = {name: mapping[name] for name in ("greet_guest", "add_guests")}
    variants |= {"oneOf": [{"$ref": name} for name in kept.values()]}
    variants["discriminator"]["mapping"] = kept
schema = schemathesis.openapi.from_dict(document).exclude(operation_id="jobEvents")
schema.app = WSGIHandler()
plain = schemathesis.openapi.from_dict(document).exclude(operation_id="jobEvents")  # no value at its limits is tried
plain.config.phases.coverage.enabled = False
plain.app = schema.app


def few(examples: int) -> settings:
    """So many for each call, the same ones in each run."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def served(db: None, uncollected: None) -> Iterator[None]:
    """Requests within the transaction of the test: they leave its connection alone, as with Django's test client."""
    signals = core_signals.request_started, core_signals.request_finished
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def key(served: None) -> str:
    """Of a platform where all is well: without workers its health is a 503."""
    Worker.objects.create(name=WORKER, pool="threads", queues=list(platform.JOBS_QUEUES), concurrency=4)
    return keys.create("test", ALL_SCOPES)


@schema.parametrize()
@few(8)
def test_with_a_key(case: schemathesis.Case[Any], key: str) -> None:
    # Else nearly every path would be about what is not there.
    known = {
        "jobId": str(enqueue("greet_guest", {"guestName": "Ada"}).id),
        "queueName": "default",
        "workerName": WORKER,
    }
    if case.meta is not None and case.meta.generation.mode.is_positive:
        case.path_parameters = {name: known.get(name, value) for name, value in case.path_parameters.items()}
    case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=EXPECTED)


@plain.parametrize()
@few(2)
def test_without_a_key(case: schemathesis.Case[Any], served: None) -> None:
    response = case.call_and_validate(checks=EXPECTED)
    assert response.status_code in (401, 405)
