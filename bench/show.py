"""A run's results on the terminal."""

from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import Figure, Target
from bench.run import Results


def show(results: Results, console: Console) -> None:
    """Print the machine, every figure and every target."""
    console.print(_machine_line(results.machine), style="dim", highlight=False)
    console.print(_figures(results.figures))
    if results.targets:
        console.print(_targets(results.targets))


def _machine_line(machine: dict[str, Any]) -> str:
    versions = machine["versions"]
    return (
        f"{machine['cores']} cores, {machine['processor']}, {machine['memory_gib']} GiB, kernel {machine['kernel']};"
        f" a synced write of 4 KiB takes {machine['disk_sync_ms_p50']} ms; load before: {machine['load_before']};"
        f" Python {versions['python']}, nats-server {versions['nats-server']}, PostgreSQL {versions['postgresql']}"
    )


def _figures(figures: tuple[Figure, ...]) -> Table:
    table = Table(title="Bench · 性能测试", title_justify="left")
    table.add_column("what · 项目")
    table.add_column("median · 中位数", justify="right")
    table.add_column("min to max · 范围", justify="right")
    table.add_column("unit · 单位")
    for _, group in groupby(figures, key=lambda figure: figure.measure):
        for figure in group:
            name = f"{figure.name} [dim]({figure.note})[/]" if figure.note else figure.name
            spread = ""
            if len(figure.values) > 1:
                spread = f"{shown(min(figure.values))} to {shown(max(figure.values))}"
            style = "dim" if figure.name.startswith("eventsourcing") else ""
            table.add_row(name, shown(figure.median), spread, figure.unit, style=style)
        table.add_section()
    return table


def _targets(targets: tuple[Target, ...]) -> Table:
    table = Table(title="Targets · 目标", title_justify="left")
    table.add_column("what · 项目")
    table.add_column("measured · 实测", justify="right")
    table.add_column("target · 目标", justify="right")
    table.add_column("reached · 达到")
    for target in targets:
        table.add_row(
            target.text,
            f"{shown(target.measured)} {target.unit}",
            f"{target.comparison} {shown(target.bound)}",
            "[green]yes · 是[/]" if target.reached else "[red]no · 否[/]",
        )
    return table


def shown(value: float) -> str:
    """A number with as many digits as mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
