"""Errors as `application/problem+json` (RFC 9457), whatever went wrong and wherever.

`Problem` is what our own code raises. `problem_for` turns everything else that can leave an
operation into one; nothing under /api answers in HTML.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from pydantic import BaseModel, Field
from pydantic.alias_generators import to_camel

from jobs.errors import InvalidOption, InvalidPayload, JobError, UnknownProcessor, UnknownQueue

log = logging.getLogger("django.request")

MEDIA_TYPE = "application/problem+json"
BODY_LIMIT = "16 MiB"

Place = tuple[str | int, ...]


class FieldError(BaseModel):
    """What is wrong with one field of the request."""

    loc: list[str | int] = Field(description="Where: `body`, `query` or `path`, then the names down to the field.")
    msg: str


class ProblemOut(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field("about:blank", description="Always `about:blank`: the status says what kind of problem it is.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What went wrong this time.")
    errors: list[FieldError] = Field(description="The fields that are wrong, if it is about fields.")


class Problem(Exception):
    """The request cannot be answered as asked."""

    def __init__(self, status: int, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, list(errors)

    def response(self) -> HttpResponse:
        title = HTTPStatus(self.status).phrase
        body = ProblemOut(title=title, status=self.status, detail=self.detail, errors=self.errors)
        response = HttpResponse(body.model_dump_json(), status=self.status, content_type=MEDIA_TYPE)
        if self.status == HTTPStatus.UNAUTHORIZED:
            response["WWW-Authenticate"] = "Bearer"
        return response


def invalid(errors: Sequence[FieldError]) -> Problem:
    """A 422 that names the fields."""
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(422, f"{'.'.join(map(str, first.loc))}: {first.msg}{more}", errors)


def declared(*statuses: int) -> dict[frozenset[int], type[ProblemOut]]:
    """The `response` entries of an operation for its error statuses; those that any may give are added."""
    return {frozenset({401, 403, 429, 503, *statuses}): ProblemOut}


@contextmanager
def of_the_body(*place: str | int, payload: Place = ("payload",)) -> Iterator[None]:
    """What the core says about a job, as a 422 about the body's field at `place`."""
    body: Place = ("body", *place)
    try:
        yield
    except UnknownProcessor as error:
        raise invalid([_field((*body, "type"), error)]) from error
    except UnknownQueue as error:
        raise invalid([_field((*body, "queue"), error)]) from error
    except InvalidOption as error:
        raise invalid([_field((*body, to_camel(error.field)), error)]) from error
    except InvalidPayload as error:
        wrong: list[dict[str, Any]] = error.errors or [{"loc": (), "msg": str(error)}]
        fields = [FieldError(loc=[*body, *payload, *item["loc"]], msg=plain(item["msg"])) for item in wrong]
        raise invalid(fields) from error


def plain(message: str) -> str:
    """What a validator of ours said, without pydantic's introduction."""
    return message.removeprefix("Value error, ")


def _field(loc: Place, error: JobError) -> FieldError:
    return FieldError(loc=list(loc), msg=str(error))


def problem_for(error: Exception) -> Problem:
    """The answer to an exception that left an operation."""
    match error:
        case Problem():
            return error
        case AuthenticationError():
            return Problem(401, "An API key or a staff session is needed.")
        case ValidationError():
            return invalid([FieldError(loc=list(item["loc"]), msg=item["msg"]) for item in error.errors])
        case HttpError():
            return Problem(error.status_code, str(error))
        case Http404():
            return Problem(404, "There is nothing here.")
        case RequestDataTooBig():
            return Problem(413, f"The body is larger than {BODY_LIMIT}.")
        case SuspiciousOperation() | UnreadablePostError():
            return Problem(400, "The request cannot be read.")
        case OperationalError() | InterfaceError():
            log.error("the database does not answer: %s", error)
            return Problem(503, "The database cannot be reached.")
        case _:
            log.error("an operation of the API failed", exc_info=error)
            return Problem(500, "Something went wrong here; it has been logged.")


def install(api: NinjaAPI) -> None:
    """Let `api` answer every exception with a problem."""

    def answer(_request: HttpRequest, error: Any) -> HttpResponse:
        return problem_for(error).response()

    # Ninja has handlers of its own for these four; the closest class wins, so each is replaced.
    for kind in (Exception, Http404, HttpError, ValidationError):
        api.add_exception_handler(kind, answer)


def in_problems(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The view, with what Ninja itself refuses told as a problem too."""

    @wraps(view, updated=())
    def told(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except Http404:  # the root, which exists for its name only
            return nothing_here(request)
        if isinstance(response, HttpResponseNotAllowed):
            allowed = response["Allow"]
            response = Problem(405, f"This address takes {allowed}, not {request.method}.").response()
            response["Allow"] = allowed
        return response

    told.csrf_exempt = getattr(view, "csrf_exempt", False)  # type: ignore[attr-defined]
    return told


def nothing_here(request: HttpRequest, path: str = "") -> HttpResponse:
    """Any other path below the API."""
    return Problem(404, f"There is no {request.path} here.").response()
