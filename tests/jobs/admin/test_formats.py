"""How values look on the admin's pages."""

from datetime import timedelta

from django.utils import timezone

from jobs.admin.formats import EMPTY, json_block, run_time, text_block, words
from jobs.models import Job


def test_run_time_is_that_of_the_latest_run() -> None:
    start = timezone.now() - timedelta(minutes=2)
    assert run_time(Job()) == EMPTY
    assert run_time(Job(status="completed", started_at=start, finished_at=start + timedelta(seconds=3))) == "3.0 s"
    assert run_time(Job(status="processing", started_at=start)).startswith("2 min")
    assert run_time(Job(status="scheduled", started_at=start)) == EMPTY


def test_values_are_escaped() -> None:
    assert json_block({"<b>": "</pre>"}) == (
        '<pre class="jobs-block">{\n  &quot;&lt;b&gt;&quot;: &quot;&lt;/pre&gt;&quot;\n}</pre>'
    )
    assert text_block("<i>") == '<pre class="jobs-block">&lt;i&gt;</pre>'
    assert (json_block(None), text_block(""), words({}), words(None)) == (EMPTY, EMPTY, EMPTY, EMPTY)
    assert words({"status": "failed", "priority": 5}) == "status failed, priority 5"
