"""The sandbox of all rooms, over real HTTP, for as long as the tests of a room run."""

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from jobs.management.sandbox import Sandboxes


@pytest.fixture(scope="session")
def sandbox_address() -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(Sandboxes(), port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    yield f"http://{host}:{port}"
    server.should_exit = True
    thread.join()
