"""A look at a file through its mapping, without writing anything: facts stay for ever, so look first."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from cli.importing.rejects import Rejects
from cli.importing.rows import Reject, Row, RowReader
from cli.importing.source import SourceFile
from services.evaluation import decider as evaluation

VALUES_SHOWN_MAX: Final = 8
COUNTED: Final = ("category", "channel", "department")
VALUES_COUNTED_MAX: Final = 10_000
"""How many different values of a column are told apart; a column with more is none of codes."""


@dataclass(slots=True)
class Findings:
    """What an import of the file would find."""

    rows: int = 0
    open: int = 0
    without_department: int = 0
    rejected: int = 0
    example: Row | None = None
    """The first row that can be taken, as it was understood."""
    values: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in COUNTED})


def look(source: SourceFile, rejects: Rejects) -> Findings:
    """What the rows say; those that cannot be taken go to *rejects*.  Rows of one key are not compared."""
    reader, findings = RowReader(source), Findings()
    for record in source.records():
        findings.rows += 1
        row = _consistent(reader, reader.read(record))
        if isinstance(row, Reject):
            rejects.add(row)
            findings.rejected += 1
        else:
            _count(findings, row)
    return findings


def _consistent(reader: RowReader, row: Row | Reject) -> Row | Reject:
    if isinstance(row, Reject) or row.closed_at is None:
        return row
    command = evaluation.RecordClosed(at=row.closed_at, reported_at=row.reported_at, note="")
    outcome = evaluation.decide(command, evaluation.Open())
    if isinstance(outcome, evaluation.Refusal):
        return Reject(row.line, reader.column_of("closed_at"), row.closed_at.isoformat(), outcome.value)
    return row


def _count(findings: Findings, row: Row) -> None:
    findings.example = findings.example or row
    findings.open += row.closed_at is None
    findings.without_department += row.department is None
    for name, counter in findings.values.items():
        value = getattr(row, name)
        if value is not None and (value in counter or len(counter) < VALUES_COUNTED_MAX):
            counter[value] += 1
