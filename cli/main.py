"""The command line: `./whistle COMMAND`.

A command's module is loaded only when that command is called, so that a start is fast: the others stand here
with their help alone.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module

import typer

EXIT_FAILED = 1
EXIT_NOT_RUNNING = 3
EXIT_INTERRUPTED = 130

# Name, module with `register(app)`, help: in the order of --help.
COMMANDS = (
    ("demo", "cli.commands.demo", "Play a day of an example city, live · 演示示例城市的一天"),
    ("up", "cli.stack.commands", "Start the servers and services in the background · 在后台启动全部服务"),
    ("down", "cli.stack.commands", "Stop everything that `up` started · 停止全部服务"),
    ("status", "cli.stack.commands", "Show what runs, where, and whether it is ready · 查看运行状态"),
    ("import", "cli.commands.import_", "Bring in a city's cases from a CSV file · 从 CSV 导入案件"),
    ("adopt", "cli.commands.adopt", "Take imported open cases into live work · 导入案件转入办理"),
    ("report", "cli.commands.report", "Report a case · 上报案件"),
    ("show", "cli.commands.show", "Print a case's history · 查看案件经过"),
    ("diff", "cli.commands.diff", "What happened to a case between two moments · 案件前后对比"),
    ("why", "cli.commands.why", "Why each decision came out as it did · 决定的依据"),
    ("queue", "cli.commands.queue", "What waits for whom, now or as it was · 查看待办"),
    ("watch", "cli.commands.watch", "Follow the log live · 实时查看事件"),
    ("scoreboard", "cli.commands.scoreboard", "Who is on time, and who is late · 办理情况排名"),
    ("appraisal", "cli.commands.appraisal", "Who is appraised how, and why · 考核评价"),
    ("patrol", "cli.commands.patrol", "Patrols of grid workers · 网格巡查"),
    ("replay", "cli.commands.replay", "Play history to a room of its own · 回放历史事件"),
    ("room", "cli.commands.room", "Rooms that history is played to · 回放房间"),
    ("rebuild", "cli.commands.rebuild", "Build read models anew from the log · 由事件重建读模型"),
    ("parked", "cli.commands.parked", "Cases that a service could not go on with · 被搁置的案件"),
    ("backup", "cli.commands.backup", "Copy all that a restore needs · 备份"),
    ("restore", "cli.commands.restore", "Fill an empty log from a backup · 从备份恢复"),
    ("books", "cli.commands.books", "Let the log go of what is sealed · 结账"),
    ("timers", "cli.commands.timers", "Deadlines that stand on the server · 时限定时"),
    ("department", "cli.commands.department", "Departments' keys on the bus · 部门接入密钥"),
    ("audit", "cli.commands.audit", "Proof that nothing was changed · 审计：导出、验证、证明、比对"),
    (
        "person",
        "cli.commands.person",
        "What is held of somebody: find, hand out, erase · 个人信息的查询、提供与删除",
    ),
    ("retention", "cli.commands.retention", "Who is kept no longer, by rule · 个人信息保存期限"),
    ("hold", "cli.commands.hold", "Who must be kept until it is lifted · 个人信息法定保留"),
    ("vault", "cli.commands.vault", "Keys of personal data · 个人信息密钥"),
    ("sensor", "cli.commands.sensor", "Sensors that report over MQTT · 传感器接入"),
    ("notices", "cli.commands.notices", "Who was told what, and whether it arrived · 查看通知及送达情况"),
    ("policy", "cli.commands.policy", "Check the rule book, put it in force · 检查、发布规则"),
    ("key", "cli.commands.key", "API keys for other systems · 外部系统的 API 密钥"),
    ("token", "cli.commands.token", "A token to try the interfaces with · 生成试用令牌"),
    ("simulate", "cli.commands.simulate", "A town on the real services, every promise checked · 模拟全流程"),
    ("test", "cli.commands.test", "Run all tests · 运行全部测试"),
    ("bench", "cli.commands.bench", "Measure speed on this machine · 性能测试"),
)

# What deployments call and people need not see.
HIDDEN = (("provision", "cli.commands.provision"),)


def main() -> None:
    """Run the command line; ends the process."""
    try:
        _application(sys.argv[1:])(prog_name="whistle")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        if os.environ.get("WHISTLE_DEBUG") == "1":
            raise
        sys.exit(_explain(error))


def _application(arguments: list[str]) -> typer.Typer:
    app = typer.Typer(
        name="whistle",
        help="From a report to its resolution, every step on record · 街乡吹哨，部门报到，全程留痕",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(lambda: None)  # also with one command loaded, it has to be named
    called = next((word for word in arguments if not word.startswith("-")), "")
    for name, module, help_text in COMMANDS:
        if name == called:
            _load(app, name, module)
        else:
            app.command(name, help=help_text)(_not_loaded)
    for name, module in HIDDEN:
        if name == called:
            _load(app, name, module)
    return app


def _load(app: typer.Typer, name: str, module: str) -> None:
    """Register the one command, or group of commands, `name` of a module that may hold several."""
    register: Callable[[typer.Typer], None] = import_module(module).register
    of_module = typer.Typer()
    register(of_module)
    for command in of_module.registered_commands:
        if (command.name or getattr(command.callback, "__name__", "")) == name:
            command.name = name
            app.registered_commands.append(command)
            return
    for group in of_module.registered_groups:
        if group.name == name:
            app.registered_groups.append(group)
            return
    raise LookupError(f"{module} registers no command {name}")


def _not_loaded() -> None:
    """Stands for a command that was not called."""


def _explain(error: Exception) -> int:
    """Say in one line what went wrong; gives the exit code."""
    from cli.embedded.errors import NotRunning

    text = str(error) or type(error).__name__
    if type(error).__module__ == "builtins":
        text = f"{type(error).__name__}: {text}"
    print(f"whistle: {text}", file=sys.stderr)
    return EXIT_NOT_RUNNING if isinstance(error, NotRunning) else EXIT_FAILED
