"""The CRM's part of `manage.py demo_data`: customers with work to do, and jobs that show each type.

The rows are made once and then left alone; what happens to an opportunity or a mail happened. Every job has the tag
`demo`; one that is meant to end failed has `fails` too. Their mail goes to the sandbox's server, and what is charged to
its Stripe.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone

from jobs.processor import Enqueued, enqueue_many

from .models import Customer, Invoice, Opportunity, Promotion, Segment, Visit

CUSTOMERS: Final = 60
SERVICES: Final = ("Carpet cleaning", "Window cleaning", "Upholstery", "Move-out cleaning")
TIERS: Final = ("standard", "standard", "premium", "standard", "vip")
STATUSES: Final = ("new", "qualified", "proposal", "won", "lost")
NOBODY: Final = "demo-nobody"  # the mail server knows no such mailbox
PROMOTION: Final = "demo-spring"
AT_STRIPE: Final = 10  # customers that the simulated Stripe has, too
DECLINED: Final = 4  # the one whose card is


def load() -> list[Enqueued]:
    _make_rows()
    offers = Opportunity.objects.filter(pk__startswith="demo-", status__in=Opportunity.OPEN)[:10]
    done = Visit.objects.filter(pk__startswith="demo-", status=Visit.Status.DONE)[:5]
    booked = Visit.objects.filter(pk__startswith="demo-", status=Visit.Status.BOOKED)[:5]
    jobs: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("send_promotions", {"promotionId": PROMOTION, "segment": "demo-regulars"}, {}),
        *(("send_promotion", {"customerId": f"demo-{n}", "promotionId": "demo-loyalty"}, {}) for n in range(5)),
        ("send_promotion", {"customerId": NOBODY, "promotionId": "demo-loyalty"}, {"tags": ["fails"]}),
        *(("process_opportunity_offer", {"opportunityId": row.pk}, {"unique_key": row.pk}) for row in offers),
        *(("send_review_request", {"customerId": row.customer_id, "visitId": row.pk}, {}) for row in done),
        *(("send_reminder", {"customerId": row.customer_id, "visitId": row.pk}, {}) for row in booked),
        ("send_notification", {"channel": "in-app", "recipient": "demo", "subject": "Welcome"}, {}),
        ("send_notification", {"channel": "webhook", "recipient": "team", "subject": "The demo has begun"}, {}),
        ("send_notification", {"channel": "webhook", "recipient": "nobody", "subject": "Lost"}, {"tags": ["fails"]}),
        *(("update_analytics", {"day": (timezone.now() - timedelta(days=n)).date()}, {}) for n in range(1, 8)),
        *(("generate_report", {"kind": kind, **_lately()}, {}) for kind in ("revenue", "opportunities", "promotions")),
        *(("process_payment", {"invoiceId": f"demo-{n}"}, {}) for n in (0, 8)),
        ("process_payment", {"invoiceId": f"demo-{DECLINED}"}, {"tags": ["fails"]}),
        ("sync_customer_data", {}, {}),
        ("cleanup_old_data", {"days": 365, "dryRun": True}, {}),
    ]
    return enqueue_many(
        (type_, payload, {**options, "tags": ["demo", *options.get("tags", [])]}) for type_, payload, options in jobs
    )


def _lately() -> dict[str, date]:
    today = timezone.now().date()
    return {"from": today - timedelta(days=45), "to": today}


def _make_rows() -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    Customer.objects.bulk_create(
        [
            *(_customer(number) for number in range(CUSTOMERS)),
            Customer(id=NOBODY, name="Nobody There", email="nobody@crm.example"),
        ],
        ignore_conflicts=True,
    )
    Segment.objects.bulk_create(
        [
            Segment(name="demo-best", description="Premium and VIP.", tiers=["premium", "vip"]),
            Segment(name="demo-regulars", description="Who comes again and again.", tags=["regular"]),
        ],
        ignore_conflicts=True,
    )
    text = "The days get longer, and the light shows every window.\n\nWe have a few free days this month."
    Promotion.objects.bulk_create(
        [
            Promotion(id=PROMOTION, name="Spring", subject="A clean spring", text=text, discount=15, code="SPRING"),
            Promotion(id="demo-loyalty", name="Loyalty", subject="Thank you", text="For all the years.", discount=10),
        ],
        ignore_conflicts=True,
    )
    Opportunity.objects.bulk_create((_opportunity(n, now) for n in range(40)), ignore_conflicts=True)
    Visit.objects.bulk_create((_visit(n, now) for n in range(30)), ignore_conflicts=True)
    Invoice.objects.bulk_create((_invoice(n, now) for n in range(40)), ignore_conflicts=True)


def _customer(number: int) -> Customer:
    tags = ["regular"] if number % 2 else []
    name, email = f"Customer {number + 1}", f"customer{number + 1}@crm.example"
    at_stripe = {}
    if number < AT_STRIPE:
        card = "pm_card_chargeDeclined" if number == DECLINED else "pm_card_visa"
        at_stripe = {"stripe_id": f"cus_demo_{number}", "payment_method": card}
    tier = TIERS[number % len(TIERS)]
    return Customer(id=f"demo-{number}", name=name, email=email, tier=tier, tags=tags, **at_stripe)


def _opportunity(number: int, now: datetime) -> Opportunity:
    status = STATUSES[number % len(STATUSES)]
    return Opportunity(
        id=f"demo-{number}",
        customer_id=f"demo-{number % CUSTOMERS}",
        title=f"{SERVICES[number % len(SERVICES)]}, {number % 7 + 1} rooms",
        status=status,
        estimated_value=Decimal(150 + number * number * 9),
        due_at=now + timedelta(days=number % 20) if number % 3 else None,
        closed_at=now - timedelta(days=number) if status in ("won", "lost") else None,
    )


def _visit(number: int, now: datetime) -> Visit:
    booked = number % 3 == 0
    return Visit(
        id=f"demo-{number}",
        customer_id=f"demo-{number}",
        service=SERVICES[number % len(SERVICES)],
        address=f"{number + 1} High Street",
        starts_at=now + timedelta(days=number + 1) if booked else now - timedelta(days=number),
        status=Visit.Status.BOOKED if booked else Visit.Status.DONE,
    )


def _invoice(number: int, now: datetime) -> Invoice:
    paid = number % 4 != 0
    return Invoice(
        id=f"demo-{number}",
        customer_id=f"demo-{number % CUSTOMERS}",
        number=f"DEMO-{number + 1:04}",
        amount=5000 + number * 1750,
        status=Invoice.Status.PAID if paid else Invoice.Status.OPEN,
        due_at=now - timedelta(days=number - 14),
        paid_at=now - timedelta(days=number) if paid else None,
    )
