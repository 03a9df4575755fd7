"""What the errors of a mail server mean, beyond what the sandbox's can be told to say."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage as Parsed
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

import pytest
from django.core.mail import EmailMessage
from pytest_django import Settings

from jobs.errors import Retry
from processors.crm.mailer import Backend, Deferred, InDoubt, LockedOut, Mailer, Refused, verdict
from tests.processors.crm.conftest import SandboxControl

TO = "a@b.example"


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 Authentication failed"), LockedOut),
        (smtplib.SMTPAuthenticationError(454, b"4.7.0 Temporary authentication failure"), Retry),
        (smtplib.SMTPNotSupportedError("STARTTLS extension not supported by server."), LockedOut),
        (smtplib.SMTPHeloError(501, b"5.5.4 Invalid name"), LockedOut),
        (smtplib.SMTPHeloError(421, b"4.3.2 Busy"), Retry),
        (smtplib.SMTPConnectError(554, b"No SMTP service here"), Retry),
        (smtplib.SMTPServerDisconnected("Connection unexpectedly closed"), Retry),
        (smtplib.SMTPSenderRefused(552, b"5.2.2 Over quota", "me@b.example"), LockedOut),
        (smtplib.SMTPSenderRefused(452, b"4.3.1 No space", "me@b.example"), Retry),
        (smtplib.SMTPDataError(421, b"4.4.2 Timeout"), Retry),
        (smtplib.SMTPDataError(550, b"5.6.0 Bad content"), Refused),
        (smtplib.SMTPDataError(452, b"4.3.1 No space"), Deferred),
        (smtplib.SMTPRecipientsRefused({TO: (552, b"Too many recipients")}), Deferred),
        (smtplib.SMTPRecipientsRefused({TO: (421, b"Closing")}), Retry),
        (TimeoutError("timed out"), Retry),
        (ConnectionResetError(104, "Connection reset by peer"), Retry),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value)[:40],
)
def test_each_error_is_about_the_mail_the_server_or_us(error: Exception, meaning: type[Exception]) -> None:
    assert type(verdict(error)) is meaning


@pytest.mark.parametrize(
    ("answer", "no_mailbox"),
    [
        (b"5.1.1 No such user here", True),
        (b"5.1.10 Null MX", True),
        (b"User unknown in virtual mailbox table", True),
        (b"5.7.1 Message refused", False),
        (b"5.11.1 Odd", False),
    ],
)
def test_a_mailbox_that_there_is_not(answer: bytes, no_mailbox: bool) -> None:
    refused = verdict(smtplib.SMTPRecipientsRefused({TO: (550, answer)}))
    assert isinstance(refused, Refused)
    assert (refused.no_mailbox, str(refused)) == (no_mailbox, f"550 {answer.decode()}")


class LeavesAtData(StreamRequestHandler):
    """A server that is fine with everything, and lost before it has anything of the text."""

    def handle(self) -> None:
        self.wfile.write(b"220 mail.example\r\n")
        for command in self.rfile:
            if command.upper().startswith(b"DATA"):
                return
            self.wfile.write(b"250 mail.example\r\n")


@pytest.fixture
def leaving(settings: Settings) -> Iterator[None]:
    with ThreadingTCPServer(("127.0.0.1", 0), LeavesAtData) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address[:2]
        yield
        server.shutdown()


@pytest.mark.django_db
class TestConnections:
    def message(self) -> EmailMessage:
        return EmailMessage("Hello", "Text", to=[TO])

    def test_one_carries_many_mails(self, crm: SandboxControl) -> None:
        with Mailer() as mailer:
            said = [mailer.send(self.message()) for _ in range(3)]
            assert mailer._idle.qsize() == 1
        assert said == [f"250 2.0.0 Ok: queued as {number}" for number in (1, 2, 3)]
        assert mailer._idle.empty()

    def test_one_that_the_server_has_closed_is_replaced(self, crm: SandboxControl) -> None:
        with Mailer() as mailer:
            mailer.send(self.message())
            crm.fail("421")
            mailer.send(self.message())
            crm.fail("drop")
            mailer.send(self.message())
        assert crm.received()["total"] == 3

    def test_one_that_is_lost_with_a_mail_is_not(self, crm: SandboxControl) -> None:
        with Mailer() as mailer:
            mailer.send(self.message())
            crm.fail("drop-after-data")
            with pytest.raises(InDoubt):
                mailer.send(self.message())
        assert crm.received()["total"] == 2

    def test_one_that_is_lost_before_the_text_had_nothing_of_it(self, crm: SandboxControl, leaving: None) -> None:
        with Mailer() as mailer, pytest.raises(Retry, match="SMTPServerDisconnected"):
            mailer.send(self.message())

    def test_who_thinks_long_about_a_mail_is_waited_for(self, crm: SandboxControl, settings: Settings) -> None:
        settings.EMAIL_TIMEOUT = 2
        crm.control(latency_ms=2500)
        with Mailer() as mailer:
            assert mailer.send(self.message()).startswith("250 ")
            (connection,) = mailer._idle.queue
            assert connection.connection.sock.gettimeout() == 2

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"subject": "Hello\nBcc: all@b.example"}, "BadHeaderError"),
            ({"headers": {"X-Note": "a\r\nb"}}, "BadHeaderError"),
            ({"to": ["a@b.example", "no\naddress"]}, "ValueError"),
        ],
    )
    def test_what_cannot_be_written_is_refused(self, crm: SandboxControl, wrong: dict[str, Any], told: str) -> None:
        with Mailer() as mailer:
            with pytest.raises(Refused, match=f"the mail cannot be written: {told}"):
                mailer.send(EmailMessage(**{"subject": "Hello", "body": "Text", "to": [TO]} | wrong))
            mailer.send(self.message())  # and holds up no other
        assert crm.received()["total"] == 1

    def test_other_backends_are_used_as_they_are(
        self, crm: SandboxControl, settings: Settings, mailoutbox: list[Parsed]
    ) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        with Mailer() as mailer:
            assert mailer.send(self.message()) == ""
        assert len(mailoutbox) == 1

    def test_tls_from_the_start_is_kept(self) -> None:
        assert issubclass(Backend(use_ssl=True).connection_class, smtplib.SMTP_SSL)
