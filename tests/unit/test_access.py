"""Who is let in: posts, roles, addresses, and the door itself."""

from dataclasses import replace
from typing import Annotated, Any, Final

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from libs.events.access.identity import NOBODY, POST_CHARACTERS_MAX, Actor, is_post, posts_in, pseudonym
from libs.events.access.limiting import ADDRESSES_MAX, RateLimit, client_of, networks
from libs.events.access.roles import NAMES, ROLE_OF, TABLE, Role
from libs.events.access.web import Access, as_post, for_department, may, verbs_of
from libs.events.errors import NotAllowed
from libs.events.settings import AccessSettings
from libs.events.web import Readiness, service_app
from tests.contract.render_access import PAGE, page
from tests.support.issuing import SIGNING, URL, Clock, Published, claims, issuer, signed

CENTRE: Final = Actor("someone", ("centre:hebin",))


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": "http://issuer.example"},
        {"oidc_issuer": "issuer.example"},
        {"trusted_proxies": "the proxy"},
        {"trusted_proxies": "10.0.0.1/8"},
        {"public_requests_per_minute": 0},
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AccessSettings(**wrong)


# Posts and roles.


def test_every_kind_of_post_gives_a_role_and_every_role_has_names() -> None:
    assert set(NAMES) == set(Role)
    assert set(ROLE_OF.values()) == set(Role) - {Role.ANYBODY}
    assert all(right.roles for right in TABLE.values())


@pytest.mark.parametrize("text", ["centre:hebin", "department:No Q", "grid:liuyuan-01", "integrator:微信"])
def test_posts(text: str) -> None:
    assert is_post(text)
    assert posts_in([text, text, None]) == (text,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "centre",
        "centre:",
        "centre: x",
        "mayor:hebin",
        "Centre:hebin",
        "centre:a\0",
        "centre:" + "x" * POST_CHARACTERS_MAX,
    ],
)
def test_no_posts(text: str) -> None:
    assert not is_post(text)


def test_who_acts_must_hold_the_post() -> None:
    assert as_post(CENTRE, "assign", None) == "centre:hebin"
    assert as_post(CENTRE, "assign", "centre:hebin") == "centre:hebin"
    with pytest.raises(NotAllowed) as other:
        as_post(CENTRE, "assign", "centre:anju")
    assert (other.value.code, other.value.field) == ("not_your_post", "by")


def test_who_has_several_posts_says_which_unless_one_alone_fits() -> None:
    both = Actor("someone", ("centre:hebin", "centre:anju", "community:qiaotou"))
    assert as_post(both, "score", None) == "community:qiaotou"
    with pytest.raises(RequestValidationError):
        as_post(both, "assign", None)
    with pytest.raises(NotAllowed):
        as_post(both, "score", "centre:hebin")


def test_a_department_speaks_for_itself_alone() -> None:
    water = Actor("someone", ("department:water",))
    for_department(water, "water")
    with pytest.raises(NotAllowed):
        for_department(water, "roads", Role.CENTRE)
    for_department(CENTRE, "roads", Role.CENTRE)
    with pytest.raises(NotAllowed):
        for_department(NOBODY, "roads")


# Addresses.


def test_an_address_may_ask_so_often_and_then_again_a_little_later() -> None:
    clock = Clock()
    limit = RateLimit(60, monotonic=clock)
    assert [limit.wait_seconds("a") for _ in range(61)] == [0] * 60 + [1]
    assert limit.wait_seconds("b") == 0
    clock.seconds += 1
    assert [limit.wait_seconds("a") for _ in range(2)] == [0, 1]
    clock.seconds += 3_600
    assert [limit.wait_seconds("a") for _ in range(61)] == [0] * 60 + [1]


def test_addresses_are_forgotten_before_they_fill_the_memory() -> None:
    limit = RateLimit(1, monotonic=Clock())
    for number in range(ADDRESSES_MAX + 1):
        limit.wait_seconds(str(number))
    assert limit.wait_seconds("1") > 0
    assert limit.wait_seconds("0") == 0


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.5", [], "10.0.0.5"),
        ("10.0.0.5", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.5", ["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.5", ["6.6.6.6", "198.51.100.7, 10.0.0.9"], "198.51.100.7"),
        ("10.0.0.5", ["unknown"], "10.0.0.5"),
        ("198.51.100.1", ["6.6.6.6"], "198.51.100.1"),
        ("2001:db8:1:2:3::4", [], "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.5", ["198.51.100.7"], "198.51.100.7"),
        ("", ["6.6.6.6"], ""),
    ],
)
def test_only_what_our_proxies_say_of_others_is_believed(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert client_of(peer, forwarded, networks("10.0.0.0/8, ::1")) == client


# The door.


class Word(BaseModel):
    """A body."""

    word: str


async def ready() -> Readiness:
    return Readiness(())


def guarded(access: Access | None = None) -> FastAPI:
    app = service_app("Whistle test", ready, access=access)

    @app.post("/assign")
    async def assign(body: Word, actor: Annotated[Actor, Depends(may("assign"))]) -> dict[str, Any]:
        return {"as": as_post(actor, "assign", None), "word": body.word}

    @app.get("/track")
    async def track(actor: Annotated[Actor, Depends(may("track"))]) -> dict[str, Any]:
        return {"principal": actor.principal}

    return app


async def asked(app: FastAPI, path: str, token: str | None = None, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    method = "POST" if path == "/assign" else "GET"
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return await client.request(method, path, headers=headers | more.pop("headers", {}), **more)


def by_tokens(**more: Any) -> Access:
    return Access(issuer=issuer(Published(SIGNING)), **more)


async def test_who_may_gets_in_and_others_are_told_why_not() -> None:
    app, word = guarded(by_tokens()), {"word": "x"}
    answer = await asked(app, "/assign", signed(claims()), json=word)
    assert (answer.status_code, answer.json()) == (200, {"as": "centre:hebin", "word": "x"})
    nobody = await asked(app, "/assign", json=word)
    assert (nobody.status_code, nobody.json()["code"]) == (401, "sign_in_needed")
    assert nobody.headers["www-authenticate"] == 'Bearer realm="whistle"'
    liar = await asked(app, "/assign", "whistle_00000000_x", json=word)
    assert (liar.status_code, liar.json()["code"]) == (401, "credentials_refused")
    assert 'error="invalid_token"' in liar.headers["www-authenticate"]
    other = await asked(app, "/assign", signed(claims(posts=["auditor:office"])), json=word)
    assert (other.status_code, other.json()["code"]) == (403, "role_needed")
    assert "centre" in other.json()["title"]
    assert "指挥调度中心" in other.json()["title_zh"]


async def test_what_is_for_anybody_needs_nothing_but_no_lies() -> None:
    app = guarded(by_tokens())
    assert (await asked(app, "/track")).json() == {"principal": None}
    assert (await asked(app, "/track", signed(claims()))).json() == {"principal": pseudonym(URL, "u-17")}
    assert (await asked(app, "/track", "nonsense")).status_code == 401
    assert (await asked(app, "/track", headers={"Authorization": "Basic YTpi"})).status_code == 401


async def test_the_door_stands_before_the_body() -> None:
    answer = await asked(guarded(by_tokens()), "/assign", "nonsense", content=b"{")
    assert answer.status_code == 401


async def test_an_issuer_that_is_away_is_said_so() -> None:
    published = Published(SIGNING)
    published.away = True
    answer = await asked(guarded(Access(issuer=issuer(published))), "/track", signed(claims()))
    assert (answer.status_code, answer.json()["code"]) == (503, "issuer_unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_whoever_asks_too_often_waits_and_probes_do_not_count() -> None:
    app = guarded(by_tokens(public_requests_per_minute=3))
    assert [(await asked(app, "/healthz")).status_code for _ in range(5)] == [200] * 5
    assert [(await asked(app, path)).status_code for path in ("/track", "/nowhere", "/track")] == [
        200,
        404,
        200,
    ]
    refused = await asked(app, "/track")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert int(refused.headers["retry-after"]) > 0
    assert (await asked(app, "/track", "nonsense")).status_code == 429
    assert (await asked(app, "/track", signed(claims()))).status_code == 200
    assert (await asked(app, "/readyz")).status_code == 200


async def test_a_service_without_keys_and_issuer_lets_nobody_in() -> None:
    assert (await asked(guarded(), "/assign", signed(claims()), json={"word": "x"})).status_code == 401


async def test_the_interface_says_who_may() -> None:
    app = guarded()
    document = (await asked(app, "/openapi.json")).json()
    assert document["paths"]["/assign"]["post"]["security"] == [{"bearer": []}]
    assert document["paths"]["/assign"]["post"]["x-roles"] == ["centre"]
    assert document["paths"]["/track"]["get"]["security"] == [{}, {"bearer": []}]
    assert verbs_of(app)["POST /assign"] == "assign"
    assert verbs_of(app)["GET /healthz"] is None


def test_the_page_shows_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_an_actor_is_what_it_says() -> None:
    assert replace(NOBODY, posts=("centre:x",)).may("assign")
    assert not NOBODY.may("assign")
    assert NOBODY.may("report")
