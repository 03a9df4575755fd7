"""A report made by a real worker's process, and what its files are to the site."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from jobs.models import Status
from jobs.processor import enqueue
from processors.crm.models import Customer, Invoice, Report, ReportFile
from tests.integration.workers import Start, wait_for_status


@pytest.fixture(autouse=True)
def _rows(db: None) -> Iterator[None]:
    yield
    for model in (ReportFile, Report, Invoice, Customer):
        model.objects.all().delete()


def test_a_report_is_made_by_a_process_and_downloaded_from_the_site(
    start: Start, tmp_path: Path, settings: Settings, admin_client: Client
) -> None:
    settings.MEDIA_ROOT = tmp_path
    owner = Customer.objects.create(id="c1", name="Grace Moss")
    Invoice.objects.create(
        id="1", number="1", customer=owner, amount=1250, status=Invoice.Status.PAID, paid_at=timezone.now()
    )
    today = timezone.now().date().isoformat()
    start("prefork", 1, "reports", MEDIA_ROOT=str(tmp_path))
    queued = enqueue("generate_report", {"kind": "revenue", "from": today, "to": today})
    job = wait_for_status(queued.id, Status.COMPLETED)
    assert isinstance(job.result, dict)
    begins = {file["name"]: admin_client.get(file["url"]).content[:4] for file in job.result["files"]}
    period = f"{today}-{today}"
    assert begins == {f"revenue-{period}.pdf": b"%PDF", f"revenue-{period}.xlsx": b"PK\x03\x04"}
