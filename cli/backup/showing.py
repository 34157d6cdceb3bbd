"""How far it is, on a terminal."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from cli.backup.checking import OnStep

STEPS_ZH: Final = {
    "checking": "校验",
    "writing": "写入",
    "copying": "复制",
    "pictures": "图片",
    "comparing": "核对",
    "carrying": "结转",
}


@contextmanager
def progress(out: Console) -> Generator[OnStep]:
    """A bar for the step that is under way, with its rate and the time left; nothing but on a terminal."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        _Rate(),
        TimeRemainingColumn(),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )
    with bar:
        tasks = dict[str, TaskID]()

        def on_step(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(f"{step} · {STEPS_ZH[step]}", total=of)
            bar.update(tasks[step], completed=done, total=of)

        yield on_step


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """As rich asks for it."""
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")
