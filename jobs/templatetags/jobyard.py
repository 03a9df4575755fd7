"""Jobs on the pages of an application: `{% load jobyard %}`, then `{% job_progress job %}` where it is to be seen."""

from uuid import UUID

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs import tokens
from jobs.lifecycle import Enqueued
from jobs.models import Job

register = template.Library()


@register.simple_tag
def read_token(job: Job | Enqueued | UUID | str, ttl: float = tokens.TTL) -> str:
    """A token with which whoever sees the page may look at this job, for `ttl` seconds."""
    return tokens.read_token(_id(job), ttl)


@register.simple_tag
def job_progress(job: Job | Enqueued | UUID | str, ttl: float = tokens.TTL) -> SafeString:
    """The job's progress, live for `ttl` seconds: for whoever sees the page, logged in or not."""
    return format_html(
        '<script type="module" src="{}"></script><job-progress job-id="{}" token="{}" src-base="{}"></job-progress>',
        static("jobs/progress.js"),
        _id(job),
        tokens.read_token(_id(job), ttl),
        reverse("api:api-root"),
    )


def _id(job: Job | Enqueued | UUID | str) -> UUID:
    return job.id if isinstance(job, Job | Enqueued) else UUID(str(job))
