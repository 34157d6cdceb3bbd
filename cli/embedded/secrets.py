"""Passwords: one file per user in one folder, as a mounted Kubernetes secret looks too."""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from cli.embedded.errors import SecretMissing

SECRET_BYTES = 24


class Secrets:
    """The passwords in `folder`; call it with a user's name to get one, SecretMissing if there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, user: str) -> str:
        """The password of `user`; raises SecretMissing."""
        path = self.folder / user
        try:
            return path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise SecretMissing(f"no password of {user} in {path} · 缺少 {user} 的密码：{path}") from error

    def make(self, users: Iterable[str]) -> None:
        """Give each user who has none a password of its own; two at once agree on one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        for user in users:
            # A letter in front: nats-server reads a password out of its environment as a value of its
            # configuration, where plain digits would be a number.
            self.make_one(user, lambda: "w" + secrets.token_hex(SECRET_BYTES))

    def make_one(self, user: str, made: Callable[[], str]) -> None:
        """Give this user what *made* gives, if there is nothing yet; the folder is there."""
        if not (self.folder / user).exists():
            self._make(user, made())

    def _make(self, user: str, content: str) -> None:
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=".new-")
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, self.folder / user)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink()
