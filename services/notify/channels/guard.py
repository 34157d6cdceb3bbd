"""Which addresses may be called for somebody else: public ones, and the networks that a setting names.

Whoever subscribes says where to send. That must not become a way into our own network: to the metadata of a cloud, to a
database, to this machine. A name is no guard, since whoever owns it can have it mean another address each time it is
asked (DNS rebinding). So it is resolved here, once, and what is connected to is the very address that was looked at.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

import httpcore

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOOKUPS_MAX: Final = 64
"""Names looked up at once: those of a name server that does not answer must not hold up the others."""
EVERYWHERE: Final[tuple[Network, ...]] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_PUBLIC_V6: Final = IPv6Network("2000::/3")
_WRAPPED: Final = (IPv6Network("2001::/23"), IPv6Network("2002::/16"))
"""Tunnels, which end at an IPv4 address that is written into them, and other special purposes (RFC 2928)."""


class AddressRefused(Exception):
    """The name means no address that may be called."""


def networks(listed: str) -> tuple[Network, ...]:
    """The networks of a list with commas.  Raises ValueError."""
    return tuple(ip_network(each.strip()) for each in listed.split(",") if each.strip())


def permitted(address: Address, own: Iterable[Network]) -> bool:
    """Whether this address may be called: it is public, or in one of *own*."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address in network for network in own):
        return True
    if isinstance(address, IPv6Address):
        wrapped = any(address in network for network in _WRAPPED)
        return address in _PUBLIC_V6 and address.is_global and not wrapped
    return address.is_global and not address.is_multicast and not address.is_reserved


class Guard(httpcore.AsyncNetworkBackend):
    """Connects to permitted addresses alone."""

    def __init__(self, own: Sequence[Network], lookups: ThreadPoolExecutor) -> None:
        self._own = own
        self._lookups = lookups
        self._backend: Any = httpcore.AnyIOBackend()  # to a checker of types it may be a stand-in

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address of *host* that answers.  Raises AddressRefused or ConnectError."""
        addresses = await self.addresses_of(host, port)
        for number, address in enumerate(addresses, 1):
            try:
                stream: httpcore.AsyncNetworkStream = await self._backend.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses):
                    raise
            else:
                return stream
        raise AssertionError("there is at least one address")

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 - the same for every backend
        timeout: float | None = None,  # noqa: ARG002 - the same
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - the same
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused("no receiver is a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def addresses_of(self, host: str, port: int) -> list[Address]:
        """The addresses of *host* that may be called.  Raises AddressRefused, or ConnectError for no name."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._lookups, _looked_up, host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"the name cannot be resolved: {error.strerror}") from error
        addresses = [address for address in found if permitted(address, self._own)]
        if not addresses:
            raise AddressRefused("the name means no public address")
        return addresses


@asynccontextmanager
async def guarded(own: Sequence[Network]) -> AsyncGenerator[Guard]:
    """A guard with threads of its own to look names up in."""
    lookups = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="lookup")
    try:
        yield Guard(own, lookups)
    finally:
        lookups.shutdown(wait=False, cancel_futures=True)


def _looked_up(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # A zone (`fe80::1%eth0`) belongs to link-local addresses alone, which are refused with or without.
    return list(dict.fromkeys(ip_address(str(each[4][0]).partition("%")[0]) for each in found))
