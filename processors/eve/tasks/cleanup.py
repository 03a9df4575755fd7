"""Cleaning up what is kept of ESI's answers."""

from pydantic import Field, model_validator

from jobs.processor import JobContext, Payload

from .. import cleaning
from ..cleaning import Mode
from ..declaring import Told, cleaning_processor
from ..models import EsiAnswer


class CacheCleanup(Payload):
    mode: Mode = Field(Mode.EXPIRED, description="Which answers go. pattern needs pattern, and lru needs maxSize.")
    pattern: str = Field("", max_length=400, description="Of keys, such as esi:characters:*")
    max_size: int | None = Field(None, ge=0, description="How many answers stay: those that were used last.")
    dry_run: bool = Field(False, description="Count only.")

    @model_validator(mode="after")
    def _fitting(self) -> "CacheCleanup":
        if bool(self.pattern) != (self.mode is Mode.PATTERN):
            raise ValueError("pattern: expected with mode pattern, and with no other")
        if (self.max_size is not None) != (self.mode is Mode.LRU):
            raise ValueError("maxSize: expected with mode lru, and with no other")
        return self


class CacheCleaned(Told):
    mode: Mode
    removed: int  # answers; with `dryRun` those that would be
    freed: int  # bytes of them
    kept: int  # answers
    dry_run: bool


@cleaning_processor(timeout=1800)
def cache_cleanup(payload: CacheCleanup, job: JobContext) -> CacheCleaned:
    """Delete kept answers of ESI's: those that have expired, or others."""
    rows = cleaning.chosen(payload.mode, pattern=payload.pattern, max_size=payload.max_size or 0)
    count, size = cleaning.counted(rows)
    if not payload.dry_run:
        total, count, size = count, 0, 0
        for chunk, bytes_ in cleaning.cleaned(rows):
            count, size = count + chunk, size + bytes_
            job.progress(count, max(total, count))
    kept = EsiAnswer.objects.count() - (count if payload.dry_run else 0)
    return CacheCleaned(mode=payload.mode, removed=count, freed=size, kept=kept, dry_run=payload.dry_run)
