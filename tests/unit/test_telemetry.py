"""A case's way can be followed in the spans, metrics count what happened, and no line tells on a person."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import TypeAdapter, ValidationError

from libs.events import telemetry
from libs.events.errors import VersionConflict
from libs.events.settings import TelemetrySettings

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def clean() -> Iterator[None]:
    yield
    telemetry.stop()
    structlog.reset_defaults()


@pytest.fixture
def spans(clean: None) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    telemetry.start("example", TelemetrySettings(log_format="json"), spans_to=exporter)
    return exporter


def metric(line_start: str) -> float:
    """The value of one line of the metrics; 0 before it was first set."""
    text = telemetry.metrics_text()[0].decode()
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(line_start)]
    assert len(values) < 2, "the line is ambiguous"
    return float(values[0]) if values else 0.0


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def test_without_a_collector_nothing_is_traced_and_everything_is_measured() -> None:
    before = metric('whistle_append_duration_seconds_count{event="reported"}')
    with telemetry.appending("case-1", "reported", "id-1") as append:
        assert append.traceparent is None
    with (
        telemetry.processing("dispatch", "case-1", "reported", "id-1", TRACEPARENT),
        telemetry.asking("accept") as inside,
    ):
        assert inside.traceparent is None
    assert metric('whistle_append_duration_seconds_count{event="reported"}') == before + 1


def test_a_reaction_is_linked_to_the_append_and_its_commands_are_its_children(
    spans: InMemorySpanExporter,
) -> None:
    with telemetry.appending("case-1", "reported", "id-1") as first:
        pass
    with (
        telemetry.processing("dispatch", "case-1", "reported", "id-1", first.traceparent),
        telemetry.appending("case-1", "assigned", "id-2"),
    ):
        pass
    reported, assigned, reaction = spans.get_finished_spans()
    assert [span.kind for span in (reported, assigned, reaction)] == [
        SpanKind.PRODUCER,
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
    ]
    assert reaction.parent is None
    assert [(link.context.trace_id, link.context.span_id) for link in reaction.links] == [ids(reported)]
    assert assigned.parent is not None
    assert (assigned.parent.trace_id, assigned.parent.span_id) == ids(reaction)


def test_spans_follow_the_conventions_for_messaging(spans: InMemorySpanExporter) -> None:
    with (
        telemetry.serving("accept", None),
        telemetry.processing("dispatch", "case-1", "reported", "id-1", TRACEPARENT),
    ):
        pass
    span, _ = spans.get_finished_spans()
    assert span.parent is None
    assert span.name == "process case.{case_id}.{event}.{n}"
    assert attributes(span) == {
        "messaging.system": "nats",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "CASES",
        "messaging.destination.template": "case.{case_id}.{event}.{n}",
        "messaging.consumer.group.name": "dispatch",
        "messaging.message.id": "id-1",
        "whistle.event": "reported",
        "whistle.case_id": "case-1",
    }
    assert span.resource.attributes["service.name"] == "example"


def test_a_failed_append_is_counted_and_marked_by_its_type_alone(spans: InMemorySpanExporter) -> None:
    failed = 'whistle_append_errors_total{error="VersionConflict",event="assigned"}'
    before = metric(failed)
    with pytest.raises(VersionConflict), telemetry.appending("case-1", "assigned", "id-2"):
        raise VersionConflict("case-1", 7)
    (span,) = spans.get_finished_spans()
    assert metric(failed) == before + 1
    assert attributes(span)["error.type"] == "VersionConflict"
    assert (span.status.status_code, span.status.description, span.events) == (StatusCode.ERROR, None, ())


def test_being_cancelled_is_no_error(spans: InMemorySpanExporter) -> None:
    with pytest.raises(asyncio.CancelledError), telemetry.appending("case-1", "assigned", "id-2"):
        raise asyncio.CancelledError
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.UNSET


def test_what_follows_from_an_unrecorded_fact_is_not_recorded(spans: InMemorySpanExporter) -> None:
    unsampled = TRACEPARENT.removesuffix("01") + "00"
    for traceparent in (None, unsampled, "nonsense"):
        with (
            telemetry.processing("dispatch", "case-1", "reported", "id-1", traceparent),
            telemetry.appending("case-1", "assigned", "id-2") as append,
        ):
            assert append.traceparent is None
    assert spans.get_finished_spans() == ()


@pytest.mark.usefixtures("clean")
def test_a_ratio_decides_about_new_traces_and_not_about_those_that_go_on() -> None:
    exporter = InMemorySpanExporter()
    telemetry.start("example", TelemetrySettings(trace_sample_ratio=0), spans_to=exporter)
    with telemetry.appending("case-1", "reported", "id-1") as new:
        assert new.traceparent is None
    with (
        telemetry.processing("dispatch", "case-1", "reported", "id-1", TRACEPARENT),
        telemetry.appending("case-1", "assigned", "id-2") as follows,
    ):
        assert follows.traceparent is not None
    assert len(exporter.get_finished_spans()) == 2


def test_an_answer_is_the_child_of_its_question(spans: InMemorySpanExporter) -> None:
    with telemetry.asking("accept") as question, telemetry.serving("accept", question.traceparent):
        pass
    answer, asked = spans.get_finished_spans()
    assert (asked.kind, answer.kind) == (SpanKind.CLIENT, SpanKind.SERVER)
    assert answer.parent is not None
    assert (answer.parent.trace_id, answer.parent.span_id) == ids(asked)
    assert metric('whistle_answer_duration_seconds_count{verb="accept"}') > 0


def an_app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(telemetry.HttpTelemetry)

    @app.get("/cases/{tracking_number}")
    async def show(tracking_number: str) -> str:
        with telemetry.appending(tracking_number, "rated", "id-1"):
            return "shown"

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the reporter is Wang Wei")

    return app


async def ask(path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    transport = httpx.ASGITransport(an_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return await client.get(path, headers=headers)


@pytest.mark.asyncio
async def test_a_request_is_named_by_its_route_and_continues_the_callers_trace(
    spans: InMemorySpanExporter,
) -> None:
    labels = 'method="GET",route="/cases/{tracking_number}",status="200"'
    line = f"whistle_http_request_duration_seconds_count{{{labels}}}"
    before = metric(line)
    await ask("/cases/7K3M-9QXP-V2TB-HW4D", {"traceparent": TRACEPARENT})
    append, request = spans.get_finished_spans()
    assert request.name == "GET /cases/{tracking_number}"
    assert request.kind is SpanKind.SERVER
    assert "7K3M" not in str(attributes(request))
    assert request.parent is not None
    assert f"{request.parent.trace_id:032x}" in TRACEPARENT
    assert append.parent is not None
    assert append.parent.span_id == ids(request)[1]
    assert metric(line) == before + 1


@pytest.mark.asyncio
async def test_a_request_that_fails_or_goes_nowhere_is_measured_too(spans: InMemorySpanExporter) -> None:
    await ask("/broken")
    await ask("/nowhere/7K3M")
    await ask("/healthz")
    broken, nowhere = spans.get_finished_spans()
    assert (broken.status.status_code, attributes(broken)["http.response.status_code"]) == (
        StatusCode.ERROR,
        500,
    )
    assert "Wang Wei" not in broken.to_json()
    assert nowhere.name == "GET unmatched"
    assert nowhere.status.status_code is StatusCode.UNSET


def test_counts_and_gauges_are_read_where_they_were_set() -> None:
    conflicts = metric("whistle_conflicts_total")
    telemetry.count_conflict()
    telemetry.count_parked("notify")
    telemetry.set_parked("notify", 3)
    telemetry.set_lag("notify", 1_234)
    telemetry.count_consumed("notify", "reported", 40)
    telemetry.observe_projection_batch("notify", 500, 0.02)
    assert metric("whistle_conflicts_total") == conflicts + 1
    assert metric('whistle_parked_cases{service="notify"}') == 3
    assert metric('whistle_lag_events{service="notify"}') == 1_234
    assert metric('whistle_consumed_events_total{event="reported",service="notify"}') >= 40
    assert metric('whistle_projected_events_total{service="notify"}') >= 500


def test_every_metric_stands_in_the_table() -> None:
    text = telemetry.metrics_text()[0].decode()
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE whistle_")]
    assert names
    assert [name for name in names if f"`{name}`" not in (telemetry.__doc__ or "")] == []


# Logs.


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def started(**settings: str) -> Any:
    telemetry.start("example", TelemetrySettings.model_validate(settings))
    return structlog.get_logger()


@pytest.mark.usefixtures("clean")
def test_a_line_is_json_off_a_terminal_and_says_which_service(capsys: pytest.CaptureFixture[str]) -> None:
    started().info("case_assigned", case_id="abc", department="市容局")
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["service"]) == ("case_assigned", "info", "example")
    assert (line["case_id"], line["department"]) == ("abc", "市容局")
    assert "trace_id" not in line


@pytest.mark.usefixtures("clean")
def test_a_line_is_for_people_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    started(log_format="console").info("case_assigned", case_id="abc")
    text = capsys.readouterr().err
    assert "case_assigned" in text
    assert not text.startswith("{")


def test_a_line_inside_a_trace_carries_its_ids(
    spans: InMemorySpanExporter, capsys: pytest.CaptureFixture[str]
) -> None:
    del spans
    telemetry.stop()
    telemetry.start("example", TelemetrySettings(), spans_to=InMemorySpanExporter())
    with telemetry.serving("accept", TRACEPARENT):
        structlog.get_logger().info("case_accepted")
        logging.getLogger("nats").warning("slow consumer")
    for line in lines(capsys):
        assert line["trace_id"] in TRACEPARENT
        assert len(line["span_id"]) == 16


@pytest.mark.usefixtures("clean")
def test_lines_of_other_libraries_look_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    started()
    logging.getLogger("uvicorn.error").warning("stopped %d tasks", 3)
    logging.getLogger("nats").debug("not shown")
    (line,) = lines(capsys)
    assert (line["event"], line["logger"], line["service"]) == ("stopped 3 tasks", "uvicorn.error", "example")


@pytest.mark.usefixtures("clean")
def test_no_field_tells_who_somebody_is(capsys: pytest.CaptureFixture[str]) -> None:
    class Person:
        def __repr__(self) -> str:
            return "Wang Wei"

    started().info(
        "case_reported",
        name="Wang Wei",
        reporter_phone="Wang Wei",
        callerEmail="Wang Wei",
        tracking_number="Wang Wei",
        nats_password="Wang Wei",
        facts={"description": "Wang Wei", "rows": [{"MAIL": "Wang Wei"}, Person()]},
        person=Person(),
        event_name="reported",
        reason="not found",
        cases=3,
    )
    text = capsys.readouterr().err
    assert "Wang Wei" not in text
    line = json.loads(text)
    assert (line["name"], line["person"]) == (telemetry.HIDDEN, "<Person>")
    assert (line["event_name"], line["reason"], line["cases"]) == ("reported", "not found", 3)


@pytest.mark.usefixtures("clean")
def test_an_exception_does_not_quote_what_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    log = started()
    typed = "Wang\nWei, 13800000000"
    try:
        TypeAdapter(int).validate_python(typed)
    except ValidationError as error:
        log.exception("message_parked", reason=str(error))
        logging.getLogger("library").exception("it failed")
    text = capsys.readouterr().err
    assert "Wang" not in text
    assert "13800000000" not in text
    assert text.count("type=int_parsing") == 3, "the reason itself is kept, in the field and both tracebacks"


# The way to a collector, over a real connection.


class Collector:
    """An OTLP/HTTP receiver on the loopback interface that keeps what it gets."""

    def __init__(self) -> None:
        received: list[tuple[str, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
                """Say nothing."""

        self.received = received
        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spans(self) -> list[str]:
        bodies = [
            ExportTraceServiceRequest.FromString(body) for path, body in self.received if path == "/v1/traces"
        ]
        return [
            span.name
            for body in bodies
            for resource in body.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def last_metrics(self) -> dict[str, Any]:
        body = [body for path, body in self.received if path == "/v1/metrics"][-1]
        (resource,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
        return {each.name: each for scope in resource.scope_metrics for each in scope.metrics}


@pytest.fixture
def collector() -> Iterator[Collector]:
    receiver = Collector()
    yield receiver
    receiver.close()


@pytest.mark.usefixtures("clean")
def test_spans_and_metrics_reach_a_collector_at_the_latest_when_it_stops(collector: Collector) -> None:
    telemetry.start("example", TelemetrySettings(otlp_endpoint=f"{collector.url}/"))
    with telemetry.appending("case-1", "exported", "id-1"):
        pass
    telemetry.set_lag("exported", 12)
    telemetry.count_consumed("exported", "reported", 5)
    telemetry.stop()
    assert collector.spans() == ["send case.{case_id}.{event}.{n}"]
    metrics = collector.last_metrics()
    (seconds,) = [
        point
        for point in metrics["whistle_append_duration_seconds"].histogram.data_points
        if point.attributes[0].value.string_value == "exported"
    ]
    assert seconds.count == sum(seconds.bucket_counts) == 1
    assert len(seconds.bucket_counts) == len(seconds.explicit_bounds) + 1
    assert 0 < seconds.sum < 1
    assert 12 in [point.as_double for point in metrics["whistle_lag_events"].gauge.data_points]
    consumed = metrics["whistle_consumed_events_total"].sum
    assert consumed.is_monotonic
    assert 5 in [point.as_double for point in consumed.data_points]
    if sys.platform == "linux":
        assert "process_resident_memory_bytes" in metrics
