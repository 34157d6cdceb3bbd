"""What the documentation says of the code is there, and what the code has the documentation says."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from bench.plan import Measure
from cli.main import COMMANDS
from cli.stack.state import repository
from libs.events import past, policy, streams
from libs.events.access import keys
from libs.events.asof import CLOCKS_APART_SECONDS_MAX
from libs.events.contracts import EVENTS
from libs.events.contracts.deprecation import ANNOUNCED_DAYS_MIN
from libs.events.contracts.dispatch import EscalationReason, Step
from libs.events.settings import PUBLIC_REQUESTS_PER_MINUTE
from services.dispatch.decider import alarms
from services.dispatch.inbox.faults import BEHIND_DAYS_MAX
from services.dispatch.replaying import PAGE_EVENTS_MAX
from services.intake.attachments.pictures import PIXELS_MAX
from services.intake.attachments.reading import UPLOAD_BYTES_MAX, UPLOAD_SECONDS_MAX
from services.notify.delivery.table import KEPT_DAYS
from services.notify.subscriptions.routes import OWN_MAX
from services.notify.subscriptions.store import SUBSCRIPTIONS_MAX

ROOT = repository()
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("services/*/README.md"),
    ]
)
KIB, MIB = 1_024, 1_024 * 1_024
BOUNDS = (
    ("integrate", f"it waits for {streams.DEPARTMENT_AGE_DAYS_MAX} days"),
    ("integrate", f"comes again after {streams.ACK_WAIT_SECONDS:g} seconds"),
    ("integrate", f"all you were told in the last {streams.DEPARTMENT_AGE_DAYS_MAX} days"),
    ("integrate", f"no older than {BEHIND_DAYS_MAX} days"),
    ("integrate", f"The bus keeps {streams.ACTS_WAITING_MAX:,} acts of yours"),
    ("integrate", f"An act has at most {streams.ACT_BYTES_MAX // KIB} KiB"),
    ("decisions/0018-a-department-reads-again-by-asking", f"at most {PAGE_EVENTS_MAX} events"),
    ("sensors", f"more than {streams.SENSED_WAITING_MAX:,} reports of this sensor wait"),
    ("sensors", f"one is larger than {streams.SENSED_BYTES_MAX // KIB} KiB"),
    ("contracts", f"**{ANNOUNCED_DAYS_MIN} days at least**"),
    ("access", f"times a minute ({PUBLIC_REQUESTS_PER_MINUTE})"),
    ("access", f"refused within {keys.FRESH_SECONDS:g} seconds"),
    ("operate", f"refuse a revoked key within {keys.FRESH_SECONDS:g} s"),
    ("notices", f"{OWN_MAX} subscriptions for each post, {SUBSCRIPTIONS_MAX} in all"),
    ("notices", f"replayed by id for {KEPT_DAYS} days"),
    ("time-travel", f"waits for at most {past.PAST_WAIT_SECONDS_MAX:g} seconds"),
    ("time-travel", f"a fold takes at most {past.PAST_SECONDS_MAX:g}"),
    ("time-travel", f"at most {past.PAST_EVENTS_MAX:,} events"),
    ("time-travel", f"Clocks may differ by {CLOCKS_APART_SECONDS_MAX} seconds"),
    (
        "attachments",
        f"{UPLOAD_BYTES_MAX // MIB} MiB, {PIXELS_MAX // 1_000_000} million pixels, {UPLOAD_SECONDS_MAX:g} seconds",
    ),
    ("attachments", f"and no fact speaks of it | {streams.UPLOAD_AGE_DAYS_MAX} days"),
)
"""What pages say of bounds that others meet, in words made of the code's own numbers."""
LINES_MAX = 25
"""Of what stands beside a service's code: the rest belongs into docs/."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The names by which a page's headings are linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = re.findall(
        r"`((?:bench|cli|deploy|docs|examples|libs|services|tests)/[\w./-]+)`",
        page.read_text(encoding="utf-8"),
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(("page", "words"), BOUNDS)
def test_bounds_are_told_as_they_are(page: str, words: str) -> None:
    assert words in " ".join(text_of(f"docs/{page}.md").split())


def test_the_picture_of_the_architecture_has_every_stream() -> None:
    picture = text_of("docs/architecture.md").partition("```mermaid")[2].partition("```")[0]
    declared = (*streams.log_streams(1), *streams.bus_streams(1), *streams.sensed_streams(1))
    assert [stream.name for stream in declared if stream.name not in picture] == []


@pytest.mark.parametrize("measure", Measure)
def test_the_page_of_the_bench_says_what_is_measured(measure: Measure) -> None:
    page = text_of("docs/bench.md")
    assert f"`{measure}`" in page
    assert f"\n| {measure} | " in page


def test_the_life_of_a_case_names_every_fact() -> None:
    loop = text_of("docs/loop.md")
    assert {event.__name__ for event in EVENTS if f"`{event.__name__}`" not in loop} == set()


def test_the_life_of_a_case_names_every_reason_and_level() -> None:
    reasons = text_of("docs/loop.md").partition("## The clocks")[2]
    rows = [line for line in reasons.splitlines() if line.startswith("| ")]
    escalation = policy.load(ROOT / "policy" / "example").escalation
    for reason in EscalationReason:
        [row] = [row for row in rows if f"`{reason.value}`" in row]
        level = escalation.reasons.get(reason)
        assert level is None or row.rstrip(" |").endswith(level.value), row


def test_the_life_of_a_case_names_every_clock() -> None:
    clocks = text_of("docs/loop.md").partition("## The clocks")[2].partition("## Up")[0]
    named = set(re.findall(r"^\| `([a-z-]+?)(?:-<department>|-1)?`", clocks, re.MULTILINE))
    assert named == {step.value.replace("_", "-") for step in Step} | {"overdue"}
    assert alarms.SOON == "-soon"


@pytest.mark.parametrize("service", ["intake", "dispatch", "evaluation", "notify"])
def test_each_service_says_what_it_is_for(service: str) -> None:
    page = text_of(f"services/{service}/README.md")
    for word in ("**Decides**", "**Hears**", "**Says**", f"python -m services.{service}.main"):
        assert word in page
    assert len(page.splitlines()) <= LINES_MAX
    of_cases = [event for event in EVENTS if not event.TYPE.startswith("whistle.patrol.")]
    said = {event.__name__ for event in of_cases if service == event.SOURCE.removeprefix("/")}
    assert {name for name in said if f"`{name}`" not in page} == set()


def shell_lines() -> list[str]:
    boxes = re.findall(r"```sh\n(.*?)```", text_of("docs/commands.md"), re.DOTALL)
    return [line for box in boxes for line in box.splitlines()]


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_stands_in_the_guide_with_an_example(name: str) -> None:
    guide = text_of("docs/commands.md")
    shown = re.findall(rf"\./whistle {name}\b[^`\n]*", guide)
    assert shown or re.search(rf"`\./whistle up`[^|]*`{name}`", guide), name
    table = [line for line in guide.splitlines() if line.startswith("| `./whistle")]
    assert [line for line in table if f"`./whistle {name}" in line or f"`{name}`" in line], name


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_help_is_in_both_languages(name: str) -> None:
    [(module, help_text)] = [(module, help_text) for each, module, help_text in COMMANDS if each == name]
    assert _is_bilingual(help_text), help_text
    app = typer.Typer()
    app.callback()(lambda: None)
    import_module(module).register(app)
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    silent = [told for told in _helps(name, group.commands[name]) if not _is_bilingual(told[1])]
    assert silent == []


def _helps(name: str, command: object) -> list[tuple[str, str]]:
    assert isinstance(command, TyperCommand | TyperGroup)
    told = [(name, command.help or "")]
    told += [(f"{name} {each.name}", getattr(each, "help", None) or "") for each in command.params]
    if isinstance(command, TyperGroup):
        for child, each in command.commands.items():
            told.extend(_helps(f"{name} {child}", each))
    return told


def _is_bilingual(text: str) -> bool:
    return bool(re.search(r"[一-鿿]", text)) and bool(re.search(r"[A-Za-z]", text))
