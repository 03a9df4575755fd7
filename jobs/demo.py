"""The core's part of the demo load: tiny jobs, as fast as they go."""

from jobs.processor import Enqueued, enqueue_many


def load() -> list[Enqueued]:
    return enqueue_many(("smoke", {"message": f"number {n}"}, {"tags": ["demo"]}) for n in range(500))
