"""x"""

from benchmarks.servers import Servers


def run(running: Servers, finished: str, rounds: int, transaction: float) -> int:
    return 0
