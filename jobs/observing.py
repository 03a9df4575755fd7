"""Traces for OpenTelemetry and errors for Sentry, when a deployment says where to send them: optional extras.

Started in every process that does something: web, worker (each child of a prefork one after its fork), beat. A span
for each request and each run of a job; both name the request's id, which ties them together, and a body may add spans
of its own. Neither is told secrets: no query string, no body, no local variables, and messages as they are shown.
"""

import json
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from celery import signals
from django.conf import settings
from django.http import HttpRequest

from jobs import logs

_tracer: Any = None
_spans: dict[str, AbstractContextManager[Any]] = {}  # of the runs of this process, by job


def listen() -> None:
    """Start with the processes of Celery. `start` is for the others."""
    for starting in (signals.worker_init, signals.worker_process_init, signals.beat_init):
        starting.connect(_start_here)


def _start_here(signal: Any, sender: Any = None, **kwargs: Any) -> None:
    """Threads do not outlive a fork, so children begin with traces of their own.

    Sentry sees to that by itself, and must be there before Celery makes its tracers.
    """
    forks = signal is signals.worker_init and sender.pool_cls.__module__.endswith("prefork")
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT and not forks:
        _start_traces()
    if settings.SENTRY_DSN and signal is not signals.worker_process_init:
        _start_sentry()


def start() -> None:
    """In this process, if the settings say where to."""
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        _start_traces()
    if settings.SENTRY_DSN:
        _start_sentry()


# --- OpenTelemetry ----------------------------------------------------------------------------------------------


def _start_traces() -> None:
    global _tracer
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": f"jobyard-{settings.ROLE or 'command'}"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _tracer = provider.get_tracer("jobyard")
    signals.task_prerun.connect(_begin_run)
    signals.task_postrun.connect(_end_run)


def of_request(request: HttpRequest, request_id: str) -> AbstractContextManager[Any]:
    """The span of a request; nothing without traces. Named by the path without what is after the `?`."""
    if _tracer is None:
        return nullcontext()
    from opentelemetry.trace import SpanKind

    attributes = {"http.request.method": request.method, "url.path": request.path, "request.id": request_id}
    span: AbstractContextManager[Any] = _tracer.start_as_current_span(
        f"{request.method} {request.path}", kind=SpanKind.SERVER, attributes=attributes, record_exception=False
    )
    return span


def _begin_run(task_id: str, task: Any, **kwargs: Any) -> None:
    attributes = {"job.id": task_id, "job.type": task.name, "job.attempt": (task.request.retries or 0) + 1}
    if request_id := logs.request_id():
        attributes["request.id"] = request_id
    span = _tracer.start_as_current_span(f"run {task.name}", attributes=attributes)
    span.__enter__()
    _spans[task_id] = span


def _end_run(task_id: str, state: str | None = None, **kwargs: Any) -> None:
    if (span := _spans.pop(task_id, None)) is not None:
        from opentelemetry import trace

        if state not in ("SUCCESS", "IGNORED"):
            trace.get_current_span().set_status(trace.Status(trace.StatusCode.ERROR, state))
        span.__exit__(None, None, None)


# --- Sentry -----------------------------------------------------------------------------------------------------


def _start_sentry() -> None:
    import sentry_sdk
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        settings.SENTRY_DSN,
        environment=settings.SENTRY_ENVIRONMENT,
        send_default_pii=False,
        include_local_variables=False,  # payloads
        max_request_body_size="never",
        integrations=[LoggingIntegration(event_level=None)],  # errors are told once, as errors
        before_send=_without_secrets,
    )


def _without_secrets(event: Any, hint: Any) -> Any:
    """Where a job's body runs its payload's secrets are known; of a request the query may have a token."""
    event.get("request", {}).pop("query_string", None)
    if request_id := logs.request_id():
        event.setdefault("tags", {})["request_id"] = request_id
    redact = logs.redactor()
    return json.loads(redact(json.dumps(event, default=str))) if redact else event
