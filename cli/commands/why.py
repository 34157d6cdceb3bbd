"""`./whistle why CASE`: each decision with the rules that it went by, the facts that it saw, and the same once more."""

import asyncio
from typing import Annotated, Final

import typer

from cli.asof import case_and_end, zone_of
from cli.output import JsonOption, UsageError, case_id_of, console, harmless, print_json, quiet_logs
from cli.stack.state import Stack
from cli.story import Narrator
from cli.why.again import again, rules_of
from cli.why.decisions import Decision, decisions_of
from cli.why.rules import Verdict
from cli.why.telling import Explained, document, lines
from libs.events import policy
from libs.events.errors import NotProvisioned, RuleBookInvalid
from libs.events.jetstream import JetStream, connected
from libs.events.log import History, Log, opened
from libs.events.policy import RuleBook

USER: Final = "auditor"
EXIT_UNKNOWN: Final = 1
EXIT_DIFFERENT: Final = 4
"""Something was decided that would come out otherwise now."""
SOUND: Final = frozenset({Verdict.SAME, Verdict.NOT_DECIDED})


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("why", help="Why each decision came out as it did · 决定的依据")(why)


def why(
    case: Annotated[
        str,
        typer.Argument(
            help="case id, tracking number, or SYSTEM/KEY of an import · 案件编号、查询码或导入编号"
        ),
    ],
    event: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="only the decision with event N of the case · 只看第 N 条记录"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Why each decision came out as it did, and whether it would again · 决定的依据与重算."""
    quiet_logs()
    try:
        case_id = case_id_of(case)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error
    history, explained = asyncio.run(_explained(Stack.load(), case_id, event))
    if not history.entries:
        typer.echo(f"whistle: the log has no case {case} ({case_id}) · 没有此案件", err=True)
        raise typer.Exit(EXIT_UNKNOWN)
    if not explained:
        raise typer.BadParameter(
            f"the case has {history.version} events · 该案件共 {history.version} 条记录", param_hint="--event"
        )
    if as_json:
        print_json(document(history, explained))
    else:
        _print(history, explained)
    if any(each.again.verdict not in SOUND for each in explained):
        raise typer.Exit(EXIT_DIFFERENT)


async def _explained(stack: Stack, case_id: str, event: int | None) -> tuple[History, list[Explained]]:
    async with (
        connected(stack.nats_url, user=USER, password=stack.secret(USER)) as client,
        opened(client) as log,
    ):
        history, _ = await case_and_end(log, case_id)
        books = _Books(JetStream(client))
        wanted = [
            each
            for each in decisions_of(history)
            if event is None or event in {entry.version for entry in each.entries}
        ]
        return history, [await _explain(await _with_others(each, log), books) for each in wanted]


async def _with_others(decision: Decision, log: Log) -> Decision:
    """The decision with the cases that it looked at, as they stood before it."""
    position = decision.entries[0].sequence - 1
    others = {
        case_id: await log.load(case_id, up_to=position)
        for case_id in decision.other_cases()
        if not decision.stated_elsewhere
    }
    return Decision(decision.before, decision.entries, others)


async def _explain(decision: Decision, books: "_Books") -> Explained:
    book, no_book = await books.of(decision.envelope.policyversion)
    return Explained(decision, rules_of(decision, book), again(decision, book), book, no_book)


class _Books:
    """The rule books that decisions name, each read once."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream
        self._read: dict[str, tuple[RuleBook | None, str | None]] = {}

    async def of(self, version: str | None) -> tuple[RuleBook | None, str | None]:
        """The book, or why there is none.  Raises LogUnavailable."""
        if version is None:
            return None, None
        if version not in self._read:
            try:
                self._read[version] = (await policy.at_version(self._jetstream, version), None)
            except (NotProvisioned, RuleBookInvalid) as error:
                self._read[version] = (None, str(error))
        return self._read[version]


def _print(history: History, explained: list[Explained]) -> None:
    out, zone = console(), zone_of(history)
    out.print(f"case · 案件 [bold]{history.case_id}[/]\n")
    for each in explained:
        narrator = Narrator(each.book, zone)
        for line in lines(each, history, narrator, zone):
            out.print(harmless(line), markup=False, soft_wrap=True)
