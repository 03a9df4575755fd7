"""Which process does a duty that one at a time must do: a lease on a row, by the database's clock.

A leader that was frozen past its lease may wake and act once more: what it does must be safe to do twice.
"""

from django.db import connection

from jobs.models import Leader

# One statement, so that of two that ask at once one waits for the other's row and then sees its lease.
LEAD = """
    INSERT INTO jobs_leader AS leader (duty, holder, expires_at)
    VALUES (%(duty)s, %(holder)s, statement_timestamp() + make_interval(secs => %(seconds)s))
    ON CONFLICT (duty) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
    WHERE leader.holder = excluded.holder OR leader.expires_at < statement_timestamp()
    RETURNING holder
"""


def lead(duty: str, holder: str, seconds: float) -> bool:
    """Take the duty or keep it for so long; False while somebody else has it."""
    with connection.cursor() as cursor:
        cursor.execute(LEAD, {"duty": duty, "holder": holder, "seconds": seconds})
        return cursor.fetchone() is not None


def resign(duty: str, holder: str) -> None:
    """Let another one take the duty at once."""
    Leader.objects.filter(duty=duty, holder=holder).delete()
