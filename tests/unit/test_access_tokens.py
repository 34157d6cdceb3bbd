"""Tokens: whose hold, which do not, and how often the issuer is asked for its keys."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey
from joserfc.jws import JWSRegistry

from libs.events.access.identity import Actor, pseudonym
from libs.events.access.oidc import (
    AGAIN_SECONDS,
    ALGORITHMS,
    CLOCK_SKEW_SECONDS,
    DOCUMENT_BYTES_MAX,
    FRESH_SECONDS,
    Issuer,
    fetched,
)
from libs.events.errors import IssuerUnavailable
from tests.support.issuing import OTHER, SIGNING, URL, Clock, Published, claims, issuer, signed


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_a_token_says_who_asks_and_as_what() -> None:
    listed = ["centre:hebin", "centre:hebin", "payroll", "nonsense:x", 7, "auditor:office"]
    actor = await issuer(Published(SIGNING)).actor_of(signed(claims(posts=listed)))
    assert actor == Actor(pseudonym(URL, "u-17"), ("centre:hebin", "auditor:office"))
    assert "u-17" not in str(actor)


@pytest.mark.parametrize(
    "told",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": ["another"]},
        {"exp": -CLOCK_SKEW_SECONDS - 5},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": CLOCK_SKEW_SECONDS + 30},
        {"iat": CLOCK_SKEW_SECONDS + 30},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
    ],
    ids=str,
)
async def test_a_token_that_is_not_for_us_or_not_now_is_refused(told: dict[str, Any]) -> None:
    assert await issuer(Published(SIGNING)).actor_of(signed(claims(**told))) is None


@pytest.mark.parametrize(
    "told",
    [
        {"aud": ["another", "whistle"]},
        {"exp": -5},
        {"nbf": 5},
        {"posts": None},
    ],
    ids=str,
)
async def test_clocks_may_differ_a_little(told: dict[str, Any]) -> None:
    assert await issuer(Published(SIGNING)).actor_of(signed(claims(**told)))


async def test_only_signatures_of_the_published_keys_hold() -> None:
    ours = issuer(Published(SIGNING))
    forged = ECKey.generate_key("P-256", {"kid": "first"})
    public = OctKey.import_key(json.dumps(SIGNING.as_dict(private=False)))
    good = signed(claims())
    head, body, signature = good.split(".")
    none = b64(json.dumps({"alg": "none", "kid": "first"}).encode())
    wrong = (
        signed(claims(), forged),
        signed(claims(), public, alg="HS256"),
        signed(claims(), forged, jwk=forged.as_dict(private=False)),
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body[:-2]}AA.{signature}",
        "a.b.c",
        "",
        "." * 20_000,
    )
    assert [await ours.actor_of(each) for each in wrong] == [None] * len(wrong)
    assert await ours.actor_of(good)


def test_the_library_knows_and_recommends_every_algorithm_that_is_taken() -> None:
    registry = JWSRegistry(algorithms=ALGORITHMS)
    assert [registry.get_alg(name).name for name in ALGORITHMS] == list(ALGORITHMS)
    assert not [name for name in ALGORITHMS if name.startswith("HS") or name == "none"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_whatever_is_shown_as_a_token_gets_an_answer(text: str) -> None:
    assert asyncio.run(issuer(Published(SIGNING)).actor_of(text)) is None


async def test_a_new_key_of_the_issuer_is_fetched_when_a_token_names_it() -> None:
    published, clock = Published(SIGNING), Clock()
    ours = issuer(published, clock)
    assert await ours.actor_of(signed(claims()))
    published.keys = (SIGNING, OTHER)
    clock.seconds += AGAIN_SECONDS
    assert await ours.actor_of(signed(claims(), OTHER, kid="second"))


async def test_a_flood_of_unknown_keys_does_not_reach_the_issuer() -> None:
    published, clock = Published(SIGNING), Clock()
    ours = issuer(published, clock)
    await asyncio.gather(*(ours.actor_of(signed(claims(), OTHER, kid=f"k{n}")) for n in range(50)))
    assert len(published.fetched) == 2  # discovery and keys, once
    clock.seconds += AGAIN_SECONDS
    await asyncio.gather(*(ours.actor_of(signed(claims(), OTHER, kid=f"k{n}")) for n in range(50)))
    assert len(published.fetched) == 4


async def test_without_the_issuer_nobody_is_let_in_and_nobody_is_called_a_liar() -> None:
    published, clock = Published(SIGNING), Clock()
    published.away = True
    ours = issuer(published, clock)
    with pytest.raises(IssuerUnavailable):
        await ours.actor_of(signed(claims()))
    published.away = False
    clock.seconds += AGAIN_SECONDS
    assert await ours.actor_of(signed(claims()))


async def test_who_waits_for_an_issuer_that_hangs_waits_for_one_attempt() -> None:
    published = Published(SIGNING)
    published.away, published.takes_seconds = True, 6.0
    ours = issuer(published, published.clock)
    answers = await asyncio.gather(
        *(ours.actor_of(signed(claims())) for _ in range(20)), return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {IssuerUnavailable}
    assert len(published.fetched) == 1


async def test_the_known_keys_go_on_while_the_issuer_is_away() -> None:
    published, clock = Published(SIGNING), Clock()
    ours = issuer(published, clock)
    assert await ours.actor_of(signed(claims()))
    published.away = True
    clock.seconds += FRESH_SECONDS + 1
    assert await ours.actor_of(signed(claims()))


async def test_documents_of_another_issuer_are_not_believed() -> None:
    published = Published(SIGNING)
    published.issuer = "https://elsewhere.example"
    with pytest.raises(IssuerUnavailable):
        await issuer(published).actor_of(signed(claims()))


@asynccontextmanager
async def saying(answer: bytes) -> AsyncGenerator[str]:
    """The address of a server that says this to whatever it is asked."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_a_document_is_fetched_where_it_is_said_to_be_and_within_its_bound() -> None:
    async with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as url:
        assert await fetched(url) == b"{}"
        async with saying(b"HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n" % url.encode()) as elsewhere:
            with pytest.raises(OSError, match="302"):
                await fetched(elsewhere)
    async with saying(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (DOCUMENT_BYTES_MAX + 1)) as endless:
        with pytest.raises(ValueError, match="too large"):
            await fetched(endless)
    async with saying(b"good evening\r\n\r\n") as nonsense:
        with pytest.raises(IssuerUnavailable):
            await Issuer(nonsense, "whistle", posts_claim="posts").actor_of(signed(claims()))
    with pytest.raises(OSError, match="neither TLS"):
        await fetched("http://issuer.example/")
