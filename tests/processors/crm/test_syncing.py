"""Customers from Stripe: page by page, with what changed of them."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.processor import enqueue
from jobs.testing import perform
from processors.crm import syncing
from processors.crm.models import Customer, CustomerChange
from tests.processors.crm.rows import customer
from tests.processors.crm.stripe import StripeControl

pytestmark = pytest.mark.django_db


def sync(**payload: Any) -> Job:
    return perform(enqueue("sync_customer_data", payload))


def test_all_pages_are_taken_over(stripe: StripeControl) -> None:
    stripe.customers(*({"id": f"cus_{n}", "name": f"Customer {n}", "email": f"c{n}@example.com"} for n in range(250)))
    job = sync()
    assert job.result == {"seen": 250, "created": 250, "changed": 0, "deleted": 0}
    assert Customer.objects.filter(stripe_id__startswith="cus_").count() == CustomerChange.objects.count() == 250
    assert [request["query"].count("starting_after") for request in stripe.asked("GET")] == [0, 1, 1]
    assert sync().result == {"seen": 250, "created": 0, "changed": 0, "deleted": 0}
    assert CustomerChange.objects.count() == 250


def test_what_changed_is_recorded(stripe: StripeControl) -> None:
    customer(stripe_id="cus_1", phone="555")
    stripe.customers(
        {
            "id": "cus_1",
            "name": "Grace Reed",
            "email": "grace@example.org",
            "metadata": {"tier": "vip"},
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
        }
    )
    job = sync()
    assert job.result == {"seen": 1, "created": 0, "changed": 1, "deleted": 0}
    row, change = Customer.objects.get(), CustomerChange.objects.get()
    assert (row.pk, row.name, row.tier, row.payment_method, row.phone) == (
        "customer-123",
        "Grace Reed",
        "vip",
        "pm_card_visa",
        "555",
    )
    assert (change.job, change.customer) == (job.id, row)
    assert change.before == {
        "name": "Grace Moss",
        "email": "customer-123@example.com",
        "payment_method": "",
        "tier": "standard",
    }
    assert change.after == {
        "name": "Grace Reed",
        "email": "grace@example.org",
        "payment_method": "pm_card_visa",
        "tier": "vip",
    }


def test_one_of_ours_that_stripe_names_is_the_same(stripe: StripeControl) -> None:
    customer()
    stripe.customers(
        {"id": "cus_1", "metadata": {"customer": "customer-123"}},
        {"id": "cus_2", "name": "Another", "metadata": {"customer": "customer-123"}},
    )
    assert sync().result == {"seen": 2, "created": 1, "changed": 1, "deleted": 0}
    assert Customer.objects.get(pk="customer-123").stripe_id == "cus_2"  # the newest comes first
    assert Customer.objects.get(pk="cus_1").stripe_id == "cus_1"


def test_who_is_deleted_there_gets_no_mail_any_more(stripe: StripeControl) -> None:
    customer(stripe_id="cus_1")
    customer("strange", stripe_id="cus_of_another_account")
    customer("ours")
    stripe.customers({"id": "cus_1", "deleted": True})
    assert sync().result == {"seen": 0, "created": 0, "changed": 0, "deleted": 1}
    assert list(Customer.objects.filter(deleted_at__isnull=False).values_list("pk", flat=True)) == ["customer-123"]
    assert CustomerChange.objects.get().before == {"deleted_at": None}
    assert sync().result == {"seen": 0, "created": 0, "changed": 0, "deleted": 0}


def test_all_who_are_deleted_there_are_found(stripe: StripeControl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "CHUNK", 2)
    for number in range(5):
        customer(f"c{number}", stripe_id=f"cus_{number}")
    stripe.customers(*({"id": f"cus_{number}", "deleted": number != 3} for number in range(5)))
    assert sync().result == {"seen": 1, "created": 0, "changed": 0, "deleted": 4}
    assert Customer.objects.get(deleted_at__isnull=True).pk == "c3"
    assert CustomerChange.objects.count() == 4


def test_since_a_time_only_new_ones_are_looked_at(stripe: StripeControl) -> None:
    customer(stripe_id="cus_gone")
    now = timezone.now()
    stripe.customers({"id": "cus_1", "created": int(now.timestamp()) - 7200}, {"id": "cus_2", "name": "New"})
    assert sync(since=(now - timedelta(hours=1)).isoformat()).result == {
        "seen": 1,
        "created": 1,
        "changed": 0,
        "deleted": 0,
    }


def test_trouble_on_a_later_page_loses_nothing(stripe: StripeControl) -> None:
    stripe.customers(*({"id": f"cus_{n}", "name": f"Customer {n}"} for n in range(150)))
    stripe.fail("503", after=1)
    job = sync()
    assert (job.status, Customer.objects.count()) == ("scheduled", 100)
    assert perform(job).result == {"seen": 150, "created": 50, "changed": 0, "deleted": 0}
