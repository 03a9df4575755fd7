"""The mails to one customer: through the real lifecycle, to a server that speaks SMTP."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone
from pytest_django import Settings

from jobs.models import Failure, Job, Status
from jobs.processor import enqueue
from jobs.testing import perform
from processors.crm import addresses
from processors.crm.models import Review, SentMail, Suppression, Visit
from tests.processors.crm.conftest import SandboxControl
from tests.processors.crm.rows import customer, promotion, result_of, visit

pytestmark = pytest.mark.django_db

PROMOTION = {"customerId": "customer-123", "promotionId": "promo-456"}
ABOUT_VISIT = {"customerId": "customer-123", "visitId": "visit-1"}


@pytest.fixture
def rows() -> None:
    customer()
    promotion()


def run(type_: str, payload: dict[str, str]) -> Job:
    return perform(enqueue(type_, payload))


def error(job: Job) -> str:
    return Failure.objects.filter(job=job).latest("id").message


class TestPromotion:
    def test_arrives_with_text_html_and_a_way_out(self, crm: SandboxControl, rows: None) -> None:
        job = run("send_promotion", PROMOTION)
        assert (job.status, job.result) == ("completed", {"status": "sent", "detail": result_of(job)["detail"]})
        mail = crm.mail()
        assert (mail["from"], mail["to"]) == ("mail@crm.example", ["customer-123@example.com"])
        headers = mail["headers"]
        assert headers["subject"] == "Spring cleaning"
        assert headers["to"] == "Grace Moss <customer-123@example.com>"
        assert headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
        for body in (mail["text"], mail["html"]):
            assert "Hello Grace Moss" in body
            assert "20 % off" in body
            assert "SPRING" in body
        link = urlsplit(headers["list-unsubscribe"].strip(" <>"))
        assert (link.scheme, link.netloc, link.path) == ("https", "crm.example", "/crm/unsubscribe")
        assert addresses.address_of(parse_qs(link.query)["token"][0]) == "customer-123@example.com"
        assert f"{link.path}?{link.query}" in mail["text"]

    def test_never_twice(self, crm: SandboxControl, rows: None) -> None:
        run("send_promotion", PROMOTION)
        assert run("send_promotion", PROMOTION).result == {"status": "already", "detail": ""}
        assert crm.received()["total"] == 1

    def test_another_promotion_is_another_mail(self, crm: SandboxControl, rows: None) -> None:
        promotion("promo-2")
        run("send_promotion", PROMOTION)
        run("send_promotion", {**PROMOTION, "promotionId": "promo-2"})
        first, second = crm.mails()
        assert first["headers"]["message-id"] != second["headers"]["message-id"]

    @pytest.mark.parametrize("reason", Suppression.Reason.values)
    def test_the_list_is_honoured(self, crm: SandboxControl, rows: None, reason: str) -> None:
        addresses.suppress("Customer-123@EXAMPLE.com", Suppression.Reason(reason))
        assert run("send_promotion", PROMOTION).result == {"status": "suppressed", "detail": ""}
        assert crm.received()["total"] == 0

    def test_one_that_is_over_is_not_sent(self, crm: SandboxControl) -> None:
        customer()
        promotion(ends_at=timezone.now())
        assert run("send_promotion", PROMOTION).result == {"status": "over", "detail": ""}
        assert crm.received()["total"] == 0

    def test_nothing_is_marketed_without_a_way_out(self, crm: SandboxControl, rows: None, settings: Settings) -> None:
        settings.SITE_URL = ""
        job = run("send_promotion", PROMOTION)
        assert (job.status, "SITE_URL is not set" in error(job)) == ("failed", True)
        assert not SentMail.objects.exists()

    @pytest.mark.parametrize(
        ("payload", "message"),
        [
            ({**PROMOTION, "customerId": "nobody"}, "no customer nobody"),
            ({**PROMOTION, "promotionId": "none"}, "no promotion none"),
        ],
    )
    def test_rows_that_are_not_there_fail_for_good(self, rows: None, payload: dict[str, str], message: str) -> None:
        job = run("send_promotion", payload)
        assert (job.status, job.attempt, error(job)) == ("failed", 1, message)


class TestVisits:
    def test_a_reminder_tells_when_in_the_customers_time(self, crm: SandboxControl, settings: Settings) -> None:
        settings.CRM_TIME_ZONE = "America/Chicago"
        starts_at = (timezone.now() + timedelta(days=40)).replace(hour=14, minute=30)
        visit(starts_at=starts_at, address="1 High Street")
        assert run("send_reminder", ABOUT_VISIT).status == "completed"
        mail = crm.mail()
        assert "list-unsubscribe" not in mail["headers"]
        assert "Carpet cleaning" in mail["text"]
        assert "1 High Street" in mail["text"]
        assert any(time in mail["text"] for time in ("08:30", "09:30"))  # by the season

    def test_a_visit_that_moves_is_told_again(self, crm: SandboxControl) -> None:
        booked = visit()
        run("send_reminder", ABOUT_VISIT)
        assert result_of(run("send_reminder", ABOUT_VISIT))["status"] == "already"
        Visit.objects.update(starts_at=booked.starts_at + timedelta(days=1))
        assert result_of(run("send_reminder", ABOUT_VISIT))["status"] == "sent"

    def test_who_wants_no_marketing_is_reminded_all_the_same(self, crm: SandboxControl) -> None:
        visit()
        addresses.suppress("customer-123@example.com", Suppression.Reason.UNSUBSCRIBED)
        assert result_of(run("send_reminder", ABOUT_VISIT))["status"] == "sent"

    @pytest.mark.parametrize(
        "change",
        [lambda: Visit.objects.update(status="cancelled"), lambda: Visit.objects.update(starts_at=timezone.now())],
    )
    def test_nobody_is_reminded_of_what_is_off(self, crm: SandboxControl, change: Callable[[], None]) -> None:
        visit()
        change()
        assert result_of(run("send_reminder", ABOUT_VISIT))["status"] == "over"

    def test_a_review_is_asked_for_once(self, crm: SandboxControl) -> None:
        visit(status=Visit.Status.DONE, starts_at=timezone.now() - timedelta(days=1))
        assert result_of(run("send_review_request", ABOUT_VISIT))["status"] == "sent"
        assert result_of(run("send_review_request", ABOUT_VISIT))["status"] == "already"
        mail = crm.mail()
        assert mail["headers"]["subject"] == "How was your Carpet cleaning?"
        assert "list-unsubscribe" in mail["headers"]

    def test_who_has_said_it_already_is_not_asked(self, crm: SandboxControl) -> None:
        done = visit(status=Visit.Status.DONE)
        Review.objects.create(visit=done, rating=5)
        assert result_of(run("send_review_request", ABOUT_VISIT))["status"] == "already"

    def test_a_review_needs_a_visit_that_was_done(self) -> None:
        visit()
        job = run("send_review_request", ABOUT_VISIT)
        assert (job.status, error(job)) == ("failed", "the visit visit-1 is booked, not done")

    def test_a_visit_is_its_customers(self) -> None:
        visit()
        customer("other")
        job = run("send_reminder", {"customerId": "other", "visitId": "visit-1"})
        assert (job.status, error(job)) == ("failed", "customer other has no visit visit-1")


class TestServer:
    """What its answers mean, class by class."""

    @pytest.mark.parametrize(
        ("answer", "suppressed"),
        [
            ("550 5.1.1 No such user", True),
            ("550 User unknown", True),
            ("550 5.7.1 Refused by policy", False),
            ("552 5.2.2 Mailbox full", False),
            ("554 5.4.6 Routing loop", False),
        ],
    )
    def test_5xx_is_for_good(self, crm: SandboxControl, rows: None, answer: str, suppressed: bool) -> None:
        crm.answer("customer-123@example.com", answer)
        job = run("send_promotion", PROMOTION)
        assert (job.status, job.attempt, error(job)) == ("failed", 1, answer)
        assert SentMail.objects.get().status == "refused"
        assert Suppression.objects.exists() == suppressed

    @pytest.mark.parametrize(
        "answer", ["450 4.2.1 Busy", "451 4.7.1 Greylisted", "452 4.2.2 Mailbox full", "552 Too many recipients"]
    )
    def test_4xx_is_tried_again_minutes_later(self, crm: SandboxControl, rows: None, answer: str) -> None:
        crm.answer("customer-123@example.com", answer)
        job = run("send_promotion", PROMOTION)
        assert (job.status, error(job), SentMail.objects.get().status) == ("scheduled", answer, "deferred")
        assert job.scheduled_at - timezone.now() > timedelta(minutes=4)
        crm.answer("customer-123@example.com", "")
        assert result_of(perform(job))["status"] == "sent"

    def test_a_greylist_lets_the_second_try_in(self, crm: SandboxControl) -> None:
        customer(email="greylisted@example.com")
        promotion()
        job = run("send_promotion", PROMOTION)
        assert (job.status, perform(job).status) == ("scheduled", "completed")
        assert crm.received()["total"] == 1

    @pytest.mark.parametrize("fault", ["421", "drop", "sender-later"])
    def test_trouble_of_the_server_is_tried_again(self, crm: SandboxControl, rows: None, fault: str) -> None:
        crm.fail(fault)
        job = run("send_promotion", PROMOTION)
        assert (job.status, SentMail.objects.get().status) == ("scheduled", "deferred")
        assert result_of(perform(job))["status"] == "sent"
        assert crm.received()["total"] == 1

    def test_a_server_that_is_not_there(self, crm: SandboxControl, rows: None, settings: Settings) -> None:
        settings.EMAIL_PORT = 1
        job = run("send_promotion", PROMOTION)
        assert (job.status, "Connection refused" in error(job)) == ("scheduled", True)

    @pytest.mark.parametrize(
        ("fault", "status", "told"), [("try-later", "scheduled", "451 4.3.0"), ("spam", "failed", "554 5.7.1")]
    )
    def test_answers_after_the_text(
        self, crm: SandboxControl, rows: None, fault: str, status: Status, told: str
    ) -> None:
        crm.fail(fault)
        job = run("send_promotion", PROMOTION)
        assert (job.status, error(job)[:9]) == (status, told)

    @pytest.mark.parametrize("fault", ["login", "sender"])
    def test_a_server_that_refuses_us_is_an_administrators_matter(
        self, crm: SandboxControl, rows: None, fault: str
    ) -> None:
        crm.fail(fault)
        job = run("send_promotion", PROMOTION)
        assert (job.status, job.attempt, "EMAIL_URL" in error(job)) == ("failed", 1, True)
        assert SentMail.objects.get().status == "deferred"  # which was not its fault
        promotion("promo-2")
        other = run("send_promotion", {**PROMOTION, "promotionId": "promo-2"})  # waits, and uses no attempt
        assert (other.status, other.attempt, crm.received()["total"]) == ("scheduled", 0, 0)

    def test_marketing_that_may_have_arrived_is_not_sent_again(self, crm: SandboxControl, rows: None) -> None:
        crm.fail("drop-after-data")
        job = run("send_promotion", PROMOTION)
        assert (job.status, SentMail.objects.get().status) == ("failed", "unconfirmed")
        assert "may have arrived" in error(job)
        assert run("send_promotion", PROMOTION).status == "failed"
        assert crm.received()["total"] == 1

    def test_a_reminder_that_may_have_arrived_is_sent_again_as_the_same(self, crm: SandboxControl) -> None:
        visit()
        crm.fail("drop-after-data")
        job = run("send_reminder", ABOUT_VISIT)
        assert (job.status, perform(job).status) == ("scheduled", "completed")
        first, second = crm.mails()
        assert first["headers"]["message-id"] == second["headers"]["message-id"]

    def test_silence_after_the_text_is_doubt_too(self, crm: SandboxControl, rows: None, settings: Settings) -> None:
        settings.EMAIL_ANSWER_TIMEOUT = 1
        crm.fail("silent-after-data")
        assert run("send_promotion", PROMOTION).status == "failed"
        assert SentMail.objects.get().status == "unconfirmed"


class TestAddresses:
    def test_names_beyond_ascii(self, crm: SandboxControl) -> None:
        customer(name="Zoë Ångström 🧽")
        promotion()
        run("send_promotion", PROMOTION)
        assert crm.mail()["headers"]["to"] == "Zoë Ångström 🧽 <customer-123@example.com>"
        assert "Hello Zoë Ångström 🧽" in crm.mail()["text"]

    def test_a_domain_beyond_ascii(self, crm: SandboxControl) -> None:
        customer(email="grace@bücher.example")
        promotion()
        assert result_of(run("send_promotion", PROMOTION))["status"] == "sent"
        assert crm.mail()["to"] == ["grace@xn--bcher-kva.example"]
        assert addresses.normalised("Grace@BÜCHER.example") == "grace@xn--bcher-kva.example"
        assert (
            addresses.checked("grace@straße.example") == "grace@xn--strae-oqa.example"
        )  # strasse.example is another's

    @pytest.mark.parametrize(
        ("address", "told"),
        [
            ("grâce@example.com", "SMTPUTF8"),
            ("", "not an e-mail address"),
            ("grace", "not an e-mail address"),
            ("grace@☃.example", "not an e-mail address"),
            ("grace@example.com\nBcc: all@example.com", "not an e-mail address"),
            ("grace@example.com, all@example.com", "not an e-mail address"),
        ],
    )
    def test_what_is_no_address_fails_for_good(self, crm: SandboxControl, address: str, told: str) -> None:
        customer(email=address)
        promotion()
        job = run("send_promotion", PROMOTION)
        assert (job.status, told in error(job), crm.received()["total"]) == ("failed", True, 0)

    @pytest.mark.parametrize("name", ["Grace\r\nBcc: all@example.com", "Grace\nX: y", 'Moss, "Grace" <a@b.example>'])
    def test_a_name_adds_no_header_and_no_recipient(self, crm: SandboxControl, name: str) -> None:
        customer(name=name)
        promotion()
        assert result_of(run("send_promotion", PROMOTION))["status"] == "sent"
        mail = crm.mail()
        assert mail["to"] == ["customer-123@example.com"]
        assert {"bcc", "x"}.isdisjoint(mail["headers"])

    def test_a_subject_adds_no_header(self, crm: SandboxControl) -> None:
        visit(service="Carpets\r\nBcc: all@example.com")
        run("send_reminder", ABOUT_VISIT)
        assert crm.mail()["headers"]["subject"] == "Your appointment: Carpets Bcc: all@example.com"

    def test_html_shows_names_as_they_are(self, crm: SandboxControl) -> None:
        customer(name="<b>Grace</b> & Co")
        promotion()
        run("send_promotion", PROMOTION)
        mail = crm.mail()
        assert "Hello &lt;b&gt;Grace&lt;/b&gt; &amp; Co" in mail["html"]
        assert "Hello <b>Grace</b> & Co" in mail["text"]
