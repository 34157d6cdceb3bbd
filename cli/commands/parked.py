"""`./whistle parked`: cases that a service could not go on with, and what a person does about them."""

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypedDict

import typer

from cli.client import NotAnswered, ask
from cli.output import (
    Column,
    JsonOption,
    UsageError,
    case_id_of,
    console,
    harmless,
    print_json,
    quiet_logs,
    table,
)
from cli.stack.state import Stack

SERVICES: Final = ("intake", "dispatch", "evaluation", "notify")
NOT_PARKED: Final = "not_parked"
STILL_FAILING: Final = "still_failing"
EXIT_STILL_FAILING: Final = 1
COLUMNS: Final = (
    Column("service", "服务", wraps=False),
    Column("case", "案件", wraps=False),
    Column("event", "事件", right=True, wraps=False),
    Column("since", "搁置时间", wraps=False),
    Column("reason", "原因"),
)

CaseArgument = Annotated[str, typer.Argument(help="case id, tracking number, or SYSTEM/KEY · 案件")]
ServiceOption = Annotated[
    str | None, typer.Option(help="only this one of those that parked it · 仅此服务", show_default=False)
]
AsOption = Annotated[
    str | None,
    typer.Option("--as", help="who does it, a post; default: administrator:<login> · 操作人"),
]


class Where(TypedDict):
    """Who asks, and where the issuer of their token is."""

    as_: str
    home: Path


def register(app: typer.Typer) -> None:
    """Add the command with its parts."""
    group = typer.Typer(no_args_is_help=True, help="Cases that a service could not go on with · 被搁置的案件")
    group.command("list", help="Which cases, where, since when and why · 查看全部")(show_all)
    group.command("show", help="One case, and the event that holds it up · 查看一个案件")(show)
    group.command("retry", help="Take it up where it stopped · 重试")(retry)
    group.command("dismiss", help="Pass over the event that holds it up, for good · 跳过该事件")(dismiss)
    app.add_typer(group, name="parked")


def show_all(as_json: JsonOption = False) -> None:
    """The parked cases of all services, the longest parked first · 查看全部被搁置的案件."""
    quiet_logs()
    stack, post = Stack.load(), _post(None)
    found = [
        {"service": service, **case}
        for service in SERVICES
        for case in ask(stack.service_url(service), "/parked", as_=post, home=stack.home)
    ]
    found.sort(key=lambda case: str(case["parked_at"]))
    if as_json:
        print_json(found)
        return
    rows = [
        [case["service"], case["case_id"], str(case["version"]), case["parked_at"][:19], case["reason"]]
        for case in found
    ]
    console().print(table("", COLUMNS, rows))


def show(case: CaseArgument, service: ServiceOption = None, as_json: JsonOption = False) -> None:
    """Why it waits, and the event at which it does, as it stands in the log · 查看一个被搁置的案件."""
    quiet_logs()
    found = _everywhere(case, service, lambda url, path, where: ask(url, path, **where))
    if as_json:
        print_json(found)
        return
    for name, parked in found.items():
        event = parked["event"] or {}
        lines = (
            f"{name}: {parked['case_id']} waits at its event {parked['version']} · 停在第 {parked['version']} 个事件",
            f"since · 自: {parked['parked_at']}",
            f"reason · 原因: {parked['reason']}",
            f"{event.get('subject', '')} ({event.get('position', '')})\n{event.get('payload', '')}",
        )
        console().print(harmless("\n".join(lines)), markup=False, soft_wrap=True)


def retry(
    case: CaseArgument, service: ServiceOption = None, as_: AsOption = None, as_json: JsonOption = False
) -> None:
    """Once the reason is gone: it goes on where it stopped, in order, up to what fails then, if it does · 重试."""
    quiet_logs()
    found = _everywhere(case, service, _tried_again, as_)
    done = [name for name, failure in found.items() if failure is None]
    if as_json:
        print_json({"services": done})
    elif done:
        console().print(f"taken up · 已重试: {', '.join(done)}", markup=False)
    for name, failure in found.items():
        if failure is not None:
            console(stderr=True).print(harmless(f"{name}: {failure}"), markup=False, soft_wrap=True)
    if len(done) < len(found):
        raise typer.Exit(EXIT_STILL_FAILING)


def _tried_again(url: str, path: str, where: Where) -> NotAnswered | None:
    """Why it fails again, if it does: the other services that parked the case are tried all the same."""
    try:
        ask(url, f"{path}/retry", body={}, **where)
    except NotAnswered as error:
        if error.code != STILL_FAILING:
            raise
        return error
    return None


def dismiss(
    case: CaseArgument,
    reason: Annotated[str, typer.Option(help="why nothing is to come of it; it is kept · 理由")],
    service: ServiceOption = None,
    as_: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Nothing comes of the event that holds it up; the others follow in order.  Who and why is kept · 跳过该事件."""
    quiet_logs()
    body = {"reason": reason}
    done = _everywhere(
        case, service, lambda url, path, where: ask(url, f"{path}/dismiss", body=body, **where), as_
    )
    if as_json:
        print_json([{"service": name, **answer} for name, answer in done.items()])
        return
    for name, answer in done.items():
        again = answer["parked_again"]
        then = f"parked again at event {again['version']} · 又停在: {again['reason']}" if again else ""
        console().print(
            harmless(f"{name}: passed over · 已跳过  {then}".rstrip()), markup=False, soft_wrap=True
        )


def _post(as_: str | None) -> str:
    return as_ or f"administrator:{getpass.getuser()}"


def _everywhere(
    case: str, service: str | None, do: Callable[[str, str, Where], Any], as_: str | None = None
) -> dict[str, Any]:
    """What *do* gives at each service that parked the case.  Raises UsageError when none did, or NotAnswered."""
    if service is not None and service not in SERVICES:
        raise UsageError(f"{service}: the services are {', '.join(SERVICES)} · 没有此服务")
    stack, case_id = Stack.load(), case_id_of(case)
    where: Where = {"as_": _post(as_), "home": stack.home}
    found: dict[str, Any] = {}
    for name in [service] if service else SERVICES:
        try:
            found[name] = do(stack.service_url(name), f"/parked/{case_id}", where)
        except NotAnswered as error:
            if error.code != NOT_PARKED:
                raise
    if not found:
        raise UsageError(f"{case_id} is not parked · 该案件没有被搁置")
    return found
