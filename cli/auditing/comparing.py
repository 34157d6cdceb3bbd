"""`./whistle audit compare`: the log against the sealed files, read models against the log; nothing is changed."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple

import typer

from cli.auditing.places import STREAMS, StoreOption, archive_of, location_of, store_of
from cli.auditing.telling import progress
from cli.commands.rebuild import Service, follow
from cli.output import JsonOption, UsageError, console, print_json, quiet_logs
from cli.stack.beside import start_beside
from cli.stack.state import Stack
from cli.stopping import EXIT_INTERRUPTED, until_told_to_stop
from libs.events.auditing.walking import Differs
from libs.events.jetstream import JetStream, NotNow, Refused, Unknown, as_library_error, connected
from libs.events.jetstream.reader import Credentials, KeptEvent, read_kept
from libs.events.ledger.archive import Archive
from libs.events.ledger.leaf import Leaf

USER: Final = "auditor"
EXIT_DIFFERS: Final = 1


class Against(StrEnum):
    """What can be compared by itself."""

    LOG = "log"
    EVALUATION = "evaluation"
    DISPATCH = "dispatch"
    INTAKE = "intake"
    NOTIFY = "notify"


class Compared(NamedTuple):
    """One stream, event by event."""

    stream: str
    sealed: int
    in_log: int
    first: int
    """The first that the log still holds; what is before it was compared with nothing."""
    events: int


def compare_(
    what: Annotated[
        list[Against] | None,
        typer.Argument(help="`log`, or read models of a service; default: all · 比对对象"),
    ] = None,
    store: Annotated[str | None, StoreOption] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the log with the sealed files, event by event, and read models with the log, row by row · 比对.

    Needs the running system. Read models are built anew beside the old ones, compared, and thrown away. Exit code 1
    where something differs; the first event that does is named.
    """
    quiet_logs()
    stack, chosen = Stack.load(), what or list(Against)
    streams: list[Compared] = []
    if Against.LOG in chosen:
        streams = _stopped_or(_compare_log(stack, store_location(stack, store)))
    models = [_compare_models(stack, Service(each.value)) for each in chosen if each is not Against.LOG]
    differs = any(report["differs"] for report in models)
    if as_json:
        print_json({"differs": differs, "streams": [each._asdict() for each in streams], "models": models})
    else:
        _tell(streams, models)
    if differs:
        raise typer.Exit(EXIT_DIFFERS)


def store_location(stack: Stack, given: str | None) -> str:
    """Where this stack's ledger seals, unless another place is given."""
    own = stack.home / "ledger"
    return str(own) if given is None and own.is_dir() else location_of(given)


def _stopped_or(work: Any) -> list[Compared]:
    try:
        found: list[Compared] = asyncio.run(until_told_to_stop(work))
    except asyncio.CancelledError:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    return found


async def _compare_log(stack: Stack, location: str) -> list[Compared]:
    store, password, found = store_of(location), stack.secret(USER), list[Compared]()
    async with connected(stack.nats_url, user=USER, password=password) as client:
        jetstream = JetStream(client)
        with progress("compare · 比对", console(stderr=True)) as on_progress:
            for stream in STREAMS:
                if opened := await archive_of(store, stream):
                    credentials = Credentials(USER, password)
                    found.append(await compare_stream(opened[0], jetstream, credentials, on_progress))
    if not found:
        raise UsageError(f"{location}: nothing is sealed there · 尚未封存")
    return found


async def compare_stream(
    archive: Archive,
    jetstream: JetStream,
    credentials: Credentials,
    on_progress: Callable[[str, int, int], None],
) -> Compared:
    """Every sealed event against the log.  Raises Differs, ArchiveBroken, StretchBroken, LogUnavailable."""
    stream = archive.stream
    try:
        state = (await jetstream.api(f"STREAM.INFO.{stream}"))["state"]
    except (NotNow, Unknown, Refused) as error:
        raise as_library_error(error) from error
    first, in_log = max(1, int(state["first_seq"])), int(state["last_seq"])
    if in_log < archive.size:
        raise Differs(stream, "it is sealed, and gone from the log · 已封存，但日志中缺失", in_log + 1)
    async with aclosing(_one_by_one(stream, jetstream, credentials, first, archive.size)) as stored:
        async for part in archive.events(first, archive.size):
            for sealed in part:
                event = await anext(stored, None)
                if event is None or event.sequence != sealed.leaf.sequence:
                    reason = "it is sealed, and gone from the log · 已封存，但日志中缺失"
                    raise Differs(stream, reason, sealed.leaf.sequence, sealed.leaf.subject)
                if reason := difference(sealed.leaf, event):
                    raise Differs(stream, reason, sealed.leaf.sequence, sealed.leaf.subject)
            on_progress(stream, part[-1].leaf.sequence, archive.size)
    return Compared(stream, archive.size, in_log, first, max(0, archive.size - first + 1))


async def _one_by_one(
    stream: str, jetstream: JetStream, credentials: Credentials, start: int, stop: int
) -> AsyncGenerator[KeptEvent]:
    if start > stop:
        return
    reading = read_kept(jetstream, credentials, stream=stream, start=start, stop=stop)
    async with aclosing(reading) as lists:
        async for events in lists:
            for event in events:
                yield event


def difference(sealed: Leaf, stored: KeptEvent) -> str:
    """What of an event is another in the log than in the sealed file; empty where nothing is."""
    if sealed.subject.encode() != stored.subject:
        return f"its subject is {stored.subject.decode(errors='replace')} in the log · 主题不同"
    if sealed.event_id.encode() != stored.event_id:
        return f"its id is {stored.event_id.decode(errors='replace')} in the log, not {sealed.event_id} · ID 不同"
    if sealed.payload != stored.payload:
        pairs = zip(sealed.payload, stored.payload, strict=False)
        at = next((at for at, (one, other) in enumerate(pairs) if one != other), None)
        at = min(len(sealed.payload), len(stored.payload)) if at is None else at
        return f"its content differs from byte {at + 1} on · 内容自第 {at + 1} 字节起不同"
    return ""


def _compare_models(stack: Stack, service: Service) -> dict[str, Any]:
    with start_beside(stack, service, f"services.{service}.rebuild", ["--compare"]) as process:
        return follow(process, service, console(stderr=True))


def _tell(streams: list[Compared], models: list[dict[str, Any]]) -> None:
    for each in streams:
        typer.echo(
            f"{each.stream}: {each.events:,} events are in the log as they are sealed · 日志与封存文件一致"
        )
        if each.first > 1:
            typer.echo(
                f"  the log begins with {each.first:,}: those before are in the sealed files alone · 仅存于封存文件"
            )
        if each.in_log > each.sealed:
            typer.echo(f"  not yet sealed: {each.in_log - each.sealed:,} · 尚未封存")
    for report in models:
        tables = ", ".join(table["name"] for table in report["tables"])
        if not report["differs"]:
            typer.echo(f"{report['service']}: {tables} follow from the log · 读模型与日志一致")
            continue
        for table in report["tables"]:
            if table["different_cases"]:
                cases = ", ".join(table["examples"])
                typer.echo(
                    f"{report['service']}.{table['name']}: {table['different_cases']:,} cases differ from what the log"
                    f" says: {cases} · 与日志不一致"
                )
        if report["cases_parked_anew"]:
            cases = ", ".join(report["parked_examples"])
            typer.echo(
                f"{report['service']}: {report['cases_parked_anew']:,} cases cannot be made from the log: {cases}"
                " · 无法重建"
            )
