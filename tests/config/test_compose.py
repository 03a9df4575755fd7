"""docker-compose.yml says what the docs promise. Its commands need servers: run them by hand."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "jobyard"}


def test_only_the_proxy_publishes_ports() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["caddy"]


def test_every_kind_of_worker_runs_and_two_beats() -> None:
    commands = {service["command"]: service.get("deploy", {}).get("replicas", 1) for service in OURS.values()}
    assert {f"python manage.py worker {kind}" for kind in settings.JOBS_WORKERS} <= set(commands)
    assert commands["python manage.py worker io"] == commands["celery -A config --quiet beat"] == 2


@pytest.mark.parametrize("kind", settings.JOBS_WORKERS)
def test_workers_have_time_to_stop(kind: str) -> None:
    grace = OURS[f"worker-{kind}"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > settings.JOBS_SHUTDOWN_GRACE + 10


def test_commands_of_manage_py_exist() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"manage\.py (\w+)", text)) <= set(get_commands())


def test_variables_are_documented() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs/settings.md").read_text(), re.M))
    given = {name for service in OURS.values() for name in service["environment"]}
    assert given <= documented


def test_everything_that_can_be_asked_has_a_health_check() -> None:
    without = {name for name, service in SERVICES.items() if "healthcheck" not in service}
    assert without == {"caddy", "beat", "migrate"}  # the first asks others, the second shows in /api/jobs/health


def test_the_site_believes_only_its_own_network_where_a_request_comes_from() -> None:
    believed = re.search(r"--forwarded-allow-ips (\S+)", SERVICES["web"]["command"])
    assert believed is not None
    (network,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert network["subnet"] == believed[1]
    assert ip_network(believed[1]).is_private
    assert "trusted_proxies" not in (ROOT / "Caddyfile").read_text()  # Caddy then overwrites what clients send
