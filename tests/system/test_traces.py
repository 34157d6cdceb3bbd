"""One case's way, from report to closure, read out of the exported spans alone."""

from collections.abc import Generator

import httpx
import pytest

from cli.stack.state import Stack
from tests.support.collector import Collector, ExportedSpan, collecting
from tests.support.signing import Signing
from tests.support.stack import eventually, running

PRODUCER, CONSUMER = 4, 5  # SpanKind of the OTLP protocol
TEMPLATE = "case.{case_id}.{event}.{n}"
ROUTES = {
    "reported": "/cases",
    "filed": "/cases",
    "accepted": "/departments/{department}/cases/{case_id}/accept",
    "handled": "/departments/{department}/cases/{case_id}/handle",
    "closed": "/cases/{case_id}/verify",
}
"""By what each of these facts was asked for."""
PROCESSED = {("dispatch", "filed"), ("notify", "reported"), ("notify", "assigned"), ("notify", "closed")}
"""Of some facts, who took them."""


@pytest.fixture(scope="module")
def collector() -> Generator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(collector: Collector) -> Generator[Stack]:
    with running(settings={"WHISTLE_OTLP_ENDPOINT": collector.url}) as stack:
        yield stack


async def _whole_life_of_a_case(stack: Stack) -> str:
    report = {"category": "1401", "description": "水管破裂", "place": {"community": "liuyuan"}}
    async with httpx.AsyncClient(auth=Signing(stack), timeout=60) as http:
        answer = await http.post(f"{stack.service_url('intake')}/cases", json=report)
        case_id = str(answer.raise_for_status().json()["case_id"])
        act = f"{stack.service_url('dispatch')}/departments/water/cases/{case_id}"

        async def accepted() -> bool:
            return (await http.post(f"{act}/accept", json={})).status_code == 200

        async def closed() -> bool:
            case = await http.get(f"{stack.service_url('evaluation')}/cases/{case_id}")
            return case.status_code == 200 and case.json()["closed_at"] is not None

        await eventually(accepted)
        done = {"note": "done", "photos": ["https://photos.example.org/after.jpg"]}
        (await http.post(f"{act}/handle", json=done)).raise_for_status()
        verify = f"{stack.service_url('evaluation')}/cases/{case_id}/verify"
        (await http.post(verify, json={"by": "specialist:liuyuan"})).raise_for_status()
        await eventually(closed)
    return case_id


async def test_a_case_can_be_followed_from_report_to_closure(traced: Stack, collector: Collector) -> None:
    case_id = await _whole_life_of_a_case(traced)

    def of_case() -> list[ExportedSpan]:
        return [span for span in collector.spans() if span.attributes.get("whistle.case_id") == case_id]

    async def all_arrived() -> bool:
        """Each service sends its spans at moments of its own, those of a request after those of what it did."""
        there = {span.span_id for span in collector.spans()}
        sent = {s.attributes["whistle.event"]: s.parent_id for s in of_case() if s.kind == PRODUCER}
        taken = {(s.service, s.attributes["whistle.event"]) for s in of_case() if s.kind == CONSUMER}
        wanted = ROUTES.keys() | {"assigned"}
        return wanted <= sent.keys() and taken >= PROCESSED and {sent[event] for event in wanted} <= there

    await eventually(all_arrived)
    spans = of_case()

    def sent(event: str) -> ExportedSpan:
        [span] = [s for s in spans if s.kind == PRODUCER and s.attributes["whistle.event"] == event]
        return span

    def processed(service: str, event: str, cause: ExportedSpan) -> ExportedSpan:
        [span] = [
            s
            for s in spans
            if s.kind == CONSUMER and s.service == service and s.attributes["whistle.event"] == event
        ]
        assert cause.span_id in span.links, f"{service} does not link to the send of {event}"
        assert span.parent_id == "", "a consumer links to what it consumes, it is no child of it"
        return span

    taken = {(service, event): processed(service, event, sent(event)) for service, event in PROCESSED}
    # Intake reports and files within one request; the assignment is done inside dispatch's reaction to it.
    assert taken["dispatch", "filed"].span_id == sent("assigned").parent_id
    requests = {span.span_id: span for span in collector.spans()}
    for event, route in ROUTES.items():
        assert requests[sent(event).parent_id].attributes["http.route"] == route


async def test_spans_follow_the_messaging_conventions(traced: Stack, collector: Collector) -> None:
    case_id = await _whole_life_of_a_case(traced)

    def of_case() -> list[ExportedSpan]:
        return [span for span in collector.spans() if span.attributes.get("whistle.case_id") == case_id]

    async def closed_arrived() -> bool:
        return any(s.attributes["whistle.event"] == "closed" and s.kind == CONSUMER for s in of_case())

    await eventually(closed_arrived)
    for span in of_case():
        assert span.attributes["messaging.system"] == "nats"
        assert span.attributes["messaging.destination.template"] == TEMPLATE
        assert span.name == f"{span.attributes['messaging.operation.name']} {TEMPLATE}"
        assert case_id not in span.name, "names of spans stay few"
