"""`./whistle notices CASE`: who was told what, by which way, how often it was tried, and what came of it.

The case's records are read from `NOTICES` itself; what was given up, of all cases, is asked of notify.
"""

import asyncio
import json
from typing import Annotated, Any, Final

import typer

from cli.client import ask
from cli.output import (
    Column,
    JsonOption,
    UsageError,
    case_id_of,
    console,
    print_json,
    quiet_logs,
    table,
)
from cli.stack.state import Stack
from libs.events.jetstream import JetStream, connected
from libs.events.subjects import NOTICES

READER: Final = "auditor"
RECORDS_MAX: Final = 10_000
"""Of one case: more are not read."""
COLUMNS: Final = (
    Column("time", "时间", wraps=False),
    Column("channel", "渠道", wraps=False),
    Column("to", "对象"),
    Column("about", "事项", wraps=False),
    Column("attempts", "次数", right=True),
    Column("outcome", "结果"),
)
DEAD_COLUMNS: Final = (
    Column("notice", "通知", wraps=False),
    Column("case", "案件", wraps=False),
    *COLUMNS[1:],
)
STATES_ZH: Final = {
    "told": "已显示",
    "sent": "已发送",
    "due": "待重试",
    "dead": "已放弃",
    "dropped": "未发送",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("notices", help="Who was told what, and whether it arrived · 查看通知及送达情况")(notices)


def notices(
    case: Annotated[
        str | None,
        typer.Argument(metavar="[CASE]", help="case id, tracking number, or SYSTEM/KEY of an import · 案件"),
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="of all cases, those given up · 已放弃的通知")] = False,
    as_json: JsonOption = False,
) -> None:
    """Who was told what, and whether it arrived · 查看通知及送达情况."""
    quiet_logs()
    if dead == (case is not None):
        raise typer.BadParameter("name a case, or give --dead · 请指定案件或 --dead", param_hint="CASE")
    stack = Stack.load()
    if case is None:
        _show_dead(stack, as_json=as_json)
        return
    try:
        case_id = case_id_of(case)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error
    found = told_of(asyncio.run(_records(stack, case_id)))
    if as_json:
        print_json(found)
        return
    console().print(table("", COLUMNS, [_row(each) for each in found]))


def told_of(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each notice, in the order of their first records, with every attempt."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        data = record["data"]
        if data["channel"] == "screen":
            found[record["id"]] = {
                "id": record["id"],
                "channel": "screen",
                "recipient": data["recipient"],
                "about": data["occasion"],
                "state": "told",
                "attempts": [{"at": record["time"], "state": "told"}],
                "text": data["text"],
                "text_zh": data["text_zh"],
            }
            continue
        first = {"id": data["notice_id"], "channel": data["channel"], "recipient": data["receiver"]}
        notice = found.setdefault(data["notice_id"], {**first, "about": data["fact"], "attempts": []})
        attempt = {key: data[key] for key in ("attempt", "state", "status", "reason", "again_at")}
        notice["attempts"].append({"at": record["time"], **attempt})
        notice["state"] = data["state"]
    return list(found.values())


async def _records(stack: Stack, case_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with connected(stack.nats_url, user=READER, password=stack.secret(READER)) as client:
        jetstream, position = JetStream(client), 1
        while len(found) < RECORDS_MAX:
            stored = await jetstream.next_on_leader(NOTICES, f"notice.{case_id}.>", position)
            if stored is None:
                break
            found.append(json.loads(stored.payload))
            position = stored.sequence + 1
    return found


def _row(notice: dict[str, Any]) -> list[str]:
    last = notice["attempts"][-1]
    return [
        str(last["at"])[:19].replace("T", " "),
        notice["channel"],
        notice["recipient"],
        notice["about"],
        str(len(notice["attempts"])),
        _outcome(notice["state"], last.get("status"), last.get("reason")),
    ]


def _outcome(state: str, status: int | None, reason: str | None) -> str:
    more = ", ".join(str(each) for each in (status, reason) if each)
    return f"{state} · {STATES_ZH[state]}{f' ({more})' if more else ''}"


def _show_dead(stack: Stack, *, as_json: bool) -> None:
    found: list[dict[str, Any]] = ask(
        stack.service_url("notify"), "/notices", as_="operator:city", home=stack.home
    )
    if as_json:
        print_json(found)
        return
    rows = [
        [
            *(each["id"], each["case_id"], each["channel"], each["receiver"], each["fact"]),
            *(str(each["attempts"]), _outcome(each["state"], each["status"], each["reason"])),
        ]
        for each in found
    ]
    console().print(table("", DEAD_COLUMNS, rows))
