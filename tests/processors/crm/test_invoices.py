"""What an invoice says: small currencies, and nothing else than what is charged."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from processors.crm.models import Invoice, Payment
from tests.processors.crm.rows import customer, invoice

pytestmark = pytest.mark.django_db


def payment(of: Invoice, status: str, **fields: object) -> Payment:
    fields = {"invoice": of, "key": status, "amount": of.amount, "currency": of.currency, "status": status} | fields
    return Payment.objects.create(**fields)


def test_a_currency_is_written_small() -> None:
    owed = invoice()
    owed.currency = "EUR"
    owed.full_clean()
    owed.save()
    assert Invoice.objects.get().currency == "eur"


@pytest.mark.parametrize("currency", ["EUR", "eu", "e1r", "€ur"])
def test_the_database_takes_no_other(currency: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        invoice(currency=currency)
    with pytest.raises(IntegrityError), transaction.atomic():
        payment(invoice(), "failed", currency=currency)


@pytest.mark.parametrize(
    ("status", "intent"), [("started", None), ("succeeded", "pi_1"), ("paid-beside", "pi_1"), ("failed", "pi_1")]
)
def test_what_is_charged_stays(status: str, intent: str | None) -> None:
    owed = invoice()
    payment(owed, status, provider_id=intent)
    other = customer("other")
    for name, value in {"amount": 5, "currency": "eur", "customer": other}.items():
        changed = Invoice.objects.get()
        setattr(changed, name, value)
        with pytest.raises(ValidationError) as refused:
            changed.full_clean()
        assert refused.value.message_dict == {name: ["This invoice is being charged, or has been."]}
    owed.due_at = owed.created_at
    owed.full_clean()


def test_what_failed_for_good_may_be_corrected() -> None:
    owed = invoice()
    payment(owed, "failed")
    payment(owed, "canceled", provider_id="pi_1")
    owed.amount = 5
    owed.full_clean()


def test_the_admin_says_so_at_the_field(admin_client: Client) -> None:
    owed = invoice()
    payment(owed, "processing")
    fields = {"id": owed.pk, "customer": owed.customer_id, "number": "R-2", "amount": 5, "currency": "USD"}
    address = reverse("admin:crm_invoice_change", args=[owed.pk])
    answer = admin_client.post(address, fields)
    assert answer.status_code == 200
    assert "This invoice is being charged, or has been." in answer.content.decode()
    assert admin_client.post(address, fields | {"amount": owed.amount}).status_code == 302
    assert Invoice.objects.get().number == "R-2"
