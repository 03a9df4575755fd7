import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.management import development
from jobs.management.embedded import free_port


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(development, "HOME", tmp_path)
    monkeypatch.setattr(development, "CREDENTIALS", tmp_path / "credentials")
    return tmp_path


@pytest.fixture(autouse=True)
def ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Usual ports that are free here."""
    usual = {name: free_port() for name in development.USUAL_PORTS}
    monkeypatch.setattr(development, "USUAL_PORTS", usual)
    for name in usual:
        monkeypatch.setenv(name, "")
    yield usual
    for lock in development._reserved:
        lock.close()
    development._reserved.clear()


def chosen() -> dict[str, int]:
    return {name: int(os.environ[name]) for name in development.USUAL_PORTS}


def test_the_usual_ports_when_they_are_free(ports: dict[str, int]) -> None:
    development.choose_ports()
    assert chosen() == ports


def test_another_port_when_the_usual_one_is_taken(ports: dict[str, int]) -> None:
    with socket.create_server(("127.0.0.1", ports["PORT"])):
        development.choose_ports()
    assert chosen()["PORT"] != ports["PORT"]
    assert chosen()["FLOWER_PORT"] == ports["FLOWER_PORT"]


def test_two_that_start_at_once_do_not_choose_the_same(ports: dict[str, int]) -> None:
    development.choose_ports()
    first = chosen()
    for name in ports:
        os.environ[name] = ""
    development.choose_ports()
    assert not set(first.values()) & set(chosen().values())


def test_a_given_port_is_used_or_refused(ports: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(free_port()))
    given = os.environ["PORT"]
    with socket.create_server(("127.0.0.1", int(given))), pytest.raises(development.CannotStart, match="in use"):
        development.choose_ports()
    development.choose_ports()
    assert os.environ["PORT"] == given


@pytest.mark.parametrize("given", ["http", "0", "70000", "-1"])
def test_what_is_not_a_port_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_PORT", given)
    with pytest.raises(development.CannotStart, match="FLOWER_PORT"):
        development.choose_ports()


def test_credentials_are_made_once_and_for_their_owner_alone() -> None:
    made = development.credentials()
    assert development.credentials() == made
    assert stat.S_IMODE(development.CREDENTIALS.stat().st_mode) == 0o600
    kept = development.write_credentials(made | {"DEMO_API_KEY": "a.b=c"})
    assert development.credentials() == kept


def test_a_second_platform_in_one_checkout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # The test run's servers are given, so none is started.
    with development.servers(), pytest.raises(development.CannotStart, match="runs already"), development.servers():
        pass
    with development.servers():
        pass
