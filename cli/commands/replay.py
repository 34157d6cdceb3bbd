"""`./whistle replay`: play history to a room, where a new system or a training takes it."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

import typer

from cli.departments.keyring import load
from cli.embedded.rooms import player_user
from cli.output import JsonOption, UsageError, console, print_json, quiet_logs
from cli.replaying.choosing import SUBJECT_DEFAULT, Selection, matcher
from cli.replaying.errors import ReplayRefused
from cli.replaying.pace import RATE_MAX, RATE_MAX_DEFAULT, Pace, parse_speed
from cli.replaying.player import Player, State
from cli.replaying.room import Room
from cli.replaying.showing import shown
from cli.replaying.starts import Said, in_city, parse_point, parse_start
from cli.replaying.steering import Steering
from cli.stack.state import Stack
from cli.stopping import EXIT_INTERRUPTED, until_told_to_stop
from cli.wholelog import whole_log
from libs.events.history import WholeLog
from libs.events.jetstream import JetStream, connected
from libs.events.log import opened
from libs.events.starting import NothingThere, OfCase, first_position, last_position, recorded_at_position
from libs.events.subjects import room_in, token

READER: Final = "replayer"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be played, to whom, how fast."""

    start: Said
    end: int | datetime | date | None
    subject: str
    room: str
    speed: float | None
    rate_max: float
    anew: bool


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", help="Play history to a room of its own · 回放历史事件")(replay)


def replay(  # noqa: PLR0913, PLR0917 - each is an option of the command
    to_subject: Annotated[
        str,
        typer.Option(
            metavar="replay.ROOM.>", help="the room that it is played to: ./whistle room · 目标房间"
        ),
    ],
    from_: Annotated[
        str, typer.Option("--from", metavar="WHERE", help="position, time, date or case · 起点")
    ] = "1",
    to: Annotated[
        str | None, typer.Option(metavar="WHERE", help="position, time or date; default: all there is · 终点")
    ] = None,
    subject: Annotated[
        str, typer.Option(help="which events: `case.*.assigned.>` · 事件主题")
    ] = SUBJECT_DEFAULT,
    speed: Annotated[str, typer.Option(help="1x as it was, 10x, 0.5x, or max · 倍速")] = "1x",
    rate_max: Annotated[
        float, typer.Option(min=0.01, max=RATE_MAX, help="events a second at most · 每秒上限")
    ] = RATE_MAX_DEFAULT,
    anew: Annotated[
        bool, typer.Option("--anew", help="from its beginning; discards what waits in the room · 重新开始")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Play history to a room of its own; run again, it goes on where it stopped · 回放历史事件.

    The space bar pauses and goes on. A script stops the process by SIGTSTP and lets it go on by SIGCONT.
    """
    quiet_logs()
    try:
        asked = Asked(
            start=_read("--from", parse_start, from_),
            end=_read("--to", parse_point, to) if to else None,
            subject=_read("--subject", _checked_subject, subject),
            room=_read("--to-subject", room_in, to_subject),
            speed=_read("--speed", parse_speed, speed),
            rate_max=rate_max,
            anew=anew,
        )
    except _Wrong as error:
        raise typer.BadParameter(str(error.__cause__), param_hint=str(error)) from error
    try:
        report = asyncio.run(until_told_to_stop(_replay(Stack.load(), asked)))
    except asyncio.CancelledError:
        typer.echo("stopped; the same command goes on · 已停止，再次执行同一命令即可继续", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if as_json:
        print_json(report)
    else:
        _print(report)


class _Wrong(Exception):
    """The text names the option, the cause says what is wrong."""


def _read(option: str, parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except (UsageError, ValueError) as error:
        raise _Wrong(option) from error


def _checked_subject(text: str) -> str:
    matcher(text)
    return text


async def _replay(stack: Stack, asked: Asked) -> dict[str, Any]:
    encoded = token(asked.room)
    if asked.room not in load(stack.keyring).rooms:
        raise ReplayRefused(f"no room {asked.room}: ./whistle room add {asked.room} · 没有房间 {asked.room}")
    async with AsyncExitStack() as connections:

        async def signed_in(user: str) -> JetStream:
            password = stack.secret(user)
            client = await connections.enter_async_context(
                connected(stack.nats_url, user=user, password=password)
            )
            return JetStream(client)

        history = whole_log(stack, await signed_in(READER), READER)
        selection = await _selection(history, asked)
        room = Room(await signed_in(player_user(encoded)), asked.room, stack.stream_replicas)
        before = await room.open(selection, anew=asked.anew)
        state = State(selection, events=before, before=before)
        pace, steering, out = Pace(asked.speed, asked.rate_max), Steering(), console(stderr=True)
        ends = await recorded_at_position(history, selection.last)
        with steering.by_keyboard() as has_keyboard:
            if has_keyboard:
                out.print(
                    "space pauses and goes on, Ctrl-C stops · 空格键暂停或继续，Ctrl-C 停止", markup=False
                )
            async with shown(state, pace, ends, out):
                await Player(state, room, asked.room, pace, steering).play(history)
        return _report(asked, state, await room.waiting())


async def _selection(history: WholeLog, asked: Asked) -> Selection:
    """Where what was said lies in the log as it is now.  Raises ReplayRefused."""
    start = await in_city(history.jetstream, asked.start)
    end = None if asked.end is None else await in_city(history.jetstream, asked.end)
    assert not isinstance(end, OfCase), "no case is an end"
    for moment in (start, end):
        if isinstance(moment, datetime) and moment > datetime.now(UTC):
            raise ReplayRefused(f"{moment.isoformat()} lies in the future · 时间在未来")
    async with opened(history.jetstream.client) as log:
        newest = await log.last_position()
    try:
        first = await first_position(history, start, newest)
        last = newest if end is None else await last_position(history, end, newest)
    except NothingThere as error:
        raise ReplayRefused(f"{error} · 事件日志中没有此起止点") from error
    if first > last:
        raise ReplayRefused(
            f"nothing to play: it would begin at position {first:,} and end at {last:,}"
            f" · 没有可回放的内容：起点 {first:,} 在终点 {last:,} 之后"
        )
    return Selection(first, last, asked.subject)


def _report(asked: Asked, state: State, waiting: int) -> dict[str, Any]:
    return {
        "room": asked.room,
        "from": state.selection.first,
        "to": state.selection.last,
        "subject": state.selection.subject,
        "events": state.events,
        "played_before": state.before,
        "waiting": waiting,
    }


def _print(report: dict[str, Any]) -> None:
    played = report["events"] - report["played_before"]
    out = console()
    out.print(
        f"played {played:,} events to room {report['room']}, positions {report['from']:,} to {report['to']:,}"
        f" · 已回放 {played:,} 条事件",
        markup=False,
    )
    if report["played_before"]:
        out.print(
            f"{report['played_before']:,} were played before; --anew plays all once more · 此前已回放，--anew 重新回放",
            markup=False,
        )
    if report["waiting"]:
        out.print(
            f"{report['waiting']:,} wait there to be taken · 尚有 {report['waiting']:,} 条待取", markup=False
        )
