"""What a scheduler outside may call: declared by rooms."""

from jobs import crons


def test_the_rooms_say_what_there_is() -> None:
    found = crons.declared()
    assert {"process-opportunities", "cleanup-old-jobs"} <= found.keys()
    assert all(map(callable, found.values()))
