"""Tokens of the embedded default: signed with the key in its data folder, or given by whoever has an issuer."""

import json
from pathlib import Path

import pytest

from cli.embedded.errors import StackError
from cli.stack.issuer import key_file, make_key
from cli.tokens import TOKEN, token_for
from libs.events.access.identity import Actor, pseudonym
from libs.events.access.oidc import DISCOVERY_PATH, Issuer

URL = "http://127.0.0.1:9"


async def test_a_token_holds_at_its_own_issuer_and_at_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    make_key(tmp_path / "one")
    make_key(tmp_path / "other")
    key = json.loads(key_file(tmp_path / "one").read_text())
    public = {name: value for name, value in key.items() if name != "d"}

    async def published(url: str) -> bytes:
        found = {"issuer": URL, "jwks_uri": f"{URL}/keys"} if DISCOVERY_PATH in url else {"keys": [public]}
        return json.dumps(found).encode()

    issuer = Issuer(URL, "whistle", posts_claim="posts", fetch=published)
    posts = ("centre:hebin", "auditor:office")
    assert await issuer.actor_of(token_for(tmp_path / "one", URL, *posts)) == Actor(
        pseudonym(URL, " ".join(posts)), posts
    )
    assert await issuer.actor_of(token_for(tmp_path / "other", URL, *posts)) is None
    assert await issuer.actor_of(token_for(tmp_path / "one", URL, *posts, seconds=-60)) is None


def test_a_key_that_is_there_stays(tmp_path: Path) -> None:
    make_key(tmp_path)
    before = key_file(tmp_path).read_text()
    make_key(tmp_path)
    assert key_file(tmp_path).read_text() == before
    assert key_file(tmp_path).stat().st_mode & 0o077 == 0


def test_without_an_issuer_of_our_own_the_token_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(StackError, match=TOKEN):
        token_for(tmp_path, URL, "centre:hebin")
    monkeypatch.setenv(TOKEN, "given")
    assert token_for(tmp_path, URL, "centre:hebin") == "given"
