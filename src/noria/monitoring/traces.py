"""Traces for OpenTelemetry, when its endpoint is set: a run, its pages, its batches. Otherwise nothing, at no cost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from noria.messages import Message
from noria.metadata.errors import NoriaError

# The convention's own variables: the one for everything, the one for traces.
VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_tracer: Any = None
_provider: Any = None


def start(environ: Mapping[str, str] = os.environ) -> bool:
    """Send traces from now on if the environment names an endpoint; whether it does. Raises `NoriaError` where
    OpenTelemetry is asked for and not installed."""
    global _tracer, _provider
    if not any(environ.get(name) for name in VARIABLES):
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        message = Message("traces.missing", {"reason": str(error)})
        raise NoriaError("traces", message, hint=Message("traces.missing_hint")) from None
    # A name that the environment gives goes before ours.
    _provider = TracerProvider(resource=Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME", "noria")}))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("noria")
    return True


def stop() -> None:
    """Send what is left."""
    global _tracer, _provider
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


def span(name: str, **attributes: str | int) -> AbstractContextManager[Any]:
    """A span around what is done within; gives it, or None. Of an exception that leaves it only the type is noted."""
    return nullcontext() if _tracer is None else _span(name, attributes)


@contextmanager
def _span(name: str, attributes: dict[str, str | int]) -> Iterator[Any]:
    named = {f"noria.{key}": value for key, value in attributes.items()}
    # Neither its text nor its stack: they may quote what a server answered, and a collector is no place for records.
    quiet = {"record_exception": False, "set_status_on_exception": False}
    with _tracer.start_as_current_span(name, attributes=named, **quiet) as one:
        try:
            yield one
        except BaseException as error:
            from opentelemetry.trace import StatusCode

            one.set_attribute("error.type", type(error).__name__)
            one.set_status(StatusCode.ERROR)
            raise
