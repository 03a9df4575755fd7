"""Reports over a period, as files in Django's storage."""

from collections.abc import Callable
from datetime import date, timedelta
from importlib import import_module
from typing import Annotated, Any, Final, Self

from annotated_types import Len
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from pydantic import Field, model_validator

from jobs.processor import Discard, JobContext, Payload

from .. import reports
from ..declaring import REPORTS, Told, crm_processor
from ..models import Report, ReportFile
from ..reports.kinds import KINDS
from ..reports.shapes import Content, Period

LONGEST: Final = timedelta(days=10 * 366)

Render = Callable[[Content], bytes]


class GenerateReport(Payload):
    kind: Report.Kind
    from_: date | None = Field(None, alias="from", description="The first day (UTC). None: of the month before.")
    to: date | None = Field(None, description="The last day, counted too. None: of the month before.")
    formats: Annotated[list[ReportFile.Format], Len(1, len(ReportFile.Format))] = Field(
        default_factory=lambda: list(ReportFile.Format), description="Each becomes a file."
    )

    @model_validator(mode="after")
    def _is_a_period(self) -> Self:
        if (self.from_ is None) is not (self.to is None):
            raise ValueError("give both from and to, or none")
        if self.from_ and self.to and not timedelta() <= self.to - self.from_ <= LONGEST:
            raise ValueError("to must not be before from, nor more than ten years after it")
        return self

    def period(self) -> Period:
        if self.from_ and self.to:
            return Period(self.from_, self.to)
        before = timezone.now().date().replace(day=1) - timedelta(days=1)
        return Period(before.replace(day=1), before)


class FileMade(Told):
    """A file that the job's page offers to whoever has the permission."""

    name: str
    url: str
    size: int  # bytes
    permission: str = ReportFile.PERMISSION


class ReportMade(Told):
    report: int
    files: list[FileMade]


@crm_processor(queue=REPORTS, priority="low")
def generate_report(payload: GenerateReport, job: JobContext) -> ReportMade:
    """Revenue, opportunities or promotions over a period, as XLSX and PDF with charts."""
    formats = list(dict.fromkeys(payload.formats))
    drawers = {format_: _drawer(format_) for format_ in formats}
    period = payload.period()
    job.progress(0, len(formats) + 1, "counting")
    content = KINDS[payload.kind](period)
    stored: dict[ReportFile.Format, tuple[str, int]] = {}
    for done, (format_, draw) in enumerate(drawers.items(), start=1):
        job.progress(done, len(formats) + 1, f"drawing the {format_.label}")
        stored[format_] = _store(f"crm/reports/{job.id}.{format_}", draw(content))
    with transaction.atomic():
        report, _ = Report.objects.update_or_create(
            job=job.id, defaults={"kind": payload.kind, "starts_on": period.starts_on, "ends_on": period.ends_on}
        )
        for format_, (path, size) in stored.items():
            ReportFile.objects.update_or_create(report=report, format=format_, defaults={"file": path, "size": size})
    job.progress(len(formats) + 1, len(formats) + 1, "stored")
    files = report.files.all()
    return ReportMade(report=report.pk, files=[_told(file) for file in files])


def _drawer(format_: ReportFile.Format) -> Render:
    try:
        module: Any = import_module(f"{reports.__name__}.{format_}")
    except ModuleNotFoundError as error:
        raise Discard(f"no {format_.label} without {error.name}: install the extra `reports`") from error
    render: Render = module.render
    return render


def _store(path: str, data: bytes) -> tuple[str, int]:
    """The file's path in the storage, and its size. A run before this one may have left its own there."""
    default_storage.delete(path)
    return default_storage.save(path, ContentFile(data)), len(data)


def _told(file: ReportFile) -> FileMade:
    return FileMade(name=file.download_name, url=reverse("crm:report", args=[file.pk]), size=file.size)
