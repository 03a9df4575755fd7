"""The CRM in the admin: every list with its search and filters, and the actions that enqueue."""

from uuid import uuid4

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from jobs.models import Job
from jobs.testing import assert_enqueued
from processors.crm import addresses, models
from processors.crm.models import DailyAnalytics, Invoice, Notification, Opportunity, Report, Segment, SentMail
from tests.processors.crm.rows import customer, opportunity, promotion, visit

pytestmark = pytest.mark.django_db

MODELS = [getattr(models, name) for name in models.__all__ if name != "ReportFile"]


@pytest.fixture
def rows() -> None:
    owner = customer(tier="vip")
    promotion()
    opportunity()
    visit()
    Segment.objects.create(name="all")
    Invoice.objects.create(id="1", number="1", customer=owner, amount=100)
    SentMail.objects.create(key="k", kind="reminder", address="a@b.example", message_id="<k>", job=uuid4(), run=1)
    Notification.objects.create(job=uuid4(), channel="in-app", recipient="ada", subject="Hello")
    DailyAnalytics.objects.create(day="2026-03-14", revenue={"usd": 1})
    Report.objects.create(kind="revenue", starts_on="2026-03-01", ends_on="2026-03-31", job=uuid4())


def act(client: Client, model: type[models.Customer | Opportunity | Invoice], action: str, *keys: str) -> int:
    address = reverse(f"admin:crm_{model._meta.model_name}_changelist")
    return client.post(address, {"action": action, "_selected_action": keys}).status_code


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_table_has_a_list_that_can_be_searched(admin_client: Client, rows: None, model: type) -> None:
    assert site.is_registered(model)
    address = reverse(f"admin:crm_{model._meta.model_name}_changelist")  # type: ignore[attr-defined]
    for query in ({}, {"q": "Grace"}, {"q": "7"}):
        assert admin_client.get(address, query).status_code == 200


@pytest.mark.parametrize(
    ("model", "action", "key", "type_", "payload", "priority"),
    [
        (models.Promotion, "send_to_all", "promo-456", "send_promotions", {"promotionId": "promo-456"}, 1),
        (Opportunity, "make_offers", "7", "process_opportunity_offer", {"opportunityId": "7"}, 6),
        (models.Visit, "remind", "visit-1", "send_reminder", {"customerId": "customer-123", "visitId": "visit-1"}, 10),
        (models.Customer, "synchronise", "customer-123", "sync_customer_data", {"since": None}, 3),
        (Invoice, "charge", "1", "process_payment", {"invoiceId": "1"}, 8),
        (models.Visit, "ask_for_review", "visit-1", "send_review_request", {"visitId": "visit-1"}, 8),
    ],
)
def test_actions_enqueue(
    admin_client: Client, rows: None, model: type, action: str, key: str, type_: str, payload: object, priority: int
) -> None:
    assert act(admin_client, model, action, key) == 302
    assert act(admin_client, model, action, key) == 302
    (job,) = assert_enqueued(type_, payload, count=1)  # type: ignore[arg-type]
    assert (job.created_by, job.priority) == ("admin", priority)


def test_who_may_not_enqueue_has_no_such_action(client: Client, rows: None) -> None:
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_visit", "change_visit"]))
    client.force_login(user)
    act(client, models.Visit, "remind", "visit-1")  # type: ignore[arg-type]
    assert not Job.objects.exists()


def test_opportunities_are_moved_on_together(admin_client: Client, rows: None) -> None:
    opportunity("8")
    assert act(admin_client, Opportunity, "win", "7", "8") == 302
    assert set(Opportunity.objects.values_list("status", flat=True)) == {"won"}


def test_an_invoice_is_made_void(admin_client: Client, rows: None) -> None:
    assert act(admin_client, Invoice, "make_void", "1") == 302
    assert Invoice.objects.get().status == "void"


def test_who_is_edited_to_won_has_won_today(admin_client: Client, rows: None) -> None:
    address = reverse("admin:crm_opportunity_change", args=["7"])
    fields = {"id": "7", "customer": "customer-123", "title": "Windows", "estimated_value": "5"}
    assert admin_client.post(address, fields | {"status": "won"}).status_code == 302
    assert Opportunity.objects.filter(status="won", closed_at__isnull=False).exists()
    assert admin_client.post(address, fields | {"status": "new"}).status_code == 302
    assert Opportunity.objects.filter(status="new", closed_at__isnull=True).exists()


def test_an_address_is_stopped_however_it_is_written(admin_client: Client) -> None:
    address, fields = reverse("admin:crm_suppression_add"), {"reason": "by-hand"}
    assert admin_client.post(address, fields | {"address": " Ada@Bücher.example"}).status_code == 302
    assert addresses.is_suppressed("ada@bücher.example", marketing=False)
    again = admin_client.post(address, fields | {"address": "ADA@xn--bcher-kva.example", "reason": "unsubscribed"})
    assert (again.status_code, models.Suppression.objects.get().reason) == (200, "by-hand")


def test_what_was_sent_is_only_read(admin_client: Client, rows: None) -> None:
    assert admin_client.get(reverse("admin:crm_sentmail_add")).status_code == 403
    mail = SentMail.objects.get()
    assert admin_client.post(reverse("admin:crm_sentmail_delete", args=[mail.pk]), {"post": "yes"}).status_code == 403
