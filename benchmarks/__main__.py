"""`python -m benchmarks`: Jobyard and other job systems on this machine, in turn, and what the ratios are.

Peers are installed at their first use. Figures of one machine and run compare with each other only.

    --rounds N      each contender in each case so often, in turn (3)
    --jobs N        at most so many jobs in a drain
    --only WORDS    contenders with one of these in their name, comma-separated
    --cases NAMES   work (drain, memory, latency), enqueue, waiting
    --output FOLDER for benchmark.md and benchmark.svg (.jobyard/benchmarks)
    --scale         instead: ours among millions of rows; see `benchmarks.scale`
    --finished N,N  of --scale: numbers of finished rows (0,1000000,5000000)
    --waiting N     of --scale: jobs in the backlog (1000000)
    --seconds N     of --scale: how long a transaction stays open (600)
    --smoke         every case once, few jobs, ours and stock Celery only; fails where a figure is missing
"""

import argparse
import signal
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks import report, scale
from benchmarks.cases import CASES, Case, Sizes
from benchmarks.contenders import CHECKOUT, CONTENDERS, STOCK, Contender
from benchmarks.peers.environments import Missing
from benchmarks.programs import Failed, Programs
from benchmarks.servers import servers, synced_valkey

SMOKE = Sizes(drain=300, enqueue=100, bulk=100, latency=60)
SMOKED = ("ours, threads -c 10, two workers", STOCK)
SMOKED_SLOTS = 10  # for the jobs that wait


def main() -> None:
    chosen = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers and workers are stopped on the way out
    if chosen.scale:
        with servers() as running:
            scale.run(
                running, scale.Sizes([int(n) for n in chosen.finished.split(",")], chosen.waiting, chosen.seconds)
            )
        return
    contenders = [one for one in CONTENDERS if any(word in one.name for word in chosen.only.split(","))]
    cases = [case for case in CASES if case.name in chosen.cases.split(",")]
    sizes, rounds = Sizes(drain=chosen.jobs), chosen.rounds
    if chosen.smoke:
        contenders = [replace(one, waiting=SMOKED_SLOTS) for one in CONTENDERS if one.name in SMOKED]
        sizes, rounds = SMOKE, 1
    if not contenders or not cases:
        sys.exit("Nothing is left to measure: see --only and --cases")
    figures = measure(contenders, cases, sizes, rounds)
    report.write(figures, chosen.output)
    if chosen.smoke and figures.failed:
        sys.exit("A figure is missing")


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--jobs", type=int, default=Sizes.drain)
    options.add_argument("--only", default="")
    options.add_argument("--cases", default=",".join(case.name for case in CASES))
    options.add_argument("--output", type=Path, default=CHECKOUT / ".jobyard" / "benchmarks")
    options.add_argument("--smoke", action="store_true")
    options.add_argument("--scale", action="store_true")
    options.add_argument("--finished", default="0,1000000,5000000")
    options.add_argument("--waiting", type=int, default=1_000_000)
    options.add_argument("--seconds", type=float, default=600)
    return options.parse_args()


def measure(contenders: list[Contender], cases: list[Case], sizes: Sizes, rounds: int) -> report.Measured:
    """Everybody's turn in each case, round after round."""
    figures = report.Measured(cases, contenders)
    ready = [contender for contender in contenders if _is_installed(contender, figures)]
    with servers() as running, synced_valkey(running.folder) as synced:
        for number in range(1, rounds + 1):
            for case in cases:
                for contender in [one for one in ready if _takes_part(one, case)]:
                    programs = Programs(contender, running, synced if contender.synced else running.valkey)
                    said = _measure_one(programs, case, sizes, number, figures)
                    print(f"round {number}, {case.name}: {contender.name}: {said}", flush=True)
    return figures


def _is_installed(contender: Contender, figures: report.Measured) -> bool:
    try:
        return bool(contender.program)
    except Missing as error:
        print(f"{contender.name}: not run: {error}", flush=True)
        figures.fail(contender, f"not run: {error}")
        return False


def _takes_part(contender: Contender, case: Case) -> bool:
    if case.name == "enqueue":
        return contender.enqueues
    return case.name == "work" or contender.waiting > 0


def _measure_one(programs: Programs, case: Case, sizes: Sizes, number: int, figures: report.Measured) -> str:
    """What to print. A contender that fails does not end the run, and is told of in the report."""
    contender = programs.contender
    try:
        programs.reset()
        found = case.measure(programs, sizes)
    except Failed as error:
        figures.fail(contender, f"{case.name} failed: {error}")
        return f"failed: {error}"
    figures.add(contender, number, found)
    if case.name == "enqueue" and "bulk" not in found:
        figures.note(contender, "has no bulk call; what it drained was enqueued by 50 callers")
    columns = [column for table in case.tables for column in table.columns if column.key in found]
    return ", ".join(f"{found[one.key]:,.{one.digits}f}{one.unit}" for one in columns)


if __name__ == "__main__":
    main()
