"""The CRM's part of the demo load ends as it says it will."""

from pathlib import Path

import pytest
from pytest_django import Settings

from jobs.models import Job, Status
from jobs.testing import drain
from processors.crm import demo
from processors.crm.models import Customer, Opportunity, Suppression
from tests.processors.crm.conftest import SandboxControl
from tests.processors.crm.stripe import StripeControl

pytestmark = pytest.mark.django_db(transaction=True)  # a batch's threads have sessions of their own


def test_every_demo_job_ends_as_meant(
    crm: SandboxControl, stripe: StripeControl, settings: Settings, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    stripe.customers(*({"id": f"cus_demo_{n}", "name": f"Customer {n + 1}"} for n in range(demo.AT_STRIPE)))
    jobs = demo.load()
    drain("crm")
    drain("reports")
    ended = Job.objects.filter(id__in=[job.id for job in jobs], tags__contains=["demo"])
    assert ended.count() == len(jobs)
    told = {(job.type, job.status, "fails" in job.tags) for job in ended if job.status != Status.COMPLETED}
    assert told == {
        ("send_promotion", Status.FAILED, True),
        ("send_notification", Status.FAILED, True),
        ("process_payment", Status.FAILED, True),
    }
    assert {job.status for job in ended if "fails" not in job.tags} == {Status.COMPLETED}
    assert Suppression.objects.get().address == "nobody@crm.example"
    received = crm.received()
    assert (received["total"], received["twice"] != []) == (55, True)
    assert len(received["messages"]) == 1


def test_rows_are_made_once(crm: SandboxControl) -> None:
    demo.load()
    Opportunity.objects.filter(pk="demo-0").update(status="won")
    demo.load()
    assert Customer.objects.count() == demo.CUSTOMERS + 1
    assert Opportunity.objects.get(pk="demo-0").status == "won"
