"""Where a subscription may have itself called, as far as its address says; the rest is seen when it is called."""

import re
from ipaddress import ip_address
from typing import Final

import httpx

from services.notify.channels.guard import Network, permitted

_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
SCHEMES: Final = ("https",)
SCHEMES_WITH_HTTP: Final = ("https", "http")


class WrongAddress(ValueError):
    """The address cannot be taken; says why in both languages."""

    def __init__(self, reason: str, reason_zh: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reason_zh = reason_zh


class Address:
    """What is asked of addresses here."""

    def __init__(self, own: tuple[Network, ...], *, http: bool) -> None:
        self._own = own
        self._schemes = SCHEMES_WITH_HTTP if http else SCHEMES

    def checked(self, url: str) -> str:
        """The address in its one spelling.  Raises WrongAddress."""
        try:
            parsed = httpx.URL(url.strip())
        except (httpx.InvalidURL, ValueError) as error:
            raise WrongAddress("This is no web address.", "不是有效的网址。") from error
        if parsed.scheme not in self._schemes:
            raise WrongAddress(f"It must start with {self._schemes[0]}://.", "网址必须以 https:// 开头。")
        if parsed.userinfo or parsed.fragment:
            raise WrongAddress(
                "It must hold no user, password or fragment.", "网址不得含用户名、密码或片段。"
            )
        if not parsed.host or not self._may_be_called(parsed.host):
            raise WrongAddress("It must name a public host.", "网址必须指向公网主机。")
        return str(parsed)

    def _may_be_called(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            # A name: what it means is seen at each call.
            return _HOST.fullmatch(httpx.URL(scheme="https", host=host).raw_host.decode()) is not None
        return permitted(address, self._own)
