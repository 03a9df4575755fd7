"""Which of a schedule's due times are enqueued, when some have passed unseen, and which are told as missed.

A due time of the last half minute is not missed: so long may one beat take to follow another. Of older ones the
schedule's policy says what becomes of them. Pure: rules and instants in, instants out.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jobs.duetimes import TICK, Rule
from jobs.schedules import MissedRuns

RECENT = timedelta(seconds=30)
MOST = 1000  # missed due times that are looked at one by one, the latest ones

NO_BEAT = "no beat ran then"
TOO_LATE = "it came too late for its job to start"
ENDED = "the schedule had ended"


@dataclass(frozen=True)
class Plan:
    """What to do, oldest first."""

    missed: list[tuple[datetime, str]] = field(default_factory=list)  # and why
    due: list[datetime] = field(default_factory=list)
    untold: tuple[datetime, datetime] | None = None  # the first and the last of more than `MOST` missed ones


def plan(rule: Rule, done: datetime, now: datetime, policy: str, lifetime: timedelta | None = None) -> Plan:
    """What to do with the due times after `done` until `now`. `lifetime`: how long after one its job may start."""
    older, untold = _older(rule, done, now - RECENT)
    recent = _after(rule, max(done, now - RECENT), now)
    if rule.end and now >= rule.end:
        return Plan([(at, ENDED) for at in older + recent], [], untold)
    made_up_for = {MissedRuns.ALL: older, MissedRuns.ONE: [] if recent else older[-1:], MissedRuns.SKIP: []}
    due = made_up_for[MissedRuns(policy)] + recent
    too_late = {at for at in due if lifetime is not None and at + lifetime <= now}
    missed = [(at, TOO_LATE if at in too_late else NO_BEAT) for at in older + recent if at in too_late or at not in due]
    return Plan(missed, [at for at in due if at not in too_late], untold)


def _after(rule: Rule, moment: datetime, until: datetime) -> list[datetime]:
    found, at = [], rule.after(moment)
    while at and at <= until:
        found.append(at)
        at = rule.after(at)
    return found


def _older(rule: Rule, done: datetime, until: datetime) -> tuple[list[datetime], tuple[datetime, datetime] | None]:
    """The latest of the due times after `done` until a moment, and what spans those before them."""
    found: list[datetime] = []
    at = rule.until(until)
    while at and at > done and len(found) < MOST:
        found.append(at)
        at = rule.until(at - TICK)
    first = rule.after(done)
    untold = (first, at) if at and at > done and first else None
    return found[::-1], untold
