"""The board games' part of `manage.py demo_data`: a short load that shows each job type, and one that must fail.

Every job has the tag `demo`; one that is meant to end failed has `fails` too.
"""

from typing import Any

from jobs.processor import Enqueued, enqueue_many

KNOWN = ["13", "9209", "266192"]  # Catan, Ticket to Ride, Wingspan
UNKNOWN = ["999999998", "999999999"]
GENERATED = [str(game_id) for game_id in range(100_000, 100_200)]  # in the sandbox only


def load() -> list[Enqueued]:
    jobs: list[tuple[str, dict[str, Any], list[str]]] = [
        *(("bgg_sync", {"gameId": game_id, "forceUpdate": True}, []) for game_id in KNOWN),
        ("bgg_sync", {"gameId": GENERATED[0], "includeDetails": False}, []),
        ("bgg_sync", {"gameId": UNKNOWN[0]}, ["fails"]),
        ("bgg_bulk_sync", {"gameIds": [*GENERATED[:58], *UNKNOWN]}, []),
        ("bgg_bulk_sync", {"gameIds": GENERATED[58:118], "batchSize": 15, "delayBetweenBatches": 500}, []),
        ("bgg_bulk_sync", {"gameIds": GENERATED[100:]}, []),
        ("cache_warmup", {"limit": 50, "gameIds": KNOWN, "searchQueries": ["catan", "wingspan"]}, []),
    ]
    return enqueue_many((name, payload, {"tags": ["demo", *tags]}) for name, payload, tags in jobs)
