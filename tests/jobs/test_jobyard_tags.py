import re
from typing import Any

import pytest
from django.template import Context, Template

from jobs.models import Job
from jobs.tokens import job_of
from tests.jobs.rows import enqueued, row

ELEMENT = re.compile(
    r'<script type="module" src="/static/jobs/progress.js"></script>'
    r'<job-progress job-id="([^"]+)" token="([^"]+)" src-base="/api/"></job-progress>'
)


def rendered(tag: str, **context: Any) -> str:
    return Template("{% load jobyard %}" + tag).render(Context(context))


@pytest.mark.django_db
@pytest.mark.usefixtures("uncollected")
def test_a_job_s_progress_in_any_spelling_of_the_job() -> None:
    job = enqueued()
    for spelling in (job, row(job), job.id, str(job.id)):
        found = ELEMENT.fullmatch(rendered("{% job_progress job ttl=60 %}", job=spelling))
        assert found
        assert (found[1], job_of(found[2])) == (str(job.id), job.id)


def test_a_token_alone() -> None:
    job = Job()
    assert job_of(rendered("{% read_token job %}", job=job)) == job.id
    assert job_of(rendered("{% read_token job ttl=-1 %}", job=job)) is None
