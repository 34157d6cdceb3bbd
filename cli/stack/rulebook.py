"""Which rule book a stack has, and its publication.

That loads the event library only when it is called, so that `--help` and `status` need not wait for it.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.stack.state import repository


def example_policy() -> Path:
    """The rule book of the example city."""
    return repository() / "policy" / "example"


def example_in(folder: Path, *, time_lapse: int, **changed: Callable[[Any], Any]) -> Path:
    """A copy of the example city in *folder*, whose time limits run so many times as fast as a clock.

    Further files can be changed by their names: `limits=lambda content: ...`.
    """
    import yaml

    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(example_policy(), folder)

    def with_time_lapse(city: dict[str, Any]) -> dict[str, Any]:
        return city | {"time_lapse": time_lapse}

    for name, change in {"city": with_time_lapse, **changed}.items():
        file = folder / f"{name}.yaml"
        content = change(yaml.safe_load(file.read_text(encoding="utf-8")))
        file.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


async def provision(*, nats_url: str, secret: Callable[[str], str], policy_dir: Path, admin_dsn: str) -> None:
    """Make the streams and consumers, publish the rule book, carry out erasures on record; raises WhistleError."""
    from cli.stack.provision import carry_out_erasures
    from cli.stack.provision import provision as make

    await make(nats_url=nats_url, secret=secret, policy_dir=policy_dir)
    await carry_out_erasures(nats_url=nats_url, secret=secret, admin_dsn=admin_dsn)
