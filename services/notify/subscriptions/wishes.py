"""Where wishes stand, and the links by which somebody without an account changes them."""

import hmac
import secrets
from hashlib import sha256
from typing import Final

from libs.events.ids import CASE_ID_CHARACTERS, case_id_of_tracking, is_case_id, read_tracking_number
from libs.events.keyvalue import KeyValue
from services.notify.deciding.wishes import Wishes

KIND: Final = "wish"
LINKS_KEY: Final = "secret.links"
SECRET_BYTES: Final = 32
PROOF_CHARACTERS: Final = 26
"""Hexadecimal digits: 104 bits."""


class WishStore:
    """The wishes of reporters, by case, in the bucket `KV_RECEIVERS`."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket
        self._secret = b""

    async def of(self, case_id: str) -> Wishes:
        """What the reporter of this case wants.  Raises LogUnavailable or LogRefused."""
        found = await self._bucket.get(f"{KIND}.{case_id}")
        return Wishes.model_validate_json(found.payload) if found and found.payload else Wishes()

    async def put(self, case_id: str, wishes: Wishes) -> None:
        """Keep them.  Raises LogUnavailable or LogRefused."""
        await self._bucket.put(f"{KIND}.{case_id}", wishes.model_dump_json().encode())

    async def link_key(self, case_id: str) -> str:
        """What stands in the link of a message: it opens the wishes of this case, and nothing else."""
        return f"{case_id}{await self._proof(case_id)}"

    async def case_of(self, key: str) -> str | None:
        """The case behind a tracking number or the key of a link; None when it is neither."""
        case_id, proof = key[:CASE_ID_CHARACTERS], key[CASE_ID_CHARACTERS:]
        if is_case_id(case_id) and proof.isascii():
            return case_id if hmac.compare_digest(proof, await self._proof(case_id)) else None
        try:
            return case_id_of_tracking(read_tracking_number(key))
        except ValueError:
            return None

    async def _proof(self, case_id: str) -> str:
        # Made once for all replicas, and kept with the wishes: whoever reads those needs no link.
        while not self._secret:
            found = await self._bucket.get(LINKS_KEY)
            if found is None:
                await self._bucket.put(LINKS_KEY, secrets.token_bytes(SECRET_BYTES), 0)
            else:
                self._secret = found.payload
        return hmac.digest(self._secret, case_id.encode(), sha256).hex()[:PROOF_CHARACTERS]
