"""An authority that stamps the time (RFC 3161), made of openssl, with a certificate of its own."""

import asyncio
import subprocess
from pathlib import Path

CONFIG = """
[req]
distinguished_name = name
prompt = no
x509_extensions = stamping
[name]
CN = Time for tests
[stamping]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = no
"""


class Stamper:
    """Its key and certificate lie in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.config = folder / "config"
        self.config.write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01")
        key = [
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            str(folder / "key"),
            "-out",
            str(folder / "certificate"),
        ]
        _openssl("req", "-x509", "-config", str(self.config), *key)
        self.refuses = False

    async def take(self, _: str, body: bytes) -> tuple[int, str, bytes]:
        """Stamp what was sent."""
        if self.refuses:
            return 503, "text/plain", b"not now"
        query, reply = self.folder / "query", self.folder / "reply"
        query.write_bytes(body)
        with_key = ["-inkey", str(self.folder / "key"), "-signer", str(self.folder / "certificate")]
        arguments = ["-config", str(self.config), "-section", "here", "-queryfile", str(query)]
        await asyncio.to_thread(_openssl, "ts", "-reply", *arguments, *with_key, "-out", str(reply))
        return 200, "application/timestamp-reply", reply.read_bytes()

    def verify(self, stamp: Path, text: bytes) -> None:
        """Raises CalledProcessError unless it is a stamp of this text."""
        data = self.folder / "data"
        data.write_bytes(text)
        trusted = ["-CAfile", str(self.folder / "certificate"), "-partial_chain"]
        _openssl("ts", "-verify", "-in", str(stamp), "-data", str(data), *trusted)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
