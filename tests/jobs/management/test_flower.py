"""`manage.py flower` as an operator meets it when something is wrong."""

import os
import subprocess
import sys
from pathlib import Path


def test_it_does_not_start_with_settings_that_nothing_must_start_with() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "flower"],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"SECRET_KEY": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert done.stderr == "CommandError: SECRET_KEY is not set.\n"
