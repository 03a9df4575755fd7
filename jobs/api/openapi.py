"""The API object: django-ninja's, with its contract told in full.

Errors are problems everywhere, bodies are strict JSON, and the OpenAPI document says who may call what, which media
type an error has and what the payload of each job type looks like.
"""

import json
import math
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, NoReturn, cast

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver
from ninja import NinjaAPI
from ninja.errors import ValidationError, ValidationErrorContext
from ninja.openapi.schema import REF_TEMPLATE, OpenAPISchema
from ninja.operation import Operation
from ninja.parser import Parser
from pydantic.alias_generators import to_camel

from jobs.api import problems
from jobs.api.types import PLAIN_TASK
from jobs.processor import processors

PROBLEM = {"$ref": REF_TEMPLATE.format(model="ProblemOut")}


View = Callable[..., HttpResponse]


class StrictParser(Parser):
    """JSON as its standard has it: no NaN, no Infinity, no number that a float cannot hold."""

    def parse_body(self, request: HttpRequest) -> Any:
        return json.loads(request.body, parse_constant=_refuse, parse_float=_finite)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


class JobsApi(NinjaAPI):
    def __init__(self, **options: Any) -> None:
        super().__init__(parser=StrictParser(), **options)
        problems.install(self)

    @property
    def urls(self) -> tuple[list[URLResolver | URLPattern], str, str]:
        patterns, app, namespace = super().urls
        for pattern in patterns:
            pattern.callback = problems.in_problems(cast("View", pattern.callback))
        return patterns, app, namespace

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        """Locations as the client knows them: without the name of our own parameter that takes the body."""
        return ValidationError([error for context in error_contexts for error in _errors(context)])

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return to_camel(operation.view_func.__name__)

    def get_openapi_schema(self, *, path_prefix: str | None = None, path_params: Any = None) -> OpenAPISchema:
        document = Document(self, self.get_root_path(path_params or {}) if path_prefix is None else path_prefix)
        for path in document["paths"].values():
            for operation in path.values():
                _tell_of_errors(operation["responses"])
                operation["responses"] = dict(sorted(operation["responses"].items()))
        _tell_payloads(document["components"]["schemas"])
        return document


class Document(OpenAPISchema):
    def operation_security(self, operation: Operation) -> list[dict[str, Any]]:
        """Each way in with the scope of a key, or the permissions of which a session needs one."""
        super().operation_security(operation)  # notes the schemes
        return [{type(auth).__name__: getattr(auth, "needs", [])} for auth in operation.auth_callbacks]


def _errors(context: ValidationErrorContext[Any]) -> Iterator[dict[str, Any]]:
    own = 1 if hasattr(context.model, "__read_from_single_attr__") else 0
    for error in context.pydantic_validation_error.errors(include_url=False, include_input=False):
        place = [context.model.__ninja_param_source__, *error["loc"][own:]]
        yield {"loc": place, "msg": problems.plain(error["msg"])}


def _tell_of_errors(responses: dict[int, Any]) -> None:
    for status, response in responses.items():
        if status >= 400:
            content = response["content"]
            if content["application/json"]["schema"] == PROBLEM:
                del content["application/json"]
            content[problems.MEDIA_TYPE] = {"schema": PROBLEM}
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            response["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def _tell_payloads(schemas: dict[str, Any]) -> None:
    """What a body that enqueues looks like for each job type, told apart by `type`: wrapped, and flat for FlatJobIn."""
    wrapped, either = {}, {}
    for name, processor in processors().items():
        payload: dict[str, Any] = PLAIN_TASK
        if processor.payload_model:
            # Nested models are named after the job type: another type may have a model of the same name.
            payload = processor.payload_model.model_json_schema(ref_template=f"#/components/schemas/{name}.{{model}}")
            schemas.update({f"{name}.{nested}": schema for nested, schema in payload.pop("$defs", {}).items()})
        schemas[f"{name}.payload"] = payload
        nested = {"payload": {"$ref": REF_TEMPLATE.format(model=f"{name}.payload")}}
        required = ["payload"] if payload.get("required") else []
        schemas[name] = _variant(schemas["NewJobIn"], name, processor.description, nested, required)
        flat = payload.get("properties", {})
        schemas[f"{name}.flat"] = _variant(schemas["NewJobIn"], name, "", flat, payload.get("required", []))
        both = [{"$ref": REF_TEMPLATE.format(model=model)} for model in (f"{name}.flat", name)]
        schemas[f"{name}.either"] = {"title": name, "description": processor.description, "anyOf": both}
        wrapped[name] = REF_TEMPLATE.format(model=name)
        either[name] = REF_TEMPLATE.format(model=f"{name}.either")
    schemas["NewJobIn"] = _one_of(wrapped)
    schemas["FlatJobIn"] = _one_of(either)


def _variant(
    base: dict[str, Any], name: str, description: str, fields: dict[str, Any], required: list[str]
) -> dict[str, Any]:
    """The body for one job type: the options of any, and these fields."""
    options = {option: schema for option, schema in base["properties"].items() if option not in ("type", "payload")}
    return {
        **base,
        "title": name,
        "description": description,
        "properties": {"type": {"const": name, "type": "string"}, **fields, **options},
        "required": ["type", *required],
    }


def _one_of(variants: dict[str, str]) -> dict[str, Any]:
    references = [{"$ref": reference} for reference in variants.values()]
    return {"oneOf": references, "discriminator": {"propertyName": "type", "mapping": variants}}
