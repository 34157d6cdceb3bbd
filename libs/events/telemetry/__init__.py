"""Logs, traces and metrics: the one folder that knows structlog, OpenTelemetry and prometheus_client.

Nothing here costs much when it is not used: without an OTLP endpoint no span object is ever made, and a
measured append adds between 1 and 2 microseconds (16 where it is traced).  Metrics are kept by
prometheus_client, whose histogram takes a seventh of the time of OpenTelemetry's (0.6 against 4.8
microseconds for a value), and are translated when they are pushed; the names are the same on both ways.

| metric | type | labels | what |
| --- | --- | --- | --- |
| `whistle_append_duration_seconds` | histogram | event | from asking the log to its definite answer |
| `whistle_append_errors_total` | counter | event, error | appends that ended with an exception |
| `whistle_conflicts_total` | counter | | appends that lost a race and were decided again |
| `whistle_reaction_duration_seconds` | histogram | service, event | handling one event, commands included |
| `whistle_consumed_events_total` | counter | service, event | events taken from the log |
| `whistle_parkings_total` | counter | service | how often a case was parked |
| `whistle_duplicate_lookups_skipped_total` | counter | | reports for which no near-duplicate could be looked for |
| `whistle_notice_attempts_total` | counter | channel, outcome | attempts to deliver: sent, due, dead, dropped |
| `whistle_parked_cases` | gauge | service | cases that wait for a person |
| `whistle_lag_events` | gauge | service | events between the service and the end of the log |
| `whistle_projected_events_total` | counter | service | events applied to read models |
| `whistle_projection_batch_duration_seconds` | histogram | service | one transaction of the read models |
| `whistle_ask_duration_seconds` | histogram | verb | a request to `ask.>`, from the side that asks |
| `whistle_answer_duration_seconds` | histogram | verb | a request to `ask.>`, from the side that answers |
| `whistle_http_request_duration_seconds` | histogram | route, method, status | a request over HTTP |
| `whistle_ledger_sealed_events_total` | counter | stream | events that the ledger put into sealed files |
| `whistle_ledger_size_events` | gauge | stream | events in the tree |
| `whistle_ledger_lag_events` | gauge | stream | events of the log that are not sealed |
| `whistle_ledger_checkpoint_timestamp_seconds` | gauge | stream | when the newest checkpoint was signed |
| `whistle_ledger_refused` | gauge | stream | 1 while the ledger refuses to seal: a person must look |
| `whistle_ledger_witness_behind_events` | gauge | stream, witness | signed events that it has not cosigned |
| `whistle_ledger_witness_contradicts` | gauge | stream, witness | 1 while it says that history was forked |
| `process_*` | | | memory, processor time and open files of this process |

Spans follow OpenTelemetry's conventions for messaging: `send` (PRODUCER) when a fact is appended, `process`
(CONSUMER) when a service reacts, linked to the `send`, since one fact has many readers and none is its child.
A case's way through the services is found by these links.  Spans and lines carry case ids and never what a
person said: addresses of requests, texts of exceptions and fields of PERSONAL_FIELDS stay out.
"""

from libs.events.telemetry.http import UNTRACED_PATHS, HttpTelemetry
from libs.events.telemetry.logs import HIDDEN, hide_personal_data
from libs.events.telemetry.metrics import (
    count_conflict,
    count_consumed,
    count_lookup_skipped,
    count_notice_attempt,
    count_parked,
    metrics_text,
    observe_projection_batch,
    set_lag,
    set_ledger_checkpoint,
    set_ledger_lag,
    set_ledger_refused,
    set_ledger_size,
    set_ledger_witness_behind,
    set_ledger_witness_contradicts,
    set_parked,
)
from libs.events.telemetry.running import start, stop
from libs.events.telemetry.traces import AppendSpan, Work, appending, asking, processing, serving

__all__ = [
    "HIDDEN",
    "UNTRACED_PATHS",
    "AppendSpan",
    "HttpTelemetry",
    "Work",
    "appending",
    "asking",
    "count_conflict",
    "count_consumed",
    "count_lookup_skipped",
    "count_notice_attempt",
    "count_parked",
    "hide_personal_data",
    "metrics_text",
    "observe_projection_batch",
    "processing",
    "serving",
    "set_lag",
    "set_ledger_checkpoint",
    "set_ledger_lag",
    "set_ledger_refused",
    "set_ledger_size",
    "set_ledger_witness_behind",
    "set_ledger_witness_contradicts",
    "set_parked",
    "start",
    "stop",
]
