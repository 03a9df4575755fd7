"""A mail server that answers each recipient as their name says, or as it was told to, and keeps what it accepted.

The first word of a mailbox decides: see `MAILBOXES`. `fault` goes wrong for the next mails, `FAULTS` says how. The HTTP
side (`service`) reads and sets all of this from another thread; each change is a single assignment.
"""

import asyncio
import logging
import re
import time
from collections import Counter, deque
from email import message_from_bytes, policy
from typing import Any, Final, NamedTuple

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

HOST: Final = "127.0.0.1"
REMEMBERED: Final = 20_000  # mails
SILENCE: Final = 600.0  # seconds: longer than any client waits
FINE: Final = "250 2.0.0 Ok: queued as {number}"

MAILBOXES: Final = {  # what RCPT is answered; other mailboxes exist
    "nobody": "550 5.1.1 <{address}>: Recipient address rejected: User unknown",
    "full": "452 4.2.2 <{address}>: Mailbox full",
    "blocked": "550 5.7.1 <{address}>: Refused by policy",
    "busy": "450 4.2.1 <{address}>: Mailbox busy",
    "toomany": "552 5.5.3 Too many recipients",
    "greylisted": "451 4.7.1 <{address}>: Greylisted, try again later",  # the first time
}


class Fault(NamedTuple):
    """At which command it goes wrong, and the answer; an empty one: the connection is lost without a word."""

    at: str
    answer: str
    accepted: bool = False  # was the mail taken all the same?


FAULTS: Final = {
    "421": Fault("MAIL", "421 4.3.2 Service shutting down"),
    "login": Fault("MAIL", "530 5.7.0 Authentication required"),
    "sender": Fault("MAIL", "553 5.1.8 Sender address rejected"),
    "sender-later": Fault("MAIL", "451 4.1.8 Sender address rejected: try again later"),
    "drop": Fault("RCPT", ""),
    "try-later": Fault("DATA", "451 4.3.0 Local error in processing"),
    "spam": Fault("DATA", "554 5.7.1 Message content rejected"),
    "drop-after-data": Fault("DATA", "", accepted=True),
    "silent-after-data": Fault("DATA", "", accepted=True),
}


class PostOffice:
    """What the server knows, and aiosmtpd's handler: it is called at each command."""

    def __init__(self) -> None:
        self.received: deque[Mail] = deque(maxlen=REMEMBERED)
        self.reset()

    def reset(self) -> None:
        """As if just opened."""
        self.received.clear()
        self.answers: dict[str, str] = {}  # address → what RCPT is answered
        self.known: set[str] = set()  # to the greylist
        self.fault: str | None = None
        self.count = 0  # mails that the fault is still for
        self.after = 0  # good mails before it
        self.latency = 0.0  # seconds before a mail is answered
        self.busy = self.busiest = 0  # mails under way at once

    async def handle_MAIL(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if (fault := self._fault_at("MAIL")) is not None:
            return fault.answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._fault_at("RCPT") is not None:
            return _lost(server)
        answer = self.answers.get(address) or self._by_name(address)
        if answer:
            return answer.format(address=address)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.busy -= 1
        name = self.fault
        fault = self._fault_at("DATA")
        if fault is None or fault.accepted:
            self._keep(envelope)
        if fault is None:
            return FINE.format(number=len(self.received))
        if name == "silent-after-data":
            await asyncio.sleep(SILENCE)
        return fault.answer or _lost(server)

    def recipients(self) -> Counter[str]:
        """How many mails each address got."""
        return Counter(address for mail in list(self.received) for address in mail.to)

    def _keep(self, envelope: Envelope) -> None:
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        self.received.append(Mail(time.time(), envelope.mail_from or "", list(envelope.rcpt_tos), content))

    def _fault_at(self, command: str) -> Fault | None:
        """The fault, when this command is where it strikes this mail."""
        fault = FAULTS[self.fault] if self.fault and self.count else None
        if fault is None or fault.at != command:
            return None
        if self.after:
            self.after -= 1
            return None
        self.count -= 1
        return fault

    def _by_name(self, address: str) -> str:
        word = re.split(r"[^a-z]", address.lower(), maxsplit=1)[0]
        if word == "greylisted":
            if address in self.known:
                return ""
            self.known.add(address)
        return MAILBOXES.get(word, "")


class Mail(NamedTuple):
    """One that was accepted."""

    at: float
    sender: str
    to: list[str]
    content: bytes

    def read(self) -> dict[str, Any]:
        """For people and tests: parsing takes longer than taking the mail did."""
        message = message_from_bytes(self.content, policy=policy.default)
        return {
            "at": self.at,
            "from": self.sender,
            "to": self.to,
            "headers": [(name, str(value)) for name, value in message.items()],
            "text": _part(message, "plain"),
            "html": _part(message, "html"),
        }


def _part(message: Any, kind: str) -> str:
    body = message.get_body((kind,))
    return body.get_content() if body else ""


def _lost(server: SMTP) -> str:
    """Drop the connection. The answer goes nowhere."""
    if server.transport is not None:
        server.transport.abort()  # type: ignore[attr-defined]
    return "421 4.4.2 Connection dropped"


def serve(office: PostOffice, port: int) -> Controller:
    """A server in a thread of its own; `stop()` ends it."""
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # a line for each command
    controller = Controller(office, hostname=HOST, port=port)
    controller.start()
    return controller
