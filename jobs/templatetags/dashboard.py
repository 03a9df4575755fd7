"""How values look on the dashboard: states, numbers, times, icons."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from jobs import shown
from jobs.metrics import Count
from jobs.models import Job
from jobs.scheduling import Run
from jobs.search import quoted

register = template.Library()
EMPTY = "—"
TO_THE_SECOND = "%Y-%m-%d %H:%M:%S"


@register.simple_tag
def icon(name: str) -> SafeString:
    """One of the drawings in `icons.svg`, in the colour of the text around it."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', static("jobs/icons.svg"), name
    )


@register.simple_tag(takes_context=True)
def nav_item(context: template.Context, page: str, words: str, *pages: str) -> SafeString:
    """A link of the navigation, marked on its own pages."""
    match = context["request"].resolver_match
    here = match is not None and match.namespace == "dashboard" and match.url_name in (page, *pages)
    current = SafeString(' aria-current="page"') if here else ""
    address = reverse(f"dashboard:{page}")
    return format_html('<a href="{}"{}>{} <span>{}</span></a>', address, current, icon(page), words)


@register.simple_tag
def jobs_link(**terms: object) -> str:
    """The list of the jobs with these terms of the query bar: the ones behind a number."""
    words = (f"{name}:{_quoted(str(value))}" for name, value in terms.items() if value not in (None, ""))
    return f"{reverse('dashboard:jobs')}?{urlencode({'q': ' '.join(words)})}"


def _quoted(value: str) -> str:
    return value if value.startswith(("<", ">")) else quoted(value)


@register.filter
def get(values: Mapping[str, Any], key: str) -> Any:
    """The value under a key that is itself a variable."""
    return values.get(key)


@register.filter
def badge(state: str) -> SafeString:
    """A state as a coloured label: of a job, or any other for which the stylesheet has a `badge-…`."""
    return format_html('<span class="badge badge-{}">{}</span>', state.replace(" ", "-"), state)


@register.filter
def number(value: Count | float | None) -> str:
    """`12,345`, or `≈ 12,345` for an estimate."""
    if value is None:
        return EMPTY
    if isinstance(value, Count):
        return f"≈ {value.number:,}" if value.approximate else f"{value.number:,}"
    return f"{value:,}"


@register.filter
def rounded(value: float) -> str:
    """`12,346`, or `2.5` where it is small."""
    return f"{value:,.1f}" if value < 10 and value % 1 else f"{value:,.0f}"


@register.filter
def percent(value: float | None) -> str:
    """`98.25 %`, without zeros at its end."""
    return EMPTY if value is None else f"{value:.2f}".rstrip("0").rstrip(".") + " %"


@register.filter
def duration(seconds: float | None) -> str:
    return EMPTY if seconds is None else shown.duration(seconds)


@register.filter
def age(seconds: float | None) -> str:
    """Of what need not be known to the second: `8 s`, `47 min`, `3 d`."""
    return EMPTY if seconds is None else shown.rough(seconds)


@register.filter
def milliseconds(value: float | None) -> str:
    return EMPTY if value is None else shown.duration(value / 1000)


@register.filter
def progress(job: Job) -> int:
    """0 to 100."""
    return shown.percent(job)


@register.filter
def run_time(job: Job) -> str:
    return duration(shown.run_seconds(job))


@register.filter
def time_left(job: Job, usual: Mapping[str, float | None]) -> str:
    """About how long it will run, `usual` being the seconds that each type takes."""
    left = shown.seconds_left(job, usual.get(job.type))
    return EMPTY if left is None else f"about {shown.rough(left)}"


@register.filter
def moment(when: datetime | None) -> SafeString | str:
    """To the second, in UTC."""
    if when is None:
        return EMPTY
    return format_html('<time datetime="{}">{}</time>', when.isoformat(), f"{timezone.localtime(when):{TO_THE_SECOND}}")


@register.filter
def in_zone(when: datetime | None, zone: str) -> SafeString | str:
    """On the clocks of a time zone, or in UTC if nobody knows it: `Mon 2026-11-23 02:00`, with seconds if there are."""
    if when is None:
        return EMPTY
    try:
        local = when.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError):
        local = timezone.localtime(when)
    words = f"{local:%a %Y-%m-%d %H:%M:%S}".removesuffix(":00")
    exact = f"{timezone.localtime(when):%Y-%m-%d %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', when.isoformat(), exact, words)


@register.filter
def relative(when: datetime | None) -> SafeString | str:
    """`5 min ago`, `in 2 h`, kept up to date by the page; the exact time on hovering."""
    if when is None:
        return EMPTY
    seconds = (timezone.now() - when).total_seconds()
    words = f"{shown.rough(seconds)} ago" if seconds >= 0 else f"in {shown.rough(-seconds)}"
    exact = f"{timezone.localtime(when):{TO_THE_SECOND} %Z}"
    return format_html('<time datetime="{}" title="{}" data-relative>{}</time>', when.isoformat(), exact, words)


@register.filter
def as_json(value: Any) -> str:
    """For people to read."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


@register.simple_tag
def strip(runs: Sequence[Run]) -> SafeString | str:
    """What became of due times, newest first in `runs`, as cells from the oldest on: each leads to its job."""
    if not runs:
        return format_html('<span class="muted">{}</span>', EMPTY)
    cells = [_cell(run) for run in reversed(runs)]
    return format_html(
        '<ul class="strip" aria-label="Last due times, oldest first">{}</ul>', SafeString("".join(cells))
    )


def _cell(run: Run) -> SafeString:
    words = f"{timezone.localtime(run.due_at):%Y-%m-%d %H:%M:%S} {run.job_status or run.outcome}"
    if run.job_status:
        address = reverse("dashboard:job", args=[run.job])
        return format_html(
            '<li><a class="cell cell-{}" href="{}" title="{}"><span class="sr-only">{}</span></a></li>',
            run.job_status,
            address,
            words,
            words,
        )
    why = run.reason or ("its job is deleted" if run.job else "")
    return format_html(
        '<li><span class="cell cell-{}" title="{}"><span class="sr-only">{}</span></span></li>',
        run.outcome,
        f"{words}: {why}" if why else words,
        words,
    )


@register.simple_tag
def sparkline(values: Sequence[float], words: str) -> SafeString:
    """Bars, one a value, the highest as high as the line. `words` say what they are."""
    top = max(values, default=0) or 1
    heights = [max(1.0, 24 * value / top) for value in values]
    bars = format_html_join(
        "",
        '<rect x="{}" y="{}" width="3" height="{}"></rect>',
        ((4 * place, f"{24 - height:.1f}", f"{height:.1f}") for place, height in enumerate(heights)),
    )
    return format_html(
        '<svg class="sparkline" viewBox="0 0 {} 24" role="img" aria-label="{}" preserveAspectRatio="none">{}</svg>',
        4 * max(1, len(values)) - 1,
        words,
        bars,
    )
