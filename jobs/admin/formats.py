"""How values look on the admin's pages. Everything goes through `format_html`: payloads are hostile."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.models import Job, Status
from jobs.shown import duration

EMPTY = "—"

COLOURS = {
    Status.SCHEDULED: "info",
    Status.PENDING: "primary",
    Status.PROCESSING: "warning",
    Status.COMPLETED: "success",
    Status.FAILED: "danger",
    Status.CANCELLED: "default",
}


def status_label(status: str) -> SafeString:
    return label(status, COLOURS[Status(status)])


def label(text: str, colour: str) -> SafeString:
    """Unfold's label, which it draws by itself in lists only."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": colour})


def moment(when: datetime | None) -> SafeString | str:
    """To the second, in one line."""
    if when is None:
        return EMPTY
    return format_html('<span class="jobs-line">{}</span>', f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S}")


def json_block(value: Any) -> SafeString | str:
    return EMPTY if value is None else text_block(json.dumps(value, indent=2, ensure_ascii=False))


def text_block(text: str) -> SafeString | str:
    return format_html('<pre class="jobs-block">{}</pre>', text) if text else EMPTY


def bar(percent: int, words: str) -> SafeString:
    progress = '<span class="jobs-line jobs-progress"><progress max="100" value="{}"></progress> {}</span>'
    return format_html(progress, percent, words)


def run_time(job: Job) -> str:
    """How long the latest run took, or has taken so far."""
    if job.started_at is None:
        return EMPTY
    end = job.finished_at or (timezone.now() if job.status == Status.PROCESSING else None)
    return EMPTY if end is None else duration((end - job.started_at).total_seconds())


def ago(moment: datetime) -> str:
    return f"{duration((timezone.now() - moment).total_seconds())} ago"


def job_link(job_id: UUID, words: str = "") -> SafeString:
    return format_html(
        '<a class="text-link" href="{}">{}</a>', reverse("admin:jobs_job_change", args=[job_id]), words or job_id
    )


def words(values: Any) -> str:
    """`status failed, priority 5`"""
    return (
        ", ".join(f"{name} {value}" for name, value in values.items()) if isinstance(values, dict) and values else EMPTY
    )
