"""Writes the table of `docs/access.md` out of `libs/events/access/roles.py`.

python -m tests.contract.render_access
"""

from typing import Final

from cli.stack.state import repository
from libs.events.access.roles import NAMES, TABLE, Right, Role

PAGE: Final = repository() / "docs" / "access.md"
BEGIN: Final = (
    "<!-- table: written by `python -m tests.contract.render_access` out of libs/events/access/roles.py -->\n"
)
END: Final = "<!-- end of table -->"
SHORT: Final = {
    Role.ANYBODY: "anybody 任何人",
    Role.GRID_WORKER: "grid worker 网格员",
    Role.SPECIALIST: "specialist 专员",
    Role.CENTRE: "centre 中心",
    Role.COMMUNITY: "community 社区",
    Role.DEPARTMENT: "department 部门",
    Role.AUDITOR: "auditor 审计",
    Role.ADMINISTRATOR: "administrator 管理员",
    Role.INTEGRATOR: "integrator 外部系统",
}


def table() -> str:
    """The table, and what its roles are."""
    assert set(SHORT) == set(NAMES)
    head = ("| verb | what | 操作 | who · 身份 |", "| --- | --- | --- | --- |")
    return "\n".join((*head, *(_row(verb, right) for verb, right in TABLE.items()), ""))


def _row(verb: str, right: Right) -> str:
    who = ", ".join(SHORT[role] for role in Role if role in right.roles)
    note = f" ({right.note}; {right.note_zh})" if right.note else ""
    return f"| `{verb}` | {right.what} | {right.what_zh} | {who}{note} |"


def page() -> str:
    """The whole page with the table as it must be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
