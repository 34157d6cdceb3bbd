"""A rule book's folder: reads it, and says everything that is wrong with file, line and reason."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from pydantic import TypeAdapter, ValidationError

from libs.events.calendar import Calendar
from libs.events.errors import RuleBookInvalid
from libs.events.policy.book import Inconsistent, RuleBook
from libs.events.policy.consistency import Problem, problems
from libs.events.policy.holidays_of import CalendarFile
from libs.events.reasons import reason_zh

PARTS: Final = {
    "city": "city.yaml",
    "grids": "grids.geojson",
    "calendar": "calendar.yaml",
    "departments": "departments.yaml",
    "time_limits": "limits.yaml",
    "categories": "categories.yaml",
    "responsibility": "responsibility.yaml",
    "escalation": "escalation.yaml",
    "evaluation": "evaluation.yaml",
    "fastlane": "fastlane.yaml",
    "patrol": "patrol.yaml",
    "alerts": "alerts.yaml",
    "appraisal": "appraisal.yaml",
    "retention": "retention.yaml",
}
FILES: Final = tuple(PARTS.values())
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built
DOCUMENT_BYTES_MAX: Final = 900_000
"""A message of the log has at most a megabyte, with its headers and envelope."""
KNOWN_DAYS_MIN: Final = 60
"""With fewer days of announced holidays left, the check warns."""


class Mistake(NamedTuple):
    """One thing that is wrong in a file."""

    file: Path
    line: int | None
    where: str
    """The place in the file, such as `3.limits`."""
    text: str
    text_zh: str

    def __str__(self) -> str:
        line = f":{self.line}" if self.line else ""
        return f"{self.file}{line}: {self.where}: {self.text}"


class Examined(NamedTuple):
    """What a folder holds: a rule book, or mistakes; and what should be looked at."""

    book: RuleBook | None
    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def load(folder: Path) -> RuleBook:
    """The rule book in *folder*.  Raises RuleBookInvalid with file, line and reason of everything that is wrong."""
    examined = examine(folder)
    if examined.book is None:
        raise RuleBookInvalid("\n".join(map(str, examined.mistakes)))
    return examined.book


def examine(folder: Path, today: date | None = None) -> Examined:
    """The rule book in *folder*, or all that is wrong with it; with *today* also what will soon be."""
    mistakes: list[Mistake] = []
    sources: dict[str, _Source] = {}
    for part, name in PARTS.items():
        read = _read(folder / name)
        if isinstance(read, Mistake):
            mistakes.append(read)
        else:
            sources[part] = read
            mistakes.extend(read.repeated_keys())
    parts = {part: source.value for part, source in sources.items()}
    parts["grids"] = _features(parts.get("grids"))
    unresolved = _resolve_calendar(parts)
    try:
        book = RuleBook.model_validate(parts)
    except ValidationError as error:
        wrong = [*unresolved, *_flat(error)]
        # Whoever mends a rule book wants to hear of everything, also of what sound parts contradict.
        if not any(isinstance(_cause(each), Inconsistent) for each in error.errors()):
            wrong.extend(_Wrong(*problem) for problem in _problems_of_sound(parts, wrong))
        mistakes.extend(_explained(folder, sources, wrong))
        return Examined(None, tuple(mistakes), ())
    if unresolved or mistakes:
        mistakes.extend(_explained(folder, sources, unresolved))
        return Examined(None, tuple(mistakes), ())
    size = len(book.model_dump_json().encode())
    if size > DOCUMENT_BYTES_MAX:
        text = (
            f"the rule book has {size} bytes, {DOCUMENT_BYTES_MAX} at most: draw the grids with fewer points"
        )
        text_zh = f"规则文档 {size} 字节，超过上限 {DOCUMENT_BYTES_MAX}：请减少网格边界点"
        return Examined(None, (Mistake(folder / PARTS["grids"], None, "as a whole", text, text_zh),), ())
    return Examined(book, (), tuple(_soon_unknown(folder, book.calendar, today) if today else ()))


class _Source(NamedTuple):
    """What a file holds, and where in it."""

    path: Path
    text: str
    value: Any

    def line_of(self, where: Iterable[str | int]) -> int | None:
        """The line of what stands there, or of the nearest thing around it."""
        node = _composed(self.text)
        line = None
        for step in where:
            if isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
                if found is None:
                    break
                key, node = found
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                break
        return line or (node.start_mark.line + 1 if node is not None else 1)

    def repeated_keys(self) -> Iterator[Mistake]:
        """Keys that stand twice in one mapping: the parser would take the last and say nothing."""
        if self.path.suffix != ".yaml":
            return
        nodes = [node] if (node := _composed(self.text)) is not None else []
        while nodes:
            node = nodes.pop()
            if isinstance(node, yaml.SequenceNode):
                nodes.extend(node.value)
            elif isinstance(node, yaml.MappingNode):
                seen: set[str] = set()
                for key, value in node.value:
                    nodes.append(value)
                    if str(key.value) in seen:
                        line = key.start_mark.line + 1
                        text, text_zh = f"{key.value} stands twice", f"{key.value} 重复"
                        yield Mistake(self.path, line, str(key.value), text, text_zh)
                    seen.add(str(key.value))


def _composed(text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:  # JSON that is no YAML
        return None
    return node


def _read(path: Path) -> _Source | Mistake:
    whole = "as a whole"
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".geojson":
            return _Source(path, text, loads(text))
        return _Source(path, text, yaml.load(text, Loader=_Loader))  # noqa: S506 - a safe one
    except OSError as error:
        return Mistake(path, None, whole, error.strerror or str(error), "无法读取此文件")
    except UnicodeDecodeError as error:
        return Mistake(path, None, whole, f"is no text in UTF-8: {error}", "不是 UTF-8 文本")
    except JSONDecodeError as error:
        return Mistake(path, error.lineno, whole, f"is no JSON: {error.msg}", "不是有效的 JSON")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        return Mistake(path, mark.line + 1 if mark else None, whole, str(error), "不是有效的 YAML")


def _features(value: Any) -> Any:
    """The features of a GeoJSON collection; anything else is left for the model to refuse."""
    if isinstance(value, dict) and value.get("type") == "FeatureCollection":
        return value.get("features")
    return value


class _Wrong(NamedTuple):
    """What is wrong, by its place in the rule book."""

    path: tuple[str | int, ...]
    text: str
    text_zh: str


def _resolve_calendar(parts: dict[str, Any]) -> list[_Wrong]:
    """Puts explicit dates in place of the calendar's file; what is wrong with it."""
    city = parts.get("city")
    zone = city.get("time_zone") if isinstance(city, Mapping) else None
    if "calendar" not in parts:
        return []
    try:
        parts["calendar"] = CalendarFile.model_validate(parts["calendar"]).resolved(str(zone))
    except ValidationError as error:
        parts["calendar"] = _SOME_CALENDAR | {"time_zone": zone}
        return _flat(error, "calendar")
    return []


_SOME_CALENDAR: Final = {"working_hours": ["00:00-24:00"], "working_weekdays": ["mon"]}


def _flat(error: ValidationError, *before: str) -> list[_Wrong]:
    found: list[_Wrong] = []
    for each in error.errors():
        cause = _cause(each)
        if isinstance(cause, Inconsistent):
            found.extend(_Wrong(*problem) for problem in cause.problems)
        else:
            text = str(each["msg"]).removeprefix("Value error, ")
            found.append(_Wrong((*before, *each["loc"]), text, reason_zh(each)))
    return found


def _cause(error: Mapping[str, Any]) -> object:
    return (error.get("ctx") or {}).get("error")


def _problems_of_sound(parts: Mapping[str, Any], wrong: Iterable[_Wrong]) -> Iterator[Problem]:
    unsound = {each.path[0] for each in wrong if each.path} | {"calendar"}
    sound: dict[str, Any] = {}
    for part in PARTS:
        if part in parts and part not in unsound:
            kind: Any = RuleBook.model_fields[part].annotation
            sound[part] = TypeAdapter[Any](kind).validate_python(parts[part])
    return problems(RuleBook.model_construct(**sound), sound.keys())


def _explained(folder: Path, sources: Mapping[str, _Source], found: Iterable[_Wrong]) -> Iterator[Mistake]:
    for wrong in found:
        part, *where = wrong.path or ("city",)
        source = sources.get(str(part))
        if source is None:  # a missing file was named before
            continue
        if part == "calendar" and where == ["time_zone"]:
            continue  # of the city, where it was named
        line = source.line_of(("features", *where) if part == "grids" else where)
        shown = ".".join(map(str, where)) or "as a whole"
        yield Mistake(folder / PARTS[str(part)], line, shown, wrong.text, wrong.text_zh)


def _soon_unknown(folder: Path, calendar: Calendar, today: date) -> Iterator[Mistake]:
    if calendar.known_until is None or calendar.known_until - today >= timedelta(days=KNOWN_DAYS_MIN):
        return
    yield Mistake(
        folder / PARTS["calendar"],
        None,
        "holidays",
        f"holidays and make-up working days are known until {calendar.known_until} only: add the next year's",
        f"节假日与调休安排仅至 {calendar.known_until}：请补充下一年",
    )
