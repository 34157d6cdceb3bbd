"""Starting and stopping: what `start` makes, `stop` sends off and ends."""

import os
import socket
import threading
from functools import partial
from typing import Final

import prometheus_client as prometheus
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased

from libs.events.settings import TelemetrySettings
from libs.events.telemetry.logs import configure_logs
from libs.events.telemetry.metrics import REGISTRY
from libs.events.telemetry.pushing import EXPORT_SECONDS_MAX, Push
from libs.events.telemetry.traces import TRACING, FollowLinks

STOP_SECONDS_MAX: Final = 5.0
SPANS_WAITING_MAX: Final = 8_192
SPANS_PER_EXPORT_MAX: Final = 512


class _Running:
    """What `start` made; everything is None while telemetry is off."""

    provider: TracerProvider | None = None
    push: Push | None = None
    process: prometheus.ProcessCollector | None = None


_RUNNING: Final = _Running()


def start(service: str, settings: TelemetrySettings, *, spans_to: SpanExporter | None = None) -> None:
    """Set up logs, and traces and metrics when a collector is named; once, before anything else.

    *spans_to* gets every span as soon as it ends, beside the collector: for tests.
    """
    assert _RUNNING.process is None, "telemetry is started once"
    configure_logs(service, settings)
    _RUNNING.process = prometheus.ProcessCollector(registry=REGISTRY)
    instance = f"{socket.gethostname()}-{os.getpid()}"
    resource = Resource.create(
        {"service.name": service, "service.namespace": "whistle", "service.instance.id": instance}
    )
    processors: list[SpanProcessor] = [SimpleSpanProcessor(spans_to)] if spans_to else []
    if settings.otlp_endpoint:
        processors.append(_collector(settings.otlp_endpoint))
        _RUNNING.push = Push(f"{settings.otlp_endpoint}/v1/metrics", resource)
        _RUNNING.push.start()
    if processors:
        sampler = ParentBased(FollowLinks(settings.trace_sample_ratio))
        _RUNNING.provider = TracerProvider(sampler, resource, shutdown_on_exit=False)
        for processor in processors:
            _RUNNING.provider.add_span_processor(processor)
        TRACING.tracer = _RUNNING.provider.get_tracer("whistle")


def stop() -> None:
    """Send what has not been sent yet; blocks for at most STOP_SECONDS_MAX, so call it last."""
    TRACING.tracer = None
    # Exporters wait 30 s for a collector that is away, whatever they are told; a thread can be left behind.
    flush = threading.Thread(target=partial(_flush, _RUNNING.push, _RUNNING.provider), daemon=True)
    flush.start()
    flush.join(STOP_SECONDS_MAX)
    if _RUNNING.process is not None:
        REGISTRY.unregister(_RUNNING.process)
    _RUNNING.provider = _RUNNING.push = _RUNNING.process = None


def _flush(push: Push | None, provider: TracerProvider | None) -> None:
    if push is not None:
        push.stop()
    if provider is not None:
        provider.shutdown()
    if push is not None:
        push.join()


def _collector(endpoint: str) -> SpanProcessor:
    # Only who names a collector pays for the exporter's imports.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    exporter = OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=EXPORT_SECONDS_MAX)
    return BatchSpanProcessor(
        exporter, max_queue_size=SPANS_WAITING_MAX, max_export_batch_size=SPANS_PER_EXPORT_MAX
    )
