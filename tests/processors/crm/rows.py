"""Rows of the CRM for tests."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from jobs.models import Job
from processors.crm.models import Customer, Invoice, Opportunity, Promotion, Visit


def customer(key: str = "customer-123", **fields: Any) -> Customer:
    return Customer.objects.create(**{"id": key, "name": "Grace Moss", "email": f"{key}@example.com"} | fields)


def promotion(key: str = "promo-456", **fields: Any) -> Promotion:
    usual = {"name": "Spring", "subject": "Spring cleaning", "text": "Clean windows.\n\nFor less.", "discount": 20}
    return Promotion.objects.create(**{"id": key, "code": "SPRING"} | usual | fields)


def opportunity(key: str = "7", of: Customer | None = None, value: float = 1000, **fields: Any) -> Opportunity:
    owner = of or Customer.objects.first() or customer()
    usual = {"title": "Windows of a shop", "estimated_value": Decimal(str(value))}
    return Opportunity.objects.create(**{"id": key, "customer": owner} | usual | fields)


def visit(key: str = "visit-1", of: Customer | None = None, **fields: Any) -> Visit:
    """Booked for tomorrow."""
    owner = of or Customer.objects.first() or customer()
    usual = {"service": "Carpet cleaning", "starts_at": timezone.now() + timedelta(days=1)}
    return Visit.objects.create(**{"id": key, "customer": owner} | usual | fields)


def result_of(job: Job) -> dict[str, Any]:
    assert isinstance(job.result, dict)
    return job.result


def invoice(key: str = "invoice-1", method: str = "pm_card_visa", **fields: Any) -> Invoice:
    """Of a customer with this payment method."""
    owner = Customer.objects.first() or customer(stripe_id="cus_1", payment_method=method)
    return Invoice.objects.create(**{"id": key, "customer": owner, "number": "R-1", "amount": 1000} | fields)
