"""Asking others over HTTP with httpx, in a process whose loop is uvloop's."""

from typing import Final

import httpx

_RESET: Final = "getpeername"


class Transport(httpx.AsyncHTTPTransport):
    """httpx's own, but for who is reset while they connect: that is a ConnectError on uvloop, too.

    uvloop has no socket any more for such a connection, of which AnyIO asks whose it is.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer.  Raises httpx.TransportError."""
        try:
            return await super().handle_async_request(request)
        except AttributeError as error:
            if error.name != _RESET:
                raise
            raise httpx.ConnectError("the connection was reset", request=request) from error
