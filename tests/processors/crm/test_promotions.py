"""A promotion to many: side by side, each once, whatever happens on the way."""

from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from jobs.models import Job
from jobs.processor import enqueue
from jobs.testing import assert_enqueued, perform
from processors.crm import addresses
from processors.crm.models import Customer, Segment, SentMail, Suppression, Visit
from tests.processors.crm.conftest import SandboxControl
from tests.processors.crm.rows import customer, promotion, result_of, visit

pytestmark = pytest.mark.django_db(transaction=True)  # a batch's threads have sessions of their own


def run(**fields: Any) -> Job:
    return perform(enqueue("send_promotions", {"promotionId": "promo-456", **fields}))


@pytest.fixture(autouse=True)
def _rows() -> None:
    promotion()
    for number in range(4):
        customer(f"customer-{number}")


def test_everybody_gets_one(crm: SandboxControl) -> None:
    job = run()
    assert (job.status, job.result) == (
        "completed",
        {"customers": 4, "counts": {"sent": 4}, "unconfirmed": [], "refused": [], "failed": {}},
    )
    assert result_of(run())["counts"] == {"already": 4}
    received = crm.received()
    assert (received["total"], received["recipients"], received["twice"]) == (4, 4, [])


def test_so_many_at_once(crm: SandboxControl) -> None:
    crm.control(latency_ms=300)
    run(batchSize=2)
    assert crm.received()["busiest"] == 2


def test_each_outcome_is_told_and_trouble_with_one_holds_up_nobody(crm: SandboxControl) -> None:
    Customer.objects.filter(pk="customer-2").update(tier="vip")
    crm.answer("customer-1@example.com", "550 5.1.1 No such user")
    crm.answer("customer-2@example.com", "451 4.7.1 Greylisted")
    addresses.suppress("customer-3@example.com", Suppression.Reason.UNSUBSCRIBED)
    job = run()
    assert result_of(job)["counts"] == {"sent": 1, "refused": 1, "deferred": 1, "suppressed": 1}
    assert result_of(job)["refused"] == ["customer-1"]
    (later,) = assert_enqueued("send_promotion", {"customerId": "customer-2", "promotionId": "promo-456"})
    assert (later.parent, later.status, later.priority) == (job.id, "scheduled", 8)
    crm.answer("customer-2@example.com", "")
    assert result_of(perform(later))["status"] == "sent"


def test_what_may_have_arrived_is_listed(crm: SandboxControl) -> None:
    crm.fail("drop-after-data")
    job = run(batchSize=1)
    assert result_of(job)["counts"] == {"sent": 3, "unconfirmed": 1}
    (lost,) = result_of(job)["unconfirmed"]
    assert SentMail.objects.get(status="unconfirmed").customer_id == lost
    assert crm.received()["twice"] == []


def test_a_server_in_trouble_ends_the_run_and_the_next_goes_on(crm: SandboxControl) -> None:
    crm.fail("421", after=2, count=10)
    job = run(batchSize=1)
    assert (job.status, crm.received()["total"]) == ("scheduled", 2)
    crm.control(fault=None)
    assert result_of(perform(job))["counts"] == {"sent": 4}
    assert (crm.received()["total"], crm.received()["twice"]) == (4, [])


def test_a_mail_that_a_lost_worker_was_sending_is_unconfirmed(crm: SandboxControl) -> None:
    job = enqueue("send_promotions", {"promotionId": "promo-456"})
    lost = {"job": job.id, "run": 0, "kind": "promotion", "address": "customer-2@example.com", "message_id": "<x>"}
    SentMail.objects.create(key="promotion:promo-456:customer-2", customer_id="customer-2", **lost)
    result = result_of(perform(job))
    assert (result["counts"], result["unconfirmed"]) == ({"sent": 3, "unconfirmed": 1}, ["customer-2"])
    assert crm.received()["recipients"] == 3


def test_a_mail_that_another_job_is_sending_is_left_to_it(crm: SandboxControl) -> None:
    other = enqueue("smoke").id
    mail = {"job": other, "run": 1, "kind": "promotion", "address": "customer-2@example.com", "message_id": "<x>"}
    SentMail.objects.create(key="promotion:promo-456:customer-2", **mail)
    assert result_of(run())["counts"] == {"sent": 3, "elsewhere": 1}


class TestSegments:
    def test_by_tier_tags_and_last_visit(self, crm: SandboxControl) -> None:
        Customer.objects.filter(pk="customer-0").update(tier="vip", tags=["shop", "glass"])
        Customer.objects.filter(pk="customer-1").update(tier="vip", tags=["shop"])
        Customer.objects.filter(pk="customer-2").update(tier="premium", tags=["shop"])
        visit("recent", Customer.objects.get(pk="customer-1"), status=Visit.Status.DONE, starts_at=timezone.now())
        for name, rule, members in (
            ("best", {"tiers": ["vip", "premium"]}, ["customer-0", "customer-1", "customer-2"]),
            ("shops", {"tags": ["shop"], "tiers": ["vip"]}, ["customer-0", "customer-1"]),
            ("sleepers", {"tags": ["shop"], "not_visited_for_days": 30}, ["customer-0", "customer-2"]),
            ("all", {}, [f"customer-{number}" for number in range(4)]),
        ):
            segment = Segment.objects.create(name=name, **rule)
            assert list(segment.customers().order_by("pk").values_list("pk", flat=True)) == members
        assert result_of(run(segment="shops"))["counts"] == {"sent": 2}

    def test_who_was_deleted_belongs_to_none(self, crm: SandboxControl) -> None:
        Customer.objects.filter(pk="customer-0").update(deleted_at=timezone.now())
        assert result_of(run())["customers"] == 3

    def test_one_that_there_is_not_fails_for_good(self) -> None:
        assert run(segment="nobody").status == "failed"


def test_sessions_go_back_while_the_server_thinks(crm: SandboxControl) -> None:
    """The batch ends with none of its own open."""
    run()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        (sessions,) = cursor.fetchone()
    assert sessions <= 3
