"""What was measured, as tables in the console and in Markdown, and the drains as a bar chart."""

import statistics
from collections.abc import Iterator
from html import escape
from pathlib import Path

from benchmarks.cases import Case, Column, Figures, Table
from benchmarks.contenders import BULLMQ, EVENTS, STOCK, Contender

Rows = list[list[str]]
OURS = ' class="ours"'
NO_FIGURE = "–"  # noqa: RUF001


class Measured:
    """Figures of every round by contender and column, and why some are missing."""

    def __init__(self, cases: list[Case], contenders: list[Contender]) -> None:
        self.cases, self.contenders = cases, contenders
        self.rounds: dict[tuple[str, str], dict[int, float]] = {}
        self.notes: list[str] = []
        self.failed: set[str] = set()

    def add(self, contender: Contender, number: int, figures: Figures) -> None:
        """What it did in this round."""
        for key, figure in figures.items():
            self.rounds.setdefault((contender.name, key), {})[number] = figure

    def fail(self, contender: Contender, why: str) -> None:
        """A figure is missing that should be there."""
        self.failed.add(contender.name)
        self.note(contender, why)

    def note(self, contender: Contender, why: str) -> None:
        """Say once why it has no figure."""
        if (note := f"{contender.name}: {why}") not in self.notes:
            self.notes.append(note)

    def has_any(self, contender: Contender, table: Table) -> bool:
        """Whether it has a figure there, or should have had."""
        return contender.name in self.failed or any((contender.name, one.key) in self.rounds for one in table.columns)

    def found(self, contender: Contender, column: str) -> list[float]:
        return list(self.rounds.get((contender.name, column), {}).values())

    def ratio(self, contender: Contender, column: str, base: str) -> float | None:
        """The median of the rounds' ratios to this contender."""
        ours, theirs = (self.rounds.get((name, column), {}) for name in (contender.name, base))
        both = ours.keys() & theirs.keys()
        return statistics.median(ours[number] / theirs[number] for number in both) if both else None


def write(measured: Measured, folder: Path) -> None:
    """Print the tables, and put them and the chart into the folder."""
    parts = []
    for title, table in tables(measured):
        print(f"\n{title}\n{_aligned(table)}")
        parts.append(f"### {title}\n\n{_markdown(table)}")
    if measured.notes:
        notes = "\n".join(f"* {note}" for note in measured.notes)
        print(f"\n{notes}")
        parts.append(notes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmark.md").write_text("\n\n".join(parts) + "\n")
    rates = [(one, measured.found(one, "drain")) for one in measured.contenders]
    bars = [(one.name, statistics.median(found), one.is_ours) for one, found in rates if found]
    if bars:
        (folder / "benchmark.svg").write_text(chart("No-op jobs per second, drained", bars))
    print(f"\nWritten to {folder}")


def tables(measured: Measured) -> Iterator[tuple[str, Rows]]:
    """One for each group of figures, with their spread and ratios, the cost of events, and who takes part."""
    for case in measured.cases:
        for table in case.tables:
            heads = [head for column in table.columns for head in (column.title, "to BullMQ", "to stock")]
            rows = [_row(measured, table, one) for one in measured.contenders if measured.has_any(one, table)]
            if rows:
                yield table.title, [["", *heads], *rows]
    events = [
        [one.name, f"{ratio:.2f}"]
        for one in measured.contenders
        if EVENTS in one.name and (ratio := measured.ratio(one, "drain", one.name.removesuffix(EVENTS))) is not None
    ]
    if events:
        yield "Events for Flower", [["", "of the jobs/s without"], *events]
    survived = [[one.name, one.worker, f"{one.jobs:,}", one.keeps] for one in measured.contenders]
    yield "Who takes part", [["", "workers", "jobs to drain", "what a job survives"], *survived]


def _row(measured: Measured, table: Table, contender: Contender) -> list[str]:
    return [contender.name, *(cell for column in table.columns for cell in _cells(measured, column, contender))]


def _cells(measured: Measured, column: Column, contender: Contender) -> list[str]:
    """The median with its spread, and the ratios."""
    found = measured.found(contender, column.key)
    if not found:
        return [NO_FIGURE] * 3
    middle, least, most = (f"{of(found):,.{column.digits}f}" for of in (statistics.median, min, max))
    ratios = [measured.ratio(contender, column.key, base) for base in (BULLMQ, STOCK)]
    spread = f"{middle} ({least} to {most})" if len(found) > 1 else middle
    return [spread, *(NO_FIGURE if one is None else f"{one:.2f}" for one in ratios)]


def _aligned(table: Rows) -> str:
    widths = [max(len(row[n]) for row in table) for n in range(len(table[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    )


def _markdown(table: Rows) -> str:
    lines = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join([lines[0], "|---" * len(table[0]) + "|", *lines[1:]])


def chart(title: str, bars: list[tuple[str, float, bool]]) -> str:
    """An SVG of horizontal bars, the longest first, ours in another colour; it follows the reader's light or dark."""
    height, left, full, width = 22, 250, 380, 720
    longest = max(rate for _, rate, _ in bars)
    drawn = []
    for number, (name, rate, ours) in enumerate(sorted(bars, key=lambda bar: -bar[1])):
        top = 40 + number * height
        drawn.append(
            f'<text x="{left - 10}" y="{top + 14}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{left}" y="{top + 2}" width="{max(1.0, full * rate / longest):.1f}" height="{height - 6}" rx="2"'
            f"{OURS if ours else ''}/>"
            f'<text x="{left + full * rate / longest + 8:.1f}" y="{top + 14}">{rate:,.0f}</text>'
        )
    style = (
        "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}rect{fill:#8c959f}.ours{fill:#0a7ea4}"
        "@media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#6e7681}.ours{fill:#39b8dd}}"
    )
    size = 50 + len(bars) * height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {size}" role="img" aria-label="{escape(title)}">'
        f'<style>{style}</style><text class="title" x="10" y="22">{escape(title)}</text>{"".join(drawn)}</svg>\n'
    )
