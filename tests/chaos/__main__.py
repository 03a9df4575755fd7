"""`make chaos`: a load of every kind of job, a storm of faults on everything that runs it, and what held.

    make chaos
    make chaos ARGS="--minutes 30 --rate 30"
    make chaos ARGS="--seed 4711"
    make chaos ARGS="--beside --minutes 3"

Runs on servers and processes of its own. Exits with 1, and prints the seed, when an invariant is broken.
"""

import argparse
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path

from jobs.management import embedded
from tests.chaos.beside.table import beside
from tests.chaos.disk import small_disk

LEASE = "5"  # seconds; a sixth of the default, so that more happens in a minute


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000))
    parser.add_argument("--rate", type=float, default=15, help="jobs a second")
    parser.add_argument("--only", default="", help="faults whose names this expression finds")
    parser.add_argument("--logs", type=Path, help="a folder for what all processes write")
    parser.add_argument("--beside", action="store_true", help="the same storm on stock Celery and BullMQ too")
    alone = parser.add_argument_group("one system of `--beside`, which starts each so")
    alone.add_argument("--system", default="")
    alone.add_argument("--durable", action="store_true", help="its Redis keeps what it was told")
    alone.add_argument("--figures", type=Path, help="the file for what came of it")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers and processes are stopped on the way out
    if options.beside:
        return beside(options)
    with tempfile.TemporaryDirectory(prefix="jobyard-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with small_disk(folder / "disk") as mounted:
            postgres, valkey = embedded.Postgres(folder / "disk"), embedded.Valkey(folder, durable=options.durable)
            embedded.export(postgres, valkey)
            os.environ.update(
                DJANGO_SETTINGS_MODULE="tests.chaos.settings",
                JOBS_LEASE=LEASE,
                SECRET_KEY=secrets.token_urlsafe(50),
                ALLOWED_HOSTS="localhost",
                DEBUG="",
            )
            try:
                import django

                django.setup()
                if options.system:
                    from tests.chaos.beside import run as one

                    return one.run(options, postgres, valkey, folder)
                from tests.chaos.run import run

                return run(options, postgres, valkey, folder, can_fill_disk=mounted)
            finally:
                valkey.kill()
                postgres.stop()


if __name__ == "__main__":
    sys.exit(main())
