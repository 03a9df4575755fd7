"""Mail to a server by SMTP: handed over, or an error that says what it means for this mail or for all.

What was sent to whom, and whether it may be tried again, is `mailing`'s business; what a mail says is `letters`'.
Errors of one mail are `MailError`s; one of the server itself is an outcome of the job.
"""

import logging
import re
import smtplib
from queue import Empty, LifoQueue
from smtplib import SMTPResponseException
from typing import Any, Final, Self

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.smtp import EmailBackend

from jobs.errors import Discard, Retry
from jobs.processor import Upstream

log = logging.getLogger(__name__)

LOCKED_OUT: Final = 300.0  # seconds that all mail waits after the server has refused our login
DJANGOS: Final = "django.core.mail.backends.smtp.EmailBackend"
OURS: Final = "processors.crm.mailer.Backend"
NO_MAILBOX: Final = re.compile(r"\b5\.1\.(1|2|3|10)\b|user unknown|no such user|does not exist", re.I)
TOO_MANY: Final = re.compile(r"too many", re.I)
LOGIN: Final = (530, 534, 535, 538)


class MailError(Exception):
    """This mail was not accepted; others may be."""


class Deferred(MailError):
    """Not now, says the server: try again later."""


class Refused(MailError):
    """Never, says the server. `no_mailbox`: because nobody has this address."""

    def __init__(self, message: str, *, no_mailbox: bool = False) -> None:
        super().__init__(message)
        self.no_mailbox = no_mailbox


class InDoubt(MailError):
    """The server had the mail and was lost before it answered: nobody knows whether it is delivered."""


class LockedOut(Discard):
    """The mail server refuses us (EMAIL_URL): no mail would be accepted."""


class _Noting(smtplib.SMTP):
    """A connection that knows how far a mail got, and is patient once the server has it."""

    sock: Any  # which smtplib's stubs leave out

    handing_over = False  # between the beginning of the mail's text and the server's answer
    said = ""

    def send(self, s: Any) -> None:
        if isinstance(s, bytes):  # as the text is; commands are not
            self.handing_over = True
        super().send(s)

    def data(self, msg: Any) -> tuple[int, bytes]:
        usual = self.sock.gettimeout()
        self.sock.settimeout(settings.EMAIL_ANSWER_TIMEOUT)
        code, text = super().data(msg)
        self.sock.settimeout(usual)
        self.handing_over = False
        self.said = f"{code} {text.decode('utf-8', 'replace')}"
        return code, text


class _NotingWithTls(_Noting, smtplib.SMTP_SSL):
    """The same, encrypted from the start."""


class Backend(EmailBackend):
    """Django's, over connections that know how far a mail got."""

    connection: Any

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _NotingWithTls if self.use_ssl else _Noting


class Mailer:
    """Hands mails over, from many threads, over connections that it keeps until it is closed."""

    def __init__(self) -> None:
        self._upstream = Upstream("smtp", interval=0)
        self._idle: LifoQueue[Any] = LifoQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        while (connection := self._kept()) is not None:
            _close(connection)

    def send(self, message: EmailMessage) -> str:
        """What the server said. Raises Deferred, Refused or InDoubt about this mail.

        Retry and LockedOut are about the server; Snooze, while the breaker is open.
        """
        self._upstream.acquire()
        try:
            said = self._send(message)
        except MailError:
            self._upstream.succeeded()
            raise
        except LockedOut as refused:
            log.error("%s", refused)
            self._upstream.slow_down(LOCKED_OUT)
            raise
        except Retry:
            self._upstream.failed()
            raise
        self._upstream.succeeded()
        return said

    def _send(self, message: EmailMessage) -> str:
        kept = self._kept()
        try:
            return self._over(kept or _opened(), message)
        except Retry:
            if kept is None:
                raise
        return self._over(_opened(), message)  # the server had closed the old one: it may after some mails

    def _over(self, connection: Any, message: EmailMessage) -> str:
        session = getattr(connection, "connection", None)
        try:
            connection.send_messages([message])
        except ValueError as error:  # a header of two lines, an address that cannot be written: it stays so
            _close(connection)
            raise Refused(f"the mail cannot be written: {type(error).__name__}: {error}") from error
        except (smtplib.SMTPException, OSError) as error:
            _close(connection)
            if getattr(session, "handing_over", False):
                raise InDoubt(f"{type(error).__name__}: {error}") from error
            raise verdict(error) from error
        self._idle.put(connection)
        return str(getattr(session, "said", ""))

    def _kept(self) -> Any:
        try:
            return self._idle.get_nowait()
        except Empty:
            return None


def verdict(error: Exception) -> Exception:
    """What an error of `smtplib` means: about this mail (`MailError`), about the server (Retry), or about us."""
    code, text = _answer(error)
    told = f"{code} {text}".strip() if code else f"{type(error).__name__}: {error}"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return LockedOut(f"The mail server cannot do what EMAIL_URL asks: {error}")
    if code in LOGIN or (isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPHeloError) and code >= 500):
        return LockedOut(f"The mail server refuses us (EMAIL_URL, EMAIL_FROM): {told}")
    about_this_mail = isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError) and code != 421
    if not about_this_mail:
        return Retry(told)
    if code < 500 or (code == 552 and TOO_MANY.search(text)):  # the latter stands for 452: RFC 5321, 4.5.3.1.10
        return Deferred(told)
    return Refused(told, no_mailbox=bool(NO_MAILBOX.search(text)))


def _answer(error: Exception) -> tuple[int, str]:
    """The server's code and words; 0 when it said nothing."""
    code, said = 0, b""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()))  # one mail has one recipient
    elif isinstance(error, SMTPResponseException):
        code, said = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
        if not said:
            return code, str(error.smtp_error)
    return code, " ".join(said.decode("utf-8", "replace").split())


def _opened() -> Any:
    """A connection by the settings, open."""
    connection = get_connection(OURS if settings.EMAIL_BACKEND == DJANGOS else None)
    try:
        connection.open()
    except (smtplib.SMTPException, OSError) as error:
        raise verdict(error) from error
    return connection


def _close(connection: Any) -> None:
    """Without a word about errors: it is done with."""
    try:
        connection.close()
    except (smtplib.SMTPException, OSError) as error:
        log.debug("a mail server's connection did not close: %s", error)
