"""Workers of ours for measurements that know what a job of ours is, and waiting for what they do."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def workers(commands: list[str], *, queue: str = "default", **environment: str) -> Iterator[None]:
    """Workers, ready. A command is a pool and its size: `threads -c 10`."""
    from jobs.models import Worker

    Worker.objects.all().delete()
    started = [
        _start(["-Q", queue, "-n", f"bench{number}@%h", "-P", *command.split()], environment)
        for number, command in enumerate(commands)
    ]
    try:
        until(lambda: Worker.objects.count() == len(started))
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


def _start(arguments: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    quiet = ["--without-mingle", "--without-gossip", "-l", "WARNING"]
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-q", "-A", "config", "worker", *arguments, *quiet]
    return subprocess.Popen(command, env={**os.environ, **environment})


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.01)
