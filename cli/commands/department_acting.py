"""`./whistle department act`: what a department does with a case, sent for good or asked for and answered at once."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.commands.department_signing import CodeArgument, SeedOption, UrlOption, speaking_for
from cli.output import JsonOption, UsageError, case_id_of, console, print_json, quiet_logs
from libs.events.errors import AskRefused

EXIT_REFUSED = 1


def act(  # noqa: PLR0913, PLR0917 - each is an option of the command
    code: CodeArgument,
    verb: Annotated[str, typer.Argument(help="accept, decline, report-in, progress, extend, handle · 操作")],
    case: Annotated[str, typer.Argument(help="case id, tracking number, or SYSTEM/KEY · 案件")],
    data: Annotated[str, typer.Option(help="what is said with it, as JSON · 内容")] = "{}",
    act_id: Annotated[
        str | None, typer.Option("--id", help="of the act, to send it again · 操作编号", show_default=False)
    ] = None,
    at_once: Annotated[
        bool, typer.Option("--ask", help="ask, and show the answer; nothing is kept · 立即答复")
    ] = False,
    seed: SeedOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sent for good: the bus keeps it until it is done or refused, which `tail` shows · 以部门身份办理案件."""
    quiet_logs()
    if at_once and act_id is not None:
        raise typer.BadParameter("what is asked has no id · 立即答复无操作编号", param_hint="--ask, --id")
    said, case_id = _object(data), case_id_of(case)
    if at_once:
        answer = asyncio.run(_ask(code, verb, case_id, said, (seed, url)))
    else:
        answer = asyncio.run(_send(code, verb, case_id, said, act_id, (seed, url)))
    if as_json:
        print_json(answer)
    else:
        console().print(_sentence(answer), markup=False)
    if "error" in answer:
        raise typer.Exit(EXIT_REFUSED)


def _object(data: str) -> dict[str, Any]:
    try:
        said = json.loads(data)
    except ValueError as error:
        raise UsageError(f"--data is not JSON: {error} · --data 不是有效的 JSON") from error
    if not isinstance(said, dict):
        raise UsageError('--data is an object, like \'{"reason": "..."}\' · --data 须为 JSON 对象')
    return said


Place = tuple[Path | None, str | None]


async def _send(
    code: str, verb: str, case_id: str, said: dict[str, Any], act_id: str | None, place: Place
) -> dict[str, Any]:
    async with speaking_for(code, *place) as department:
        receipt = await department.act(verb, case_id, said, act_id=act_id)
    return {"case_id": case_id, "act": receipt.act, "position": receipt.sequence}


async def _ask(code: str, verb: str, case_id: str, said: dict[str, Any], place: Place) -> dict[str, Any]:
    async with speaking_for(code, *place) as department:
        try:
            event_ids = await department.ask(verb, case_id, said)
        except AskRefused as refused:
            wrong = {"field": refused.field, "reason": refused.reason, "reason_zh": refused.reason_zh}
            return {"case_id": case_id, "error": {"code": refused.code, **wrong}}
    return {"case_id": case_id, "event_ids": list(event_ids)}


def _sentence(answer: dict[str, Any]) -> str:
    if "error" in answer:
        wrong = answer["error"]
        return f"refused · 未受理: {wrong['code']}. {wrong['reason']} · {wrong['reason_zh']}"
    if "act" in answer:
        return f"taken · 已接收: {answer['act']}"
    return f"done · 已办理: {', '.join(answer['event_ids']) or 'it was done before · 此前已办理'}"
