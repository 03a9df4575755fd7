import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[3]

RELOADING = """
import sys
from pathlib import Path
from jobs.management import reloading
reloading.run([sys.executable, "-c", sys.argv[2], sys.argv[1]], [Path(sys.argv[1])])
"""
TOLD = """
import signal, sys, time
log = open(sys.argv[1] + "/log", "a", buffering=1)
def end(*_):
    log.write("ended\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
log.write("started\\n")
time.sleep(600)
"""


ENDS = """
import sys
log = open(sys.argv[1] + "/log", "a", buffering=1)
log.write("started\\n")
sys.exit(int(len(open(sys.argv[1] + "/log").readlines()) == 3))
"""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_change_of_code_starts_it_anew_and_a_signal_ends_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = subprocess.Popen([sys.executable, "-c", RELOADING, tmp_path, TOLD], cwd=ROOT)
    try:
        wait_until(lambda: log.exists() and log.read_text() == "started\n")
        (tmp_path / "notes.txt").write_text("no code")

        def changed() -> bool:
            (tmp_path / "code.py").write_text(f"# {time.monotonic()}")  # it may not be watching yet
            return log.read_text().startswith("started\nended\nstarted\n")

        wait_until(changed)
        process.terminate()
        assert process.wait(30) == 0
        assert log.read_text().count("started") == log.read_text().count("ended")
    finally:
        process.kill()
        process.wait()


def test_one_that_ends_well_is_started_again_and_one_that_fails_is_not(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = subprocess.Popen([sys.executable, "-c", RELOADING, tmp_path, ENDS], cwd=ROOT)
    try:
        wait_until(lambda: log.exists() and log.read_text() == "started\n" * 3)  # the third fails
        time.sleep(1.5)  # three looks
        assert log.read_text() == "started\n" * 3
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
