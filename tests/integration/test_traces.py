"""Traces, as a collector of OpenTelemetry gets them."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from noria.metadata.errors import NoriaError
from noria.monitoring import traces
from tests.conftest import ITEMS, USERS, Project, connections, environment
from tests.servers import listening


async def test_a_run_its_pages_and_its_batches_are_spans_of_one_trace(project: Project, okki: Any, sink: Any) -> None:
    received: list[Any] = []

    async def collect(request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        sent = ExportTraceServiceRequest.FromString(body)
        received.extend(span for one in sent.resource_spans for scope in one.scope_spans for span in scope.spans)
        return web.Response(body=b"", content_type="application/x-protobuf")

    project.connections(connections(okki[1].url, sink[1].url))
    project.plan("users", ("okki", USERS), ("sink", ITEMS))
    async with listening([web.post("/v1/traces", collect)]) as url:
        process = subprocess.Popen(
            [sys.executable, "-m", "noria", "run", "users", "--project", str(project.folder), "--json"],
            env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=url),
            stdout=subprocess.PIPE,
        )

        out, _ = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0, out
    names = [span.name for span in received]
    assert names.count("run") == 1 and names.count("page") == 1 and names.count("batch") == 3
    assert len({span.trace_id for span in received}) == 1
    run = next(span for span in received if span.name == "run")
    assert all(span.parent_span_id == run.span_id for span in received if span is not run)
    found = {one.key: one.value.string_value or one.value.int_value for one in run.attributes}
    assert found == {"noria.plan": "users", "noria.run_id": 1, "noria.kind": "run"}


def test_of_an_error_only_the_type_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(traces, "_tracer", provider.get_tracer("noria"))
    with pytest.raises(ValueError), traces.span("batch", rows=2):
        raise ValueError("the answer was 13800138000")
    (span,) = kept.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {}) == {"noria.rows": 2, "error.type": "ValueError"}
    assert "13800138000" not in span.to_json()


def test_without_an_endpoint_nothing_is_traced() -> None:
    assert traces.start({}) is False
    with traces.span("run", plan="p") as span:
        assert span is None
    traces.stop()


def test_an_endpoint_without_opentelemetry_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(NoriaError) as caught:
        traces.start({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    assert "noria[traces]" in str(caught.value.hint)
