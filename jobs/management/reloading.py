"""A process that is stopped and started again whenever code changes, for development."""

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from watchfiles import PythonFilter, watch


def run(command: Sequence[str], folders: Sequence[Path]) -> None:
    """Keep it running until SIGTERM or SIGINT. One that failed is started again at the next change, one that was
    drained at once: it ended with 0.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    process = subprocess.Popen(command)
    # The time-out bounds how long a signal, or an end, may go unnoticed.
    looks = watch(*folders, watch_filter=PythonFilter(), stop_event=ended, rust_timeout=500, yield_on_timeout=True)
    for changes in looks:
        if changes or process.poll() == os.EX_OK:
            process.terminate()
            process.wait()
            process = subprocess.Popen(command)
    process.terminate()
    process.wait()
