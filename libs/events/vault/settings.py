"""How a service reaches the vault: who seals needs no master key, who opens no secret of the index."""

from pathlib import Path

from pydantic import Field, SecretStr

from libs.events.settings import PostgresDsn, Settings


class VaultSettings(Settings):
    """Where the vault is."""

    vault_dsn: PostgresDsn = Field(
        description="postgresql://role:password@host:port/whistle, the role for what the service may do in the vault"
    )


class SealingSettings(VaultSettings):
    """For a service that seals."""

    vault_index_secret: SecretStr = Field(
        min_length=16, description="people are found again with it; keep it for ever"
    )


class OpeningSettings(VaultSettings):
    """For a service that opens."""

    vault_master_file: Path = Field(
        description="the file with the master key; read again when the key was replaced"
    )
