"""What the database itself saw: a trigger writes each change of a job's state and of a pace, in commit order or nearly.

Rows alone show only the last state. The ledger shows a job that ended twice, and how many ran at once.
"""

from django.db import connection

SCHEMA = """
CREATE TABLE chaos_change (
    place bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), job uuid, queue text,
    old_status text, new_status text, old_run int, new_run int, old_worker text, new_worker text
);
CREATE FUNCTION chaos_note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos_change (job, queue, old_status, new_status, old_run, new_run, old_worker, new_worker)
    VALUES (NEW.id, NEW.queue, OLD.status, NEW.status, OLD.run, NEW.run, OLD.worker, NEW.worker);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_inserted AFTER INSERT ON jobs_job FOR EACH ROW EXECUTE FUNCTION chaos_note_change();
CREATE TRIGGER chaos_updated AFTER UPDATE ON jobs_job FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.run IS DISTINCT FROM NEW.run
          OR OLD.result IS DISTINCT FROM NEW.result)
    EXECUTE FUNCTION chaos_note_change();
CREATE TABLE chaos_grant (place bigserial PRIMARY KEY, name text, next_at timestamptz);
CREATE FUNCTION chaos_note_grant() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO chaos_grant (name, next_at) VALUES (NEW.name, NEW.next_at);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_granted AFTER INSERT OR UPDATE OF next_at ON jobs_limit FOR EACH ROW
    EXECUTE FUNCTION chaos_note_grant();
"""


def open_ledger() -> None:
    """Once the tables of the product are there."""
    with connection.cursor() as cursor:
        cursor.execute(SCHEMA)
