"""Settings of intake."""

from pydantic import Field, SecretStr

from libs.events.settings import ServiceSettings
from libs.events.vault.settings import SealingSettings
from services.intake.attachments.settings import AttachmentSettings
from services.intake.open311.settings import Open311Settings


class IntakeSettings(ServiceSettings, SealingSettings, AttachmentSettings, Open311Settings):
    """Intake needs its database to look for near-duplicates; reports are taken without it, too."""

    tracking_secret: SecretStr = Field(
        min_length=16, description="makes a repeated request get the same tracking number; keep it for ever"
    )
    bus_user: str = Field(
        default="", description="intake's user in the account BUS; empty takes no reports of sensors"
    )
    bus_password: SecretStr = Field(default=SecretStr(""), description="the password of that user")
