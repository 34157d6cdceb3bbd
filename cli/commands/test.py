"""`./whistle test`: everything that must hold, in one command; ends with pytest's own summary line."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final

import typer
from rich.console import Console

from cli.stack.state import repository

CODE: Final = ("libs", "services", "cli", "bench", "deploy", "examples", "tests")
WORKERS: Final = 3
"""Checks, then files of tests, that run at a time."""
CHECKS: Final = (
    ("formatting · 格式", ("ruff", "format", "--check", "--quiet", *CODE)),
    ("lint · 代码检查", ("ruff", "check", "--quiet", *CODE)),
    ("types, mypy · 类型", ("mypy",)),
    ("types, pyright · 类型", ("basedpyright", "--warnings")),
    ("imports · 依赖边界", ("importlinter.cli",)),
)
"""What is checked before the tests, with the words for it: module and arguments."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        "test", help="Run all tests · 运行全部测试", context_settings={"ignore_unknown_options": True}
    )
    def test(
        full: Annotated[bool, typer.Option("--full", help="With the long runs · 包括耗时的测试")] = False,
        only_checks: Annotated[
            bool, typer.Option("--checks", help="Only formatting, lint, types · 仅静态检查")
        ] = False,
        pytest_arguments: Annotated[
            list[str] | None, typer.Argument(help="Handed on to pytest · 传给 pytest 的参数")
        ] = None,
    ) -> None:
        failed = [] if pytest_arguments else _failed_checks()
        status = 0 if only_checks else _run_pytest(full, pytest_arguments or [])
        if failed:  # the tests have scrolled it away
            Console(stderr=True).print(f"failed · 未通过: {', '.join(failed)}")
        raise typer.Exit(status or (1 if failed else 0))


def _failed_checks() -> list[str]:
    """Run the checks, as many at a time as there are workers; the names of those that fail."""
    console, failed = Console(highlight=False), list[str]()
    with ThreadPoolExecutor(WORKERS) as pool:
        for (name, _), (told, seconds) in zip(CHECKS, pool.map(_checked, CHECKS), strict=True):
            if told is None:
                console.print(f"[green]ok[/]   {name}  {seconds:.1f} s")
                continue
            failed.append(name)
            console.print(f"[red]FAIL[/] {name}  {seconds:.1f} s")
            console.print(told, markup=False, soft_wrap=True)
    return failed


def _checked(check: tuple[str, tuple[str, ...]]) -> tuple[str | None, float]:
    """What a check says when it fails, else None; and how long it took, in seconds."""
    _, command = check
    started = time.monotonic()
    done = subprocess.run(
        [*_python(command[0]), *command[1:]],
        cwd=repository(),
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return (done.stdout if done.returncode else None), time.monotonic() - started


def _run_pytest(full: bool, arguments: list[str]) -> int:
    marks = [] if full or arguments else ["-m", "not full"]
    # Half of the time is spent waiting for servers: three files at a time keep two cores busy. A file's tests stay
    # together, since they share a stack. In the order of the folders: files of few but long tests come before the
    # many short ones, which fill up the end.
    spread = ["-n", str(WORKERS), "--dist", "loadfile", "--no-loadscope-reorder"]
    together = [] if arguments else [*spread, "-q"]
    coverage = ["--cov", "--cov-report=term:skip-covered"] if full and not arguments else []  # a tenth slower
    command = [*_python("pytest"), *marks, *together, *coverage, *arguments]
    return subprocess.run(command, cwd=repository(), env=_environment(), check=False).returncode


def _python(module: str) -> list[str]:
    if module == "importlinter.cli":
        return [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    return [sys.executable, "-m", module]


def _environment() -> dict[str, str]:
    # The launcher's -P keeps the working folder off the path; the tests need the checkout on it. Some hundred processes
    # are started: without compiled files each takes a third of its start to compile.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPATH": str(repository()), "PYTHONSAFEPATH": "1"}
