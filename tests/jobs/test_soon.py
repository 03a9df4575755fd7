import logging

import pytest

from jobs import soon
from tests.integration.workers import wait_for


class Diary:
    """Is written at the third try, unless it cannot be."""

    def __init__(self, torn: bool = False) -> None:
        self.tries = 0
        self.torn = torn

    def flush(self) -> bool:
        self.tries += 1
        if self.torn:
            raise ValueError("torn")
        return self.tries == 3


def test_a_write_is_tried_until_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="jobs"):
        torn, diary, later = Diary(torn=True), Diary(), Diary()
        for write in (torn, diary, diary):
            soon.ask(write)
        wait_for(lambda: diary.tries == 3, "the third try")
        soon.ask(later)
        wait_for(lambda: later.tries == 3, "another")
    assert (torn.tries, diary.tries) == (1, 3)
    assert "torn" in caplog.text
