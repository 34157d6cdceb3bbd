"""`./whistle adopt`: imported cases that are still open become live work, with clocks."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cli.client import NotAnswered, ask
from cli.output import Column, JsonOption, console, print_json, quiet_logs, table
from cli.stack.state import Stack
from libs.events import policy
from libs.events.jetstream import JetStream, connected
from libs.events.policy import RuleBook

USER: Final = "auditor"
BY: Final = "operator:cli"
PAGE_CASES: Final = 500
ADOPTS_AT_ONCE: Final = 8
REJECTS_KEPT_MAX: Final = 10_000
"""So many rejected cases are named; all are counted."""
OTHER_SYSTEM: Final = "other_system"
MAP_BYTES_MAX: Final = 1024 * 1024


class CategoryMap(BaseModel):
    """What the names of another system are in this city's rule book."""

    model_config = ConfigDict(extra="forbid")

    categories: dict[str, str] = {}
    communities: dict[str, str] = {}


@dataclass
class Tally:
    """What became of the cases."""

    adopted: int = 0
    again: int = 0
    """Adopted before: the list was a moment behind."""
    elsewhere: int = 0
    """Imported from another system than the one asked for."""
    rejected: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    rejects: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def reject(self, case: Mapping[str, Any], reason: str) -> None:
        """One case cannot be adopted."""
        self.rejected += 1
        self.reasons[case["category"], reason] += 1
        if len(self.rejects) < REJECTS_KEPT_MAX:
            self.rejects.append({"case_id": case["case_id"], "category": case["category"], "reason": reason})


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("adopt", help="Take imported open cases into live work · 导入案件转入办理")(adopt)


def adopt(
    system: Annotated[
        str | None, typer.Option(metavar="NAME", help="only cases imported from it · 来源系统")
    ] = None,
    category_map: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML: categories and communities, theirs to ours · 类别对照表"),
    ] = None,
    by: Annotated[str, typer.Option(metavar="POST", help="who decides it · 操作岗位")] = BY,
    as_json: JsonOption = False,
) -> None:
    """Take imported cases that are still open into live work, once · 导入的未结案件转入办理."""
    quiet_logs()
    stack = Stack.load()
    book = asyncio.run(_rule_book(stack))
    known = _category_map(category_map, book) if category_map else CategoryMap()
    tally = Tally()
    with ThreadPoolExecutor(ADOPTS_AT_ONCE) as workers:
        for page in _pages(stack):
            adopt_one = partial(_adopted, stack, book=book, known=known, asked=(system, by))
            outcomes = workers.map(adopt_one, page)
            for case, outcome in zip(page, outcomes, strict=True):
                _count(tally, case, outcome)
            _show_progress(tally)
    if as_json:
        print_json({name: value for name, value in vars(tally).items() if name != "reasons"})
    else:
        _print(tally)


async def _rule_book(stack: Stack) -> RuleBook:
    async with connected(stack.nats_url, user=USER, password=stack.secret(USER)) as client:
        return await policy.current(JetStream(client))


def _category_map(path: Path, book: RuleBook) -> CategoryMap:
    """What the file says.  Raises typer.BadParameter with the file and the reason."""
    try:
        with path.open(encoding="utf-8") as file:
            said = CategoryMap.model_validate(yaml.safe_load(file.read(MAP_BYTES_MAX)) or {})
    except OSError as error:
        raise _wrong(path, error.strerror or "cannot be read") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _wrong(path, str(error)) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise _wrong(path, f"{'.'.join(map(str, first['loc'])) or 'as a whole'}: {first['msg']}") from error
    for what, names, codes in (
        ("categories", said.categories, {category.code for category in book.categories}),
        ("communities", said.communities, book.communities()),
    ):
        if unknown := sorted(set(names.values()) - codes):
            raise _wrong(path, f"{what}: the rule book does not have {', '.join(unknown)} · 规则手册中没有")
    return said


def _wrong(path: Path, reason: str) -> typer.BadParameter:
    return typer.BadParameter(f"{path}: {reason}", param_hint="--category-map")


def _pages(stack: Stack) -> Iterator[list[dict[str, Any]]]:
    after = ""
    while True:
        query = {"limit": str(PAGE_CASES)} | ({"after": after} if after else {})
        page: list[dict[str, Any]] = ask(stack.service_url("evaluation"), "/imported", query=query, as_=BY)
        if page:
            yield page
        if len(page) < PAGE_CASES:
            return
        after = page[-1]["case_id"]


def _adopted(
    stack: Stack,
    case: Mapping[str, Any],
    book: RuleBook,
    known: CategoryMap,
    asked: tuple[str | None, str],
) -> bool | NotAnswered | None:
    """Whether it is adopted now, or had been; why not; None when its category has no name here.

    Raises NotAnswered when intake is away: then it is begun again from the start, and adds nothing twice.
    """
    name = str(case["category"])
    category = known.categories.get(name, name)
    if book.category(category) is None:
        return None
    system, by = asked
    community = known.communities.get(case["community"] or "")
    body = {"by": by, "category": category, "system": system, "community": community}
    try:
        done = ask(stack.service_url("intake"), f"/cases/{case['case_id']}/adopt", body=body, as_=by)
    except NotAnswered as refused:
        if refused.code is None or refused.code in {"log_unavailable", "unavailable", "not_valid"}:
            raise
        return refused
    return bool(done["event_ids"])


def _count(tally: Tally, case: Mapping[str, Any], outcome: bool | NotAnswered | None) -> None:
    if outcome is None:
        tally.reject(case, "the rule book has no such category: name it in --category-map · 类别无对应")
    elif isinstance(outcome, NotAnswered):
        if outcome.code == OTHER_SYSTEM:
            tally.elsewhere += 1
        else:
            tally.reject(case, str(outcome))
    elif outcome:
        tally.adopted += 1
    else:
        tally.again += 1


def _show_progress(tally: Tally) -> None:
    done = tally.adopted + tally.again + tally.elsewhere + tally.rejected
    screen = console(stderr=True)
    if screen.is_terminal:
        screen.print(
            f"{done:,} looked at, {tally.adopted:,} adopted · 已处理 {done:,}，转入 {tally.adopted:,}"
        )


def _print(tally: Tally) -> None:
    out = console()
    out.print(f"adopted · 转入办理         {tally.adopted:,}")
    out.print(f"adopted before · 此前已转入 {tally.again:,}")
    if tally.elsewhere:
        out.print(f"of other systems · 其他来源 {tally.elsewhere:,}")
    out.print(f"rejected · 未转入           {tally.rejected:,}")
    if tally.reasons:
        columns = (Column("category", "类别"), Column("cases", "件数", right=True), Column("why", "原因"))
        rows = [(category, f"{cases:,}", reason) for (category, reason), cases in tally.reasons.most_common()]
        out.print(table("", columns, rows))
