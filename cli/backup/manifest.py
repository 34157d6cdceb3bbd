"""What a backup says that it holds; it is written last, so a backup is whole or none."""

from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from libs.events.errors import BackupRefused
from libs.events.storage import FileStore

NAME: Final = "backup.json"
FORMAT: Final = "whistle-backup/1"


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SaidTree(_Said):
    """One stream: its events up to a signed checkpoint, which stands beside them."""

    stream: str
    size: int = Field(ge=0)


class SaidList(_Said):
    """A file with one JSON document a line, named by its own digest."""

    file: str
    entries: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    """Of all that the entries stand for."""


class Manifest(_Said):
    """The newest backup at a place."""

    format: Literal["whistle-backup/1"] = FORMAT
    made_at: AwareDatetime
    trees: tuple[SaidTree, ...]
    pictures: SaidList | None = None
    """Those that facts name; None where none were reached yet."""
    pictures_at: AwareDatetime | None = None
    """When they were looked at."""
    buckets: dict[str, SaidList] = Field(default_factory=dict)
    """By the name of the bucket."""


async def manifest_in(store: FileStore) -> Manifest | None:
    """What stands there; None where no backup was made.  Raises BackupRefused for what cannot be read."""
    content = await store.get(NAME)
    if content is None:
        return None
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "as a whole"
        raise BackupRefused(
            f"{NAME} is no list of a backup ({where}: {first['msg']}): it was cut or changed · 备份清单已损坏"
        ) from error
