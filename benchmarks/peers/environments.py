"""The environments that peers run in: made at their first use under `.jobyard/peers`, and kept until a pin changes.

A Python peer has a venv of its own, so that no peer's requirements hold back another's or ours. The Node peers share
one folder. `make clean` removes them all.
"""

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
HOME = HERE.parents[1] / ".jobyard" / "peers"
PACKAGES = HERE / "package.json"
PINS = {
    "dramatiq": ["dramatiq[redis]==2.2.1"],
    "huey": ["huey==3.5.4", "redis==8.1.0"],
    "rq": ["rq==3.0.0"],
    "taskiq": ["taskiq==0.13.0", "taskiq-redis==1.2.4"],
    "procrastinate": ["procrastinate==3.10.0", "psycopg[binary,pool]==3.3.9"],
}


class Missing(Exception):
    """An environment cannot be made here; says why."""


def python(peer: str) -> Path:
    """The interpreter of this peer's venv. Raises Missing where pip fails."""
    folder, pins = HOME / peer, "\n".join(PINS[peer])
    interpreter = folder / "bin" / "python"
    if not _is_made(folder, pins):
        print(f"Installing {' '.join(PINS[peer])}", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        _run([interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINS[peer]], folder)
        (folder / "made").write_text(pins)
    return interpreter


def node(programs: Iterable[Path] = ()) -> Path:
    """The folder with the Node peers' packages, and these programs copied beside them, since they import from there.

    Raises Missing where there is no node or npm, or npm fails.
    """
    folder, pins = HOME / "node", PACKAGES.read_text()
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise Missing(f"{program} is not installed")
    if not _is_made(folder, pins):
        print("Installing the Node peers", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(PACKAGES, folder)
        _run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"], folder)
        (folder / "made").write_text(pins)
    for path in programs:
        shutil.copy(path, folder)
    return folder


def _is_made(folder: Path, pins: str) -> bool:
    """Whether an earlier run came to its end with the same pins. The marker is written last."""
    marker = folder / "made"
    return marker.exists() and marker.read_text() == pins


def _run(command: list[str | Path], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise Missing(f"{Path(command[0]).name} failed: {last}")


if __name__ == "__main__":
    for name in sys.argv[1:] or [*PINS, "node"]:
        print(node() if name == "node" else python(name))
