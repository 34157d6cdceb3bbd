"""The issuer of the embedded default: two small documents on loopback, so that services check tokens as in a city.

Who may read the folder `issuer` of the data folder can make a token for any post, with `./whistle token`; a city has
an OpenID Connect issuer of its own instead (`WHISTLE_OIDC_ISSUER`), and then there is nothing of this.
"""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cli.stack.files import write_atomically

HOST: Final = "127.0.0.1"
KEY_ID: Final = "local"
ALGORITHM: Final = "ES256"
HEAD_BYTES_MAX: Final = 16 * 1024
REQUEST_SECONDS_MAX: Final = 5.0
DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
KEYS_PATH: Final = "/keys"


def key_file(home: Path) -> Path:
    """Where the issuer's private key is kept: a JSON Web Key, readable by its owner only."""
    return home / "issuer" / "key.json"


def make_key(home: Path) -> None:
    """Make the issuer's key if there is none."""
    if key_file(home).exists():
        return
    from joserfc.jwk import ECKey

    key = ECKey.generate_key("P-256", {"kid": KEY_ID, "use": "sig", "alg": ALGORITHM})
    write_atomically(key_file(home), json.dumps(key.as_dict(private=True)))
    key_file(home).parent.chmod(0o700)


class LocalIssuer:
    """Serves the discovery document and the public key."""

    def __init__(self, home: Path, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self._home = home
        self._port = port
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Serve until `stop`.  Raises OSError when the port cannot be had."""
        make_key(self._home)
        private: dict[str, Any] = json.loads(key_file(self._home).read_text(encoding="utf-8"))
        public = {name: value for name, value in private.items() if name != "d"}
        self._documents = {
            DISCOVERY_PATH: {
                "issuer": self.url,
                "jwks_uri": self.url + KEYS_PATH,
                "id_token_signing_alg_values_supported": [ALGORITHM],
            },
            KEYS_PATH: {"keys": [public]},
        }
        self._server = await asyncio.start_server(self._answer, HOST, self._port, limit=HEAD_BYTES_MAX)

    async def stop(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(head.partition(b"\r\n")[0].decode("latin-1")))
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def _response(self, request_line: str) -> bytes:
        method, _, rest = request_line.partition(" ")
        document = self._documents.get(rest.partition(" ")[0]) if method == "GET" else None
        body = json.dumps(document or {}).encode()
        status = "200 OK" if document else "404 Not Found"
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"Connection: close\r\n\r\n" + body
