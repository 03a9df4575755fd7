"""Which process does a duty that one at a time must do: a lease on a row, by the database's clock.

A leader that was frozen past its lease may wake and act once more: what it does must be safe to do twice.
"""

import logging
import threading

from django.db import Error as DatabaseError
from django.db import connection
from django.db.models.functions import Now

from jobs.models import Leader
from jobs.sessions import own_session

# One statement, so that of two that ask at once one waits for the other's row and then sees its lease.
LEAD = """
    INSERT INTO jobs_leader AS leader (duty, holder, expires_at, unbroken_since)
    VALUES (%(duty)s, %(holder)s, statement_timestamp() + make_interval(secs => %(seconds)s), statement_timestamp())
    ON CONFLICT (duty) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at,
        unbroken_since = CASE WHEN leader.expires_at > statement_timestamp() - make_interval(secs => %(seconds)s) / 2
            THEN leader.unbroken_since ELSE excluded.unbroken_since END
    WHERE leader.holder = excluded.holder OR leader.expires_at < statement_timestamp()
    RETURNING holder
"""

UNBROKEN = """
    SELECT extract(epoch FROM statement_timestamp() - unbroken_since)::float8 FROM jobs_leader WHERE duty = %s
"""


def lead(duty: str, holder: str, seconds: float) -> bool:
    """Take the duty or keep it for so long; False while somebody else has it."""
    with connection.cursor() as cursor:
        cursor.execute(LEAD, {"duty": duty, "holder": holder, "seconds": seconds})
        return cursor.fetchone() is not None


def unbroken(duty: str) -> float:
    """For how many seconds somebody has led, one after the other, with no gap of more than half a term.

    So long, at least, the database could be reached.
    """
    with connection.cursor() as cursor:
        cursor.execute(UNBROKEN, [duty])
        row = cursor.fetchone()
    return float(row[0]) if row else 0.0


def resign(duty: str, holder: str) -> None:
    """Let another one take the duty at once."""
    Leader.objects.filter(duty=duty, holder=holder).update(expires_at=Now())


class Candidate(threading.Thread):
    """Does rounds of a duty while it leads, on a session of its own, and goes on after any trouble."""

    duty: str
    term: float  # seconds a leader is believed
    interval: float  # seconds between two rounds
    statement_timeout: int  # ms

    def __init__(self, holder: str) -> None:
        super().__init__(name=f"jobs-{self.duty}", daemon=True)
        self.holder = holder
        self.ended = threading.Event()

    def round(self) -> None:
        """The duty."""
        raise NotImplementedError

    def run(self) -> None:
        log = logging.getLogger(f"jobs.{self.duty}")
        connected = False
        while not self.ended.wait(self.interval):
            try:
                if not connected:
                    own_session(lock_timeout=5_000, statement_timeout=self.statement_timeout)
                    connected = True
                if lead(self.duty, self.holder, self.term):
                    self.round()
            except DatabaseError as error:
                log.warning("%s interrupted, trying again: %s", self.duty, str(error).strip().partition("\n")[0])
                connected = False
            except Exception:
                log.exception("%s stumbled, going on", self.duty)
                connected = False
        try:
            resign(self.duty, self.holder)
        except DatabaseError:
            log.info("the lead of %s ends by itself", self.duty)
        finally:
            connection.close()
