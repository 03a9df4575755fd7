"""One provider's part of a job: what it is asked, request by request, and what is kept of its replies.

All rows are written by the job's own thread, each with the request that it is about in one transaction, and only as
long as no later run of the job has begun. What a provider is asked is `splitting`'s, how it is called `client`'s.
"""

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models.functions import Now

from jobs.processor import Discard, JobContext, Snooze, Upstream

from . import client, notices, splitting
from .client import Reply
from .failures import PROVIDERS, RETRYABLE, UNUSABLE, Failure, Kind
from .models import Analysis, Call, Paper, ProviderState, spent
from .structure import Structure

TRIES: Final = 2  # attempts in which an answer may be of no use
Status = Analysis.Status


class Superseded(Discard):
    """A later run of this job has begun: what this one still gets is dropped."""


class Step:
    """One provider's part of a job."""

    def __init__(self, analysis: Analysis, paper: Paper, parts: Sequence[str], job: JobContext) -> None:
        self.analysis, self.provider, self.job = analysis, analysis.provider, job
        self.state = Status(analysis.status)
        self.failure: Failure | None = None  # the last
        self.postponed: float | None = None  # seconds: it cannot be called now, which is nobody's failure
        self.parts_done = 0
        self.parts = len(parts) + (len(parts) > 1)
        self._upstream = Upstream(self.provider, interval=0)
        self._questions = _questions(paper, parts)
        self._question = ""
        self._asked_again = False
        self._number = 0
        self._call: Call | None = None

    @property
    def told(self) -> str:
        """For people who watch."""
        running = f"{self.parts_done} of {self.parts}" if self.parts > 1 else "running"
        return f"{self.provider} {running if self.state == Status.RUNNING else self.state.label.lower()}"

    def begin(self) -> "Future[Reply] | None":
        """The first request; None when there is nothing to ask."""
        if self.state != Status.WAITING:
            return None
        if (obstacle := self._obstacle()) is None:
            return self._advance(None)
        self._fail(obstacle)
        return None

    def receive(self, reply: Reply) -> "Future[Reply] | None":
        """What a request came to, and the next request, if there is one."""
        failure = reply.failure
        with suppress(OperationalError, InterfaceError):  # no reason to lose a reply that is paid for
            self._count(failure)
        if reply.structure:
            self._close(reply)
            return self._advance(reply.structure)
        assert failure  # a reply has one of both
        if failure.kind in UNUSABLE and not self._asked_again:
            self._close(reply)
            self._asked_again = True
            return self._send(splitting.again(self._question, failure.message))
        self._fail(failure, reply)
        return None

    def give_up(self) -> None:
        """No attempt is left."""
        if self.state == Status.WAITING and self.failure:
            self.state = Status.FAILED
            self._write(status=self.state, finished_at=Now())

    def stop(self, why: str, *, cancelled: bool) -> None:
        """End what is under way. A newer run's rows are left alone."""
        if self._call:
            Call.objects.filter(pk=self._call.pk, ended_at=None).update(
                ended_at=Now(), error_class=Kind.STOPPED, error=why
            )
        if cancelled:
            unfinished = Analysis.objects.current(self.job.id, self.job.run).filter(pk=self.analysis.pk)
            unfinished.filter(status__in=(Status.WAITING, Status.RUNNING)).update(status=Status.CANCELLED)
            unfinished.filter(status=Status.FAILED).update(told_at=Now())  # a retry by hand is for it, too

    def _obstacle(self) -> Failure | None:
        """Why there is no use in asking."""
        if not settings.AI_PROVIDERS[self.provider]["key"]:
            return Failure(Kind.NOT_CONFIGURED, f"{self.provider} has no key here")
        if off := ProviderState.off(self.provider):
            return Failure(Kind.OFF, f"switched off until {off.off_until:%H:%M} UTC: {off.reason}")
        if self.parts > settings.AI_MAX_PARTS + 1:
            most = settings.AI_MAX_PARTS * settings.AI_PART_TOKENS
            return Failure(Kind.TOO_LONG, f"the paper is longer than {most:,} tokens, the most we analyse")
        return None

    def _count(self, failure: Failure | None) -> None:
        """For the pace and the breaker that all jobs share."""
        if failure is None or failure.kind not in RETRYABLE:
            self._upstream.succeeded()
            return
        self._upstream.failed()
        if failure.after:
            self._upstream.slow_down(failure.after)

    def _advance(self, answer: Structure | None) -> "Future[Reply] | None":
        """Go on with an answer: past questions that an earlier run has paid for, to the next one or the end."""
        while True:
            try:
                self._number, self._question = self._questions.send(answer)  # type: ignore[arg-type]
            except StopIteration as end:
                self._finish(end.value)
                return None
            kept = Call.objects.filter(analysis=self.analysis, digest=self._digest(), answer__isnull=False).first()
            if kept is None:
                self._asked_again = False
                return self._send(self._question)
            self.parts_done += 1
            answer = Structure.model_validate(kept.answer)

    def _digest(self) -> str:
        model = settings.AI_PROVIDERS[self.provider]["model"]
        return hashlib.sha256(f"{model}\n{splitting.INSTRUCTIONS}\n{self._question}".encode()).hexdigest()

    def _send(self, question: str) -> "Future[Reply] | None":
        try:
            self._upstream.acquire()
        except Snooze as not_yet:
            self.state, self.postponed = Status.WAITING, not_yet.after
            self._write(status=self.state, error=str(not_yet))
            self.job.log.info("%s", not_yet)
            return None
        self.state = Status.RUNNING
        with transaction.atomic():
            self._write(status=self.state, parts=self.parts, parts_done=self.parts_done)
            self._call = Call.objects.create(
                analysis=self.analysis,
                provider=self.provider,
                run=self.job.run,
                part=self._number,
                digest=self._digest(),
                model=settings.AI_PROVIDERS[self.provider]["model"],
            )
        return client.ask(self.provider, splitting.INSTRUCTIONS, question)

    def _close(self, reply: Reply) -> None:
        """Enter what a request came to."""
        assert self._call
        self.parts_done += reply.structure is not None
        with transaction.atomic():
            Call.objects.filter(pk=self._call.pk).update(
                ended_at=Now(),
                answer=reply.structure and reply.structure.model_dump(mode="json"),
                **{name: value for name, value in vars(reply.usage).items() if value},
                **({"http_status": reply.failure.http_status, **_error(reply.failure)} if reply.failure else {}),
            )
            self._write(
                parts_done=self.parts_done,
                model=reply.usage.model or self.analysis.model,
                request_id=reply.usage.request_id,
                **spent(self.analysis.calls),
            )
        self._call = None

    def _finish(self, structure: Structure) -> None:
        self.state = Status.DONE
        said = structure.model_dump(mode="json")
        self._write(status=self.state, structure=said, finished_at=Now(), error="", error_class="")

    def _fail(self, failure: Failure, reply: Reply | None = None) -> None:
        """Enter a failure, and whether it is for good; with the provider's own fault everybody's."""
        again = failure.kind in RETRYABLE or (failure.kind in UNUSABLE and self.job.attempt < TRIES)
        self.failure, self.state = failure, Status.WAITING if again else Status.FAILED
        self.job.log.warning("%s: %s: %s", self.provider, failure.kind.label.lower(), failure.message)
        with transaction.atomic():
            if reply:
                self._close(reply)
            self._write(status=self.state, finished_at=None if again else Now(), **_error(failure))
            if failure.kind in PROVIDERS:
                off = ProviderState.switch_off(self.provider, settings.AI_OFF_FOR, failure.kind, failure.message)
                if off:
                    notices.switched_off(self.job, self.provider, failure)

    def _write(self, **fields: object) -> None:
        if not Analysis.objects.current(self.job.id, self.job.run).filter(pk=self.analysis.pk).update(**fields):
            raise Superseded


def _error(failure: Failure) -> dict[str, str]:
    return {"error_class": failure.kind, "error": failure.message}


def _questions(paper: Paper, parts: Sequence[str]) -> Generator[tuple[int, str], Structure, Structure]:
    """Number and text of each question about a paper; is sent the answers, and returns the analysis."""
    if len(parts) == 1:
        return (yield 1, splitting.about_whole(paper.title, parts[0]))
    answers = []
    for number, part in enumerate(parts, 1):
        answers.append((yield number, splitting.about_part(paper.title, part, number, len(parts))))
    return (yield len(parts) + 1, splitting.about_merging(paper.title, answers))
