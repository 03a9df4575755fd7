"""Ids of jobs. Free of Django, since Celery's application is made before Django's models are ready."""

from uuid import UUID

try:
    from uuid import uuid7  # type: ignore[attr-defined,unused-ignore]
except ImportError:  # before Python 3.14
    from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A time-ordered id (UUID version 7), so that the primary key grows at one end."""
    made: UUID = uuid7()
    return made


def new_task_id() -> str:
    """The same as text: what Celery names tasks by when it freezes a canvas."""
    return str(new_id())
