"""All systems, one after another, each in a process with servers of its own; and what became of their jobs."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from benchmarks.peers import environments

# Name, and whether its Redis keeps everything (appendonly, appendfsync always). Ours keeps nothing there.
COLUMNS = {
    "Jobyard": ("jobyard", False),
    "Celery": ("celery", True),
    "BullMQ": ("bullmq", True),
    "Celery, Redis in memory": ("celery", False),
    "BullMQ, Redis in memory": ("bullmq", False),
}
ROWS = {
    "calls": "calls that enqueue",
    "refused": "of them raised an error",
    "accepted": "jobs accepted: the call returned, or its transaction committed",
    "ended": "of them ran to their end",
    "given up": "given up, and shown as failed",
    "lost, told": "**lost**: the call had returned",
    "lost, committed": "**lost**: the transaction had committed",
    "phantom": "**phantoms**: ran, and the transaction was rolled back",
    "twice": "ran to their end twice or more",
    "faults": "faults",
    "service": "from a fault to the end of a job enqueued right after it",
}


def beside(options: argparse.Namespace) -> int:
    """1 when ours lost a job or ran a phantom, or did not come to its end."""
    print(f"seed {options.seed}: {options.minutes:g} minutes, {options.rate:g} calls a second, for each")
    with tempfile.TemporaryDirectory(prefix="jobyard-beside-", ignore_cleanup_errors=True) as folder:
        figures = _figures(options, options.logs or Path(folder))
    names = [name for name in COLUMNS if name in figures]
    print(f"\n| | {' | '.join(names)} |\n|---{'|---' * len(names)}|")
    for key, title in ROWS.items():
        print(f"| {title} | {' | '.join(str(figures[name][key]) for name in names)} |")
    for name in (name for name in names if not figures[name]["settled"]):
        print(f"\n{name} still ran jobs when the run ended.")
    ours = figures.get("Jobyard", {})
    held = ours and not any(ours[key] for key in ("lost, told", "lost, committed", "phantom"))
    return 0 if held else 1


def _figures(options: argparse.Namespace, logs: Path) -> dict[str, dict[str, Any]]:
    """Of each system that could be run."""
    figures = {}
    for name, (system, durable) in COLUMNS.items():
        if system == "bullmq" and (why := _missing()):
            print(f"{name} was NOT run: {why}", flush=True)
            continue
        print(f"{name} …", flush=True)
        folder = logs / name.replace(", ", "-").replace(" ", "-").lower()
        folder.mkdir(parents=True, exist_ok=True)
        told = folder / "figures.json"
        command: list[str | Path] = [sys.executable, "-m", "tests.chaos", "--system", system]
        command += ["--figures", told, "--logs", folder, *["--durable"] * durable]
        command += [f"--{key}={getattr(options, key)}" for key in ("minutes", "seed", "rate", "only")]
        with (folder / "run.log").open("wb") as log:
            failed = _wait_for(command, log)
        if failed:
            print(f"{name} did not come to its end:\n{(folder / 'run.log').read_text()[-2000:]}")
        else:
            figures[name] = json.loads(told.read_text())
    return figures


def _wait_for(command: Sequence[str | Path], log: IO[bytes]) -> int:
    """Its exit code. Where we are told to end it is too, and may stop its servers first."""
    with subprocess.Popen(command, stdout=log, stderr=log) as system:
        try:
            return system.wait()
        except KeyboardInterrupt:
            system.terminate()
            raise


def _missing() -> str:
    """Why there is no BullMQ here."""
    try:
        environments.node()
    except environments.Missing as error:
        return str(error)
    return ""
