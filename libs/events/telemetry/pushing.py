"""Metrics over OTLP: what the registry holds, translated and sent every few seconds."""

import math
import threading
import time
from collections.abc import Iterable
from typing import Final, Protocol

from opentelemetry.sdk.metrics import export as otlp
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from libs.events.telemetry.metrics import REGISTRY

EXPORT_SECONDS_MAX: Final = 3
PUSH_SECONDS: Final = 10.0


class _Exporter(Protocol):
    def export(self, metrics_data: otlp.MetricsData) -> object: ...
    def shutdown(self) -> None: ...


class Push(threading.Thread):
    """Sends all metrics every PUSH_SECONDS, and once more when it is stopped."""

    def __init__(self, endpoint: str, resource: Resource) -> None:
        super().__init__(name="metrics-push", daemon=True)
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

        self._exporter: _Exporter = OTLPMetricExporter(endpoint, timeout=EXPORT_SECONDS_MAX)
        self._resource = resource
        self._since_ns = time.time_ns()
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(PUSH_SECONDS):
            self._exporter.export(_metrics_data(self._resource, self._since_ns))
        self._exporter.export(_metrics_data(self._resource, self._since_ns))
        self._exporter.shutdown()

    def stop(self) -> None:
        self._stopping.set()


def _metrics_data(resource: Resource, since_ns: int) -> otlp.MetricsData:
    now_ns = time.time_ns()
    metrics = [metric for family in REGISTRY.collect() if (metric := _otlp_metric(family, since_ns, now_ns))]
    scope = otlp.ScopeMetrics(InstrumentationScope("whistle"), metrics, "")
    return otlp.MetricsData([otlp.ResourceMetrics(resource, [scope], "")])


def _otlp_metric(family: Metric, since_ns: int, now_ns: int) -> otlp.Metric | None:
    match family.type:
        case "counter":
            points = [_number(sample, since_ns, now_ns) for sample in family.samples]
            data: otlp.Sum | otlp.Gauge | otlp.Histogram = otlp.Sum(
                points, otlp.AggregationTemporality.CUMULATIVE, is_monotonic=True
            )
            name = f"{family.name}_total"
        case "gauge":
            data = otlp.Gauge([_number(sample, since_ns, now_ns) for sample in family.samples])
            name = family.name
        case "histogram":
            histograms = _histogram_points(family.samples, since_ns, now_ns)
            data, name = otlp.Histogram(histograms, otlp.AggregationTemporality.CUMULATIVE), family.name
        case _:
            return None
    return otlp.Metric(name, family.documentation, "", data) if data.data_points else None


def _number(sample: Sample, since_ns: int, now_ns: int) -> otlp.NumberDataPoint:
    return otlp.NumberDataPoint(sample.labels, since_ns, now_ns, sample.value)


def _histogram_points(samples: Iterable[Sample], since_ns: int, now_ns: int) -> list[otlp.HistogramDataPoint]:
    buckets: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in samples:
        key = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        if sample.name.endswith("_bucket"):
            buckets.setdefault(key, {})[float(sample.labels["le"])] = sample.value
        elif sample.name.endswith("_sum"):
            sums[key] = sample.value
    return [_histogram_point(dict(key), below, sums[key], since_ns, now_ns) for key, below in buckets.items()]


def _histogram_point(
    labels: dict[str, str], below: dict[float, float], total: float, since_ns: int, now_ns: int
) -> otlp.HistogramDataPoint:
    cumulative = [int(count) for count in below.values()]
    counts = [count - before for count, before in zip(cumulative, [0, *cumulative], strict=False)]
    return otlp.HistogramDataPoint(
        attributes=labels,
        start_time_unix_nano=since_ns,
        time_unix_nano=now_ns,
        count=cumulative[-1],
        sum=total,
        bucket_counts=counts,
        explicit_bounds=[bound for bound in below if bound != math.inf],
        min=math.inf,  # not known; this is how the SDK says so
        max=-math.inf,
    )
