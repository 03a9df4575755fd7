"""Payments by real workers: charged, declined, and once although a worker dies with Stripe's answer in its hands."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from pytest_django import Settings

from jobs import lifecycle
from jobs.models import Failure, Job, Status
from jobs.processor import Backoff, enqueue
from processors.crm.models import Customer, CustomerChange, Invoice, Notification, Payment, StripeEvent
from tests.integration.servers import Server
from tests.integration.workers import Start, wait_for, wait_for_end
from tests.processors.crm.stripe import StripeControl, send

# What Stripe's sandbox does to a request: see its `FAULTS`.
TROUBLE = ("409", "429", "lock-timeout", "500", "503", "html", "reset", "500-after", "reset-after")
REFUSED = {"400": "Missing required param: currency.", "403": "Stripe refuses our key"}


@pytest.fixture(autouse=True)
def _rows(db: None) -> Iterator[None]:
    _clear()
    yield
    _clear()


def _clear() -> None:
    for model in (Payment, Invoice, CustomerChange, Customer, StripeEvent, Notification):
        model.objects.all().delete()


@pytest.fixture
def stripe(upstreams: tuple[Server, Any], _rows: None) -> Iterator[tuple[StripeControl, dict[str, Any]]]:
    """An account with two customers and without a past."""
    server, environment = upstreams
    control = StripeControl(f"{server.url}/crm")
    control.http.delete(f"{control.url}/_received").raise_for_status()
    control.customers({"id": "cus_1", "name": "Grace"}, {"id": "cus_2", "name": "Ada"})
    yield control, environment
    control.http.close()


def invoice(number: int, method: str) -> None:
    stripe_id = f"cus_{number}"
    owner = Customer.objects.create(id=f"c{number}", name="Grace", stripe_id=stripe_id, payment_method=method)
    Invoice.objects.create(id=f"i{number}", customer=owner, number=f"R-{number}", amount=5000)


def test_each_job_type_in_a_worker(
    start: Start, stripe: tuple[StripeControl, dict[str, Any]], settings: Settings
) -> None:
    control, environment = stripe
    invoice(1, "pm_card_visa")
    invoice(2, "pm_card_chargeDeclined")
    paid, declined, twice = (enqueue("process_payment", {"invoiceId": name}) for name in ("i1", "i2", "i1"))
    synced = enqueue("sync_customer_data", {})
    start("threads", 4, "crm", **environment)
    wait_for(lambda: Job.objects.get(id=synced.id).status == Status.COMPLETED, "the customers")
    wait_for_end([paid.id, declined.id, twice.id])
    jobs = Job.objects.in_bulk([paid.id, declined.id, twice.id])
    assert [jobs[job.id].status for job in (paid, declined, twice)] == ["completed", "failed", "completed"]
    assert Failure.objects.filter(job=declined.id).latest("id").message.startswith("Your card was declined.")
    assert control.received()["charges"] == {"cus_1": 1}
    assert CustomerChange.objects.filter(customer="c2").exists()
    settings.STRIPE_WEBHOOK_SECRET = environment["STRIPE_WEBHOOK_SECRET"]
    an_event_comes_before_the_job_has_written_its_answer(control)
    what_is_not_decided_ends_by_its_event(control)
    trouble_is_tried_again_and_charges_once(control)
    what_no_second_try_helps_fails(control)


def an_event_comes_before_the_job_has_written_its_answer(control: StripeControl) -> None:
    control.customers({"id": "cus_3", "name": "Grace"})
    invoice(3, "pm_card_visa")
    control.control(latency_ms=2000).raise_for_status()
    job = enqueue("process_payment", {"invoiceId": "i3"})
    wait_for(lambda: any("i3" in request["query"] for request in control.asked("POST")), "the charge")
    with transaction.atomic():
        Invoice.objects.select_for_update().get(id="i3")  # the worker cannot write down what it is told, but we can
        wait_for(lambda: "cus_3" in control.received()["charges"], "the money")
        assert send(control.received()["events"][-1]["body"]) == 200
    wait_for_end([job.id])
    ended = Job.objects.get(id=job.id)
    assert (ended.status, ended.result and ended.result["status"]) == (Status.COMPLETED, "succeeded")
    assert control.received()["charges"]["cus_3"] == 1
    assert Payment.objects.get(invoice="i3").status == "succeeded"
    assert Invoice.objects.get(id="i3").status == "paid"


def what_is_not_decided_ends_by_its_event(control: StripeControl) -> None:
    control.control(latency_ms=0).raise_for_status()
    control.customers({"id": "cus_4", "name": "Grace"}, {"id": "cus_5", "name": "Ada"})
    invoice(4, "pm_usBankAccount_success")
    invoice(5, "pm_sandbox_confirm")
    ids = [enqueue("process_payment", {"invoiceId": name}).id for name in ("i4", "i5")]
    wait_for(lambda: Job.objects.filter(id__in=ids, status=Status.SCHEDULED).count() == 2, "what Stripe says first")
    waiting = Payment.objects.filter(invoice__in=("i4", "i5")).order_by("invoice_id")
    assert [payment.status for payment in waiting] == ["processing", "requires-action"]
    for payment in waiting:
        control.settle(str(payment.provider_id), "succeeded")
        assert send(control.received()["events"][-1]["body"]) == 200
    wait_for_end(ids)  # long before the jobs would have looked
    assert set(Job.objects.filter(id__in=ids).values_list("status", flat=True)) == {Status.COMPLETED}
    assert set(Invoice.objects.filter(id__in=("i4", "i5")).values_list("status", flat=True)) == {"paid"}


def charge(control: StripeControl, number: int, fault: str) -> Job:
    """An invoice whose charge meets this fault: its job, when it has run."""
    control.customers({"id": f"cus_{number}", "name": "Grace"})
    invoice(number, "pm_card_visa")
    control.fail(fault)
    job = enqueue("process_payment", {"invoiceId": f"i{number}"}, backoff=Backoff(base=300, jitter=False))
    left = Job.objects.filter(id=job.id, status__in=[Status.PENDING, Status.PROCESSING])
    wait_for(lambda: not left.exists(), f"the charge that meets {fault}")
    return Job.objects.get(id=job.id)


def trouble_is_tried_again_and_charges_once(control: StripeControl) -> None:
    for number, fault in enumerate(TROUBLE, start=10):
        job = charge(control, number, fault)
        assert (fault, job.status, job.attempt) == (fault, Status.SCHEDULED, 1)
        lifecycle.run_now([job.id], actor="ada")
        wait_for_end([job.id])
        assert (fault, Job.objects.get(id=job.id).status) == (fault, Status.COMPLETED)
        assert control.received()["charges"][f"cus_{number}"] == 1


def what_no_second_try_helps_fails(control: StripeControl) -> None:
    for number, (fault, told) in enumerate(REFUSED.items(), start=30):
        job = charge(control, number, fault)
        failure = Failure.objects.filter(job=job.id).latest("id")
        assert (job.status, told in failure.message) == (Status.FAILED, True), failure.message
        assert f"cus_{number}" not in control.received()["charges"]


def test_a_worker_killed_with_the_answer_in_its_hands_charges_once(
    start: Start, stripe: tuple[StripeControl, dict[str, Any]]
) -> None:
    control, environment = stripe
    invoice(1, "pm_card_visa")
    control.control(latency_ms=3000).raise_for_status()
    worker = start("threads", 1, "crm", **environment, JOBS_LEASE="3")
    job = enqueue("process_payment", {"invoiceId": "i1"})
    wait_for(lambda: control.asked("POST"), "the charge")
    with transaction.atomic():
        Invoice.objects.select_for_update().get()  # the worker cannot write down what it is told
        wait_for(lambda: control.charges() == 1, "the money")
        worker.kill()
    assert Payment.objects.get().status == Payment.Status.STARTED
    control.control(latency_ms=0).raise_for_status()
    start("threads", 1, "crm", **environment, JOBS_LEASE="3")
    wait_for_end([job.id])
    ended = Job.objects.get(id=job.id)
    assert (ended.status, ended.result and ended.result["status"]) == (Status.COMPLETED, "succeeded")
    assert (control.charges(), len(control.asked("POST"))) == (1, 1)
    assert (Payment.objects.get().status, Invoice.objects.get().status) == ("succeeded", "paid")
