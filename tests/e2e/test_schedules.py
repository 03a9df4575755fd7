"""Schedules as an operator works with them in a browser: one is made, seen to fire, stopped, run by hand, deleted."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from playwright.sync_api import Page, expect

from jobs.management.embedded import free_port
from jobs.models import Event, Job, Leader, ScheduleOptions, ScheduleRun, Status
from tests.e2e.watching import Watch, follow, log_in
from tests.integration import servers
from tests.integration.workers import ROOT, Start, environment, wait_for, wait_for_status

pytestmark = pytest.mark.browser
PATIENCE = 120_000  # ms: a minute may have to pass until a cron is due


@pytest.fixture
def site(start: Start, tmp_path: Path) -> Iterator[str]:
    """The site, a worker and a beat."""
    server = servers.site(tmp_path / "site.log", free_port(), free_port())
    User.objects.create_superuser("operator", password="let me in")
    start(queues="default,cpu")
    with (tmp_path / "beat.log").open("wb") as log:
        command = [sys.executable, "-m", "celery", "-A", "config", "beat", "--loglevel", "INFO"]
        beat = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=log, stderr=log)
    server.wait_until_up()
    yield server.url
    beat.kill()
    beat.wait()
    server.remove()
    for model in (User, ScheduleRun, ScheduleOptions, PeriodicTask, CrontabSchedule, IntervalSchedule, Leader, Event):
        model.objects.all().delete()


def test_a_schedule_is_made_and_fires(site: str, page: Page) -> None:
    with Watch(page):
        page.goto(f"{site}/admin/login/?next=/jobs/schedules")
        log_in(page)
        follow(page.get_by_role("link", name="New schedule"))

        # What a cron means is said while it is typed.
        preview = page.get_by_role("status", name="When it is due")
        page.get_by_label("Name").fill("smoke-signal")
        page.get_by_label("Cron").fill("61 * * * *")
        expect(preview).to_contain_text("bad minute '61'")
        page.get_by_label("Cron").fill("30 2 * * 1-5")
        expect(preview).to_contain_text("At 02:30, Monday through Friday")
        page.get_by_label("Time zone").fill("Australia/Lord_Howe")
        expect(preview).to_contain_text("Australia/Lord_Howe")
        expect(preview.get_by_role("listitem")).to_have_count(5)
        page.get_by_label("Cron").fill("* * * * *")
        expect(preview).to_contain_text("Every minute")
        page.get_by_label("Job type").select_option("smoke")
        page.get_by_label("Message").fill("from the hill")
        page.get_by_role("button", name="Create").click()

        # It fires, and the page shows it without being asked.
        expect(page.get_by_text("Schedule smoke-signal is made.")).to_be_visible()
        due_times = page.get_by_role("region", name="Due times")
        expect(due_times).to_contain_text("It has not been due yet.")
        expect(due_times.get_by_role("row").nth(1)).to_contain_text("completed", timeout=PATIENCE)
        run = ScheduleRun.objects.filter(schedule="smoke-signal").earliest("due_at")
        assert run.job is not None
        job = Job.objects.get(id=run.job)
        assert (job.schedule, run.outcome, run.due_at.second) == ("smoke-signal", "enqueued", 0)
        assert (job.payload["message"], job.status, job.created_by) == ("from the hill", Status.COMPLETED, "beat")
        due_times.get_by_role("list").get_by_role("link").first.click()  # its cell of the strip
        page.wait_for_url(f"{site}/jobs/{job.id}")

        # Stopped by its switch, run by hand, changed.
        page.goto(f"{site}/jobs/schedules")
        page.get_by_role("switch", name="smoke-signal").click()
        expect(page.get_by_role("switch", name="smoke-signal")).to_have_attribute("aria-checked", "false")
        assert not PeriodicTask.objects.get(name="smoke-signal").enabled
        known = set(Job.objects.values_list("id", flat=True))
        page.get_by_role("button", name="Run now").click()
        expect(page.get_by_text(re.compile("Job .* of schedule smoke-signal is enqueued."))).to_be_visible()
        by_hand = Job.objects.exclude(id__in=known).get()
        assert by_hand.created_by == "operator"
        wait_for_status(by_hand.id, Status.COMPLETED)
        follow(page.get_by_role("link", name="Edit"))
        page.get_by_label("Cron").fill("0 3 * * *")
        page.get_by_label("While an earlier job is active").select_option("skip")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Schedule smoke-signal is changed.")).to_be_visible()
        assert PeriodicTask.objects.get(name="smoke-signal").options.overlap == "skip"

        # Deleted, after a question.
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert PeriodicTask.objects.filter(name="smoke-signal").exists()
        page.get_by_role("button", name="Delete").click()

    # From here on, a refresh of this page that was under way finds no schedule.
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Schedule smoke-signal is deleted.")).to_be_visible()
    wait_for(lambda: not PeriodicTask.objects.exists(), "the schedule is still there")
    kinds = Event.objects.filter(schedule="smoke-signal", actor="operator").order_by("id")
    assert list(kinds.values_list("kind", flat=True)) == ["created", "stopped", "run", "changed", "deleted"]
