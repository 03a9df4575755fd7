"""Writes that may wait a moment: a thread of the process does them, again and again until each is done."""

import logging
import os
import threading
import time
from typing import Protocol

log = logging.getLogger("jobs")

INTERVAL = 0.5  # seconds between two rounds


class Write(Protocol):
    """Something that is to be written."""

    def flush(self) -> bool:
        """Write it. False: not yet, ask again."""


_lock = threading.Lock()
_asked: set[Write] = set()
_wanted = threading.Event()
_thread: threading.Thread | None = None


def _forget_parent() -> None:
    """A forked child has neither the thread nor a say in what state its locks were copied."""
    global _lock, _wanted, _thread
    _lock, _wanted, _thread = threading.Lock(), threading.Event(), None
    _asked.clear()


os.register_at_fork(after_in_child=_forget_parent)


def ask(write: Write) -> None:
    """Have this written, for the first time within `INTERVAL`."""
    global _thread
    with _lock:
        _asked.add(write)
        if _thread is None:
            _thread = threading.Thread(target=_deliver, name="jobs-soon", daemon=True)
            _thread.start()
    _wanted.set()


def _deliver() -> None:
    while True:
        _wanted.wait()
        time.sleep(INTERVAL)
        with _lock:
            _wanted.clear()
            asked = list(_asked)
            _asked.clear()
        for write in asked:
            try:
                done = write.flush()
            except Exception:
                log.exception("this was not written and will not be: %r", write)
                continue
            if not done:
                ask(write)
