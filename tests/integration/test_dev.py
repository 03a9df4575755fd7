"""`manage.py dev` as `make up` runs it: everything of its own, in a folder of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
GIVEN = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS", "DJANGO_SETTINGS_MODULE")


class Platform:
    """A running `manage.py dev`."""

    def __init__(self, home: Path, *options: str) -> None:
        self.output = home / "output"
        environment = {name: value for name, value in os.environ.items() if name not in GIVEN}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "dev", *options],
                cwd=ROOT,
                env=environment | {"JOBYARD_HOME": str(home)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, text: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.output.read_text():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.1)


def running(home: Path) -> list[psutil.Process]:
    """Processes that were started for the platform in this folder, its servers included."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("JOBYARD_HOME") == str(home) or str(home) in " ".join(process.cmdline())
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def manage(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command of manage.py with the environment of the platform in this folder."""
    environment = next(p.environ() for p in running(home) if p.environ().get("JOBYARD_ROLE") == "beat")
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for process in running(tmp_path):
        process.kill()


def test_once_ends_when_the_demo_jobs_have_and_says_how(home: Path) -> None:
    platform = Platform(home, "--once")
    assert platform.process.wait(180) == 0, platform.output.read_text()
    table = platform.output.read_text().split("\ntype ")[-1]
    assert "otherwise" in table
    assert {line.split()[0] for line in table.splitlines()[1:] if line} >= {"smoke", "bgg_sync", "bgg_bulk_sync"}
    assert running(home) == []


def test_ctrl_c_in_the_middle_of_the_load_stops_everything(home: Path) -> None:
    platform = Platform(home, "--demo")
    platform.wait_for("demo jobs have ended")
    assert len(running(home)) > 8
    os.killpg(platform.process.pid, signal.SIGINT)  # as a terminal does
    assert platform.process.wait(90) == 0, platform.output.read_text()
    assert running(home) == []


def test_servers_that_a_killed_one_left_are_no_obstacle(home: Path) -> None:
    killed = Platform(home)
    killed.wait_for("API key")
    for process in running(home):
        if process.name() not in ("postgres", "valkey-server"):
            process.kill()
    killed.process.wait(10)
    platform = Platform(home)
    platform.wait_for("API key")
    for command in (("smoke",), ("smoke", "--queue", "cpu"), ("worker", "io", "--check"), ("worker", "cpu", "--check")):
        done = manage(home, *command)
        assert done.returncode == 0, done.stderr
    assert manage(home, "smoke", "--queue", "nope").returncode != 0
    platform.process.terminate()
    assert platform.process.wait(90) == 0, platform.output.read_text()
    assert running(home) == []
