"""A supervisor of the servers alone, with roles, streams, consumers and rule book but no service.

python -m tests.support.servers REPORT_DESCRIPTOR < arguments.json
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cli.stack.daemon import main
from cli.stack.databases import prepare_databases
from cli.stack.plan import StackPlan
from cli.stack.rulebook import provision


def plan_without_services(arguments: dict[str, Any]) -> StackPlan:
    """The plan of `whistle up` that starts no service, but makes the roles that services need."""
    home, policy_dir = Path(arguments["home"]), Path(arguments["policy_dir"])

    async def prepare(
        *, nats_url: str, secret: Callable[[str], str], policy_dir: Path, admin_dsn: str
    ) -> None:
        await prepare_databases(admin_dsn, secret, reset_passwords=True)
        await provision(nats_url=nats_url, secret=secret, policy_dir=policy_dir, admin_dsn=admin_dsn)

    plan = StackPlan.from_environment(
        home=home,
        policy_dir=policy_dir,
        provision=prepare,
        asked_ports=arguments["ports"],
    )
    return replace(plan, services=())


if __name__ == "__main__":
    main(plan_without_services)
