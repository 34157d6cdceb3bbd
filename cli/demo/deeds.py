"""What people did, each deed with its case: the system's own figures are held against it."""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from typing import NamedTuple


class Deed(NamedTuple):
    """An act that the system confirmed as new."""

    name: str
    """Of the fact that it became, such as `handled`."""
    case_id: str
    department: str
    """Empty where none is named."""


@dataclass(slots=True)
class Deeds:
    """One run's deeds, in order."""

    done: list[Deed] = field(default_factory=list)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often which verb was refused for which reason."""
    again: int = 0
    """How often a department had to ask again."""
    unanswered: int = 0
    """Acts that got no definite answer."""

    def add(self, name: str, case_id: str, department: str | None = None) -> None:
        """Remember one."""
        self.done.append(Deed(name, case_id, department or ""))

    def count(self, name: str, among: Container[str] | None = None) -> Counter[str]:
        """How many of this name, by department; only those of the cases in *among* if given."""
        return Counter(
            deed.department
            for deed in self.done
            if deed.name == name and (among is None or deed.case_id in among)
        )

    def cases(self, name: str) -> set[str]:
        """The cases to which it was done."""
        return {deed.case_id for deed in self.done if deed.name == name}
