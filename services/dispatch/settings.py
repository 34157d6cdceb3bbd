"""Settings of dispatch."""

from pydantic import Field, SecretStr

from libs.events.settings import ServiceSettings


class DispatchSettings(ServiceSettings):
    """Dispatch also stands on the bus of the departments."""

    bus_user: str = Field(description="dispatch's user in the account BUS")
    bus_password: SecretStr = Field(description="the password of that user")
