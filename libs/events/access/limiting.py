"""How often an address may ask: a bound on what the public reaches, kept in the memory of one process.

The generic cell rate algorithm: for each address one moment, at which all that it has used would be paid off.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

WINDOW_SECONDS: Final = 60.0
ADDRESSES_MAX: Final = 100_000
"""So many addresses are remembered; of more, the one that has asked least recently is forgotten."""
IPV6_PREFIX_BITS: Final = 64
"""What one subscriber has of IPv6: its addresses count as one."""

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RateLimit:
    """At most *per_minute* requests in a minute for each address; all of them may come at once."""

    def __init__(self, per_minute: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._each_seconds = WINDOW_SECONDS / per_minute
        self._monotonic = monotonic
        self._paid_at: OrderedDict[str, float] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """0, and the request is counted; or after how many seconds it may come again."""
        now = self._monotonic()
        paid_at = max(self._paid_at.get(address, now), now) + self._each_seconds
        if paid_at - now > WINDOW_SECONDS + self._each_seconds / 2:
            return math.ceil(paid_at - now - WINDOW_SECONDS)
        self._paid_at[address] = paid_at
        self._paid_at.move_to_end(address)
        if len(self._paid_at) > ADDRESSES_MAX:
            self._paid_at.popitem(last=False)
        return 0


def networks(text: str) -> tuple[Network, ...]:
    """The networks in a list such as `10.0.0.0/8, ::1`.  Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_safe(url: str) -> bool:
    """Whether an address keeps what is fetched there from being changed on its way: TLS, or this machine itself."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    )


def client_of(peer: str, forwarded_for: Sequence[str], proxies: Sequence[Network]) -> str:
    """Whose request it is: the peer's, or what trusted proxies say of whom they speak for.

    *forwarded_for* are the values of `X-Forwarded-For`, each a list.  It is read from its end: what a proxy of ours
    has added is true, what stands before it anybody can have written.
    """
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    client = _address(peer)
    while hops and client is not None and any(client in network for network in proxies):
        further = _address(hops.pop())
        if further is None:
            break
        client = further
    return _counted(client) if client else peer


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _counted(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, IPV6_PREFIX_BITS), strict=False))
