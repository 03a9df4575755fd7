"""Collecting histories: what happened to a character, into rows that stay when ESI has forgotten it."""

from datetime import UTC, datetime
from itertools import count
from typing import Annotated, Final, Literal
from uuid import uuid5

from django.db import transaction
from pydantic import AfterValidator, Field, model_validator

from jobs.processor import Discard, JobContext

from .. import history, sso
from ..declaring import OfCharacter, Told, history_processor
from ..esi import endpoints
from ..esi.reading import Reader
from ..models import Character, DataType, Grant, HistoryRun

ALL: Final = "all"


def _in_utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]  # without a zone it is UTC; a day is its beginning


class HistoricalData(OfCharacter):
    data_type: DataType | Literal["all"] = Field(description="all: each of the others, as a job of its own.")
    from_date: Moment | None = Field(None, description="None: as far back as EVE Online tells.")
    to_date: Moment | None = Field(None, description="None: until now.")

    @model_validator(mode="after")
    def _in_order(self) -> "HistoricalData":
        if self.from_date and self.to_date and self.from_date > self.to_date:
            raise ValueError("toDate: it is before fromDate")
        return self


class HistoryCollected(Told):
    data_type: str
    stored: int = 0  # rows that were not there
    changed: int = 0  # rows of which something else was told before
    oldest: datetime | None = None  # how far back EVE Online told anything
    children: list[str] = []  # the jobs that collect, when asked for all


@history_processor(timeout=900)
def historical_data(payload: HistoricalData, job: JobContext) -> HistoryCollected:
    """Collect one history of a character, or all of them."""
    character = payload.character()
    if payload.data_type == ALL:
        return HistoryCollected(data_type=ALL, children=_collect_all(payload, job))
    run = HistoryRun.objects.filter(job=job.id).first() or _collect(payload, character, job)
    return HistoryCollected(data_type=run.data_type, stored=run.stored, changed=run.changed, oldest=run.oldest)


def _collect_all(payload: HistoricalData, job: JobContext) -> list[str]:
    """A job for each history. An earlier attempt's are found by their ids, and not enqueued again."""
    with transaction.atomic():
        return [
            str(
                job.enqueue_child(
                    historical_data,
                    payload.model_copy(update={"data_type": each}),
                    priority="batch",
                    task_id=uuid5(job.id, each),
                ).id
            )
            for each in DataType
        ]


def _collect(payload: HistoricalData, character: Character, job: JobContext) -> HistoryRun:
    """Read first, however long that takes, then store in one transaction that also says so."""
    data_type = DataType(payload.data_type)
    told = history.read(data_type, _asking(character, job))
    with transaction.atomic():
        stored = history.store(data_type, character.pk, told, payload.from_date, payload.to_date)
        return HistoryRun.objects.create(
            job=job.id,
            character=character,
            data_type=data_type,
            from_date=payload.from_date,
            to_date=payload.to_date,
            stored=stored.new,
            changed=stored.changed,
            oldest=stored.oldest,
        )


def _asking(character: Character, job: JobContext) -> history.Read:
    """Asks ESI in the character's name, for what its owner allowed."""
    pages = count()
    reader = Reader(
        lambda refused: sso.access_token(character.pk, renew=refused),
        step=lambda: job.progress(next(pages), note="pages"),
    )
    grant = Grant.objects.filter(character=character).first()

    def ask(name: str) -> object:
        endpoint = endpoints.named(name)
        if grant and endpoint.scope not in grant.scopes:
            raise Discard(f"{character} has to log in again, with the scope {endpoint.scope}")
        return reader.read(endpoints.asked(endpoint, character.pk)).value

    return ask
