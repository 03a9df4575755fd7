"""The API object: django-ninja's, with its contract told in full.

Errors are problems everywhere, bodies are strict JSON, and the OpenAPI document says which media
type an error has and what the payload of each job type looks like.
"""

import json
import math
from collections.abc import Callable, Iterator
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

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**options)
        for path in document["paths"].values():
            for operation in path.values():
                _tell_media_types(operation["responses"])
                operation["responses"] = dict(sorted(operation["responses"].items()))
        _tell_payloads(document)
        return document


def _errors(context: ValidationErrorContext[Any]) -> Iterator[dict[str, Any]]:
    own = 1 if hasattr(context.model, "__read_from_single_attr__") else 0
    for error in context.pydantic_validation_error.errors(include_url=False, include_input=False):
        place = [context.model.__ninja_param_source__, *error["loc"][own:]]
        yield {"loc": place, "msg": problems.plain(error["msg"])}


def _tell_media_types(responses: dict[int, Any]) -> None:
    for status, response in responses.items():
        if status >= 400:
            content = response["content"]
            if content["application/json"]["schema"] == PROBLEM:
                del content["application/json"]
            content[problems.MEDIA_TYPE] = {"schema": PROBLEM}


def _tell_payloads(document: OpenAPISchema) -> None:
    """One schema per job type, told apart by `type`, for the body of `POST /api/jobs/enqueue`."""
    schemas = document["components"]["schemas"]
    base = schemas["NewJobIn"]
    variants = {}
    for name, processor in processors().items():
        payload: dict[str, Any] = PLAIN_TASK
        if processor.payload_model:
            # Nested models are named after the job type: another type may have a model of the same name.
            payload = processor.payload_model.model_json_schema(ref_template=f"#/components/schemas/{name}.{{model}}")
            schemas.update({f"{name}.{nested}": schema for nested, schema in payload.pop("$defs", {}).items()})
        schemas[f"{name}.payload"] = payload
        properties = {
            **base["properties"],
            "type": {"const": name, "type": "string"},
            "payload": {"$ref": REF_TEMPLATE.format(model=f"{name}.payload")},
        }
        required = ["type", "payload"] if payload.get("required") else ["type"]
        schemas[name] = {
            **base,
            "title": name,
            "description": processor.description,
            "properties": properties,
            "required": required,
        }
        variants[name] = REF_TEMPLATE.format(model=name)
    schemas["NewJobIn"] = {
        "oneOf": [{"$ref": reference} for reference in variants.values()],
        "discriminator": {"propertyName": "type", "mapping": variants},
    }
