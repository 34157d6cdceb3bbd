"""Every door of every service, tried by who may and by who may not; keys and tokens from the command line."""

import json
import re
from collections.abc import AsyncGenerator
from typing import Any, Final

import httpx
import pytest_asyncio

from cli.stack.issuer import key_file
from cli.stack.state import Stack
from libs.events.access.roles import ROLE_OF, TABLE, Role
from tests.support.people import People, Receipt, done
from tests.support.stack import eventually, whistle

SERVICES: Final = ("intake", "dispatch", "evaluation", "notify", "ledger")
OPEN: Final = re.compile(r"/(healthz|readyz|contracts/.*|contracts/)")
NOBODYS_CASE: Final = "0" * 20
PARAMETER: Final = re.compile(r"{[^}]+}")
METHODS: Final = {"get", "put", "post", "delete", "patch"}


@pytest_asyncio.fixture
async def people(stack: Stack) -> AsyncGenerator[People]:
    async with httpx.AsyncClient(timeout=60) as http:
        yield People(stack, http)


async def doors(stack: Stack, http: httpx.AsyncClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, address and description of every operation of every service."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    for service in SERVICES:
        url = stack.service_url(service)
        paths = (await http.get(f"{url}/openapi.json")).json()["paths"]
        for path, operations in paths.items():
            address = url + PARAMETER.sub(NOBODYS_CASE, path)
            found += [(method, address, operations[method]) for method in METHODS & operations.keys()]
    return found


def stranger(roles: set[str]) -> str:
    """A post whose role is none of these."""
    return next(f"{kind}:liuhe" for kind, role in ROLE_OF.items() if role not in roles)


async def test_every_door_is_shut_for_who_may_not(stack: Stack) -> None:
    """A door without roles is one of those that are open by name."""
    wrong: list[tuple[str, str, int, int]] = []
    async with httpx.AsyncClient(timeout=60) as http:
        for method, address, operation in await doors(stack, http):
            roles = set(operation.get("x-roles", ()))
            if not roles:
                assert OPEN.fullmatch(httpx.URL(address).path), address
            elif (
                Role.ANYBODY not in roles and "/open311/" not in address
            ):  # where the key may stand in the form
                shown = {"Authorization": f"Bearer {stack.token(stranger(roles))}"}
                nobody = await http.request(method, address)
                other = await http.request(method, address, headers=shown)
                if (nobody.status_code, other.status_code) != (401, 403):
                    wrong.append((method, address, nobody.status_code, other.status_code))
                assert nobody.headers.get("www-authenticate", "").startswith("Bearer")
    assert wrong == []


async def test_every_door_says_its_roles_as_the_table_has_them(stack: Stack) -> None:
    known = {tuple(sorted(right.roles)) for right in TABLE.values()}
    async with httpx.AsyncClient(timeout=60) as http:
        said = [operation["x-roles"] for *_, operation in await doors(stack, http) if "x-roles" in operation]
    assert len(said) > 40
    assert {tuple(roles) for roles in said} <= known


async def test_a_department_sees_and_does_what_is_its_own_alone(people: People) -> None:
    case_id = (await people.assigned("0101")).case_id
    url = people.stack.service_url("dispatch")

    async def asked(path: str, post: str, method: str = "GET") -> tuple[int, str | None]:
        shown = {"Authorization": f"Bearer {people.stack.token(post)}"}
        body: dict[str, str] | None = {} if method == "POST" else None
        answer = await people.http.request(method, f"{url}{path}", json=body, headers=shown)
        return answer.status_code, answer.json().get("code") if answer.is_error else None

    assert await asked("/departments/water/queue", "department:water") == (200, None)
    for post in ("centre:hebin", "auditor:office", "operator:desk"):
        assert await asked("/departments/water/queue", post) == (200, None)
    assert await asked("/departments/water/queue", "department:roads") == (403, "not_your_department")
    assert await asked("/departments/water/queue", "integrator:shop") == (403, "role_needed")
    accept = f"/departments/water/cases/{case_id}/accept"
    for post in ("department:roads", "centre:hebin", "operator:desk"):
        status, code = await asked(accept, post, "POST")
        assert (status, code) in {(403, "not_your_department"), (403, "role_needed")}, post
    assert await asked(accept, "department:water", "POST") == (200, None)


async def test_a_trusted_channel_is_for_who_may_use_it(people: People) -> None:
    url = f"{people.stack.service_url('intake')}/cases"
    body = {"category": "0101", "description": "x", "channel": "patrol", "place": {"community": "matou"}}
    async with httpx.AsyncClient(timeout=60) as http:
        assert (await http.post(url, json=body)).status_code == 401
        for post, status in (("specialist:matou", 403), ("grid-worker:matou-01", 201)):
            shown = {"Authorization": f"Bearer {people.stack.token(post)}"}
            assert (await http.post(url, json=body, headers=shown)).status_code == status


async def test_facts_name_who_held_the_post_by_a_pseudonym(people: People) -> None:
    receipt: Receipt = await people.assigned("0101")
    await people.handled("water", receipt.case_id)
    done(await people.judge(receipt.case_id, "verify"))
    history = await people.until(receipt.case_id, "closed")
    who = {entry.name: (entry.envelope.actor, entry.envelope.principal) for entry in history.entries}
    assert who["reported"] == ("resident", None)
    assert who["accepted"][0] == "department:water"
    assert re.fullmatch(r"oidc:[0-9a-f]{32}", who["accepted"][1] or "")
    assert who["verified"][0] == "specialist:qiaotou"
    assert who["verified"][1] not in {None, who["accepted"][1]}
    assert who["assigned"] == ("system:dispatch", None)


async def test_a_key_from_the_command_line_opens_until_it_is_revoked(people: People) -> None:
    stack, url = people.stack, f"{people.stack.service_url('evaluation')}/to-verify"
    made = command(stack, "key", "add", "gateway", "--post", "specialist:qiaotou")
    assert await status_of(url, made["key"]) == 200, "at once"
    assert made["key"].split("_", 2)[2] not in json.dumps(command(stack, "key", "list"))
    newer = command(stack, "key", "rotate", made["id"], "--overlap-hours", "1")
    assert newer["posts"] == made["posts"]
    assert await status_of(url, newer["key"]) == await status_of(url, made["key"]) == 200
    command(stack, "key", "revoke", made["id"])
    command(stack, "key", "revoke", made["id"])

    async def is_refused() -> bool:
        return await status_of(url, made["key"]) == 401

    await eventually(is_refused)
    assert await status_of(url, newer["key"]) == 200
    assert await status_of(url, made["key"][:-1] + "x") == 401
    token = stack.token("specialist:qiaotou")
    assert await status_of(url, token) == 200
    logs = "".join(file.read_text(errors="replace") for file in (stack.home / "log").glob("*.log"))
    secrets = (key["key"].split("_", 2)[2] for key in (made, newer))
    for secret in (*secrets, token.rpartition(".")[2]):
        assert secret not in logs


def test_what_cannot_be_a_key_or_a_token_is_refused_with_a_reason(stack: Stack) -> None:
    for arguments, told in (
        (("token", "--as", "mayor"), "KIND:OF"),
        (("key", "add", "x", "--post", "emperor:x"), "KIND:OF"),
        (("key", "add", "", "--post", "integrator:x"), "characters"),
        (("key", "revoke", "00000000"), "no such key"),
    ):
        ran = whistle(stack, *arguments)
        assert ran.returncode == 2
        assert told in ran.stderr
    assert key_file(stack.home).stat().st_mode & 0o077 == 0


def test_keys_whose_server_does_not_answer_are_said_to_be_out_of_reach(stack: Stack) -> None:
    nobody = {"WHISTLE_NATS_URL": "nats://127.0.0.1:1", "WHISTLE_SECRETS_DIR": str(stack.secrets_folder)}
    ran = whistle(stack, "key", "list", **nobody)
    assert ran.returncode == 1
    assert "cannot be reached" in ran.stderr
    assert "无法连接" in ran.stderr


async def test_the_issuer_says_its_public_key_and_nothing_else(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.issuer_url, timeout=60) as http:
        found = (await http.get("/.well-known/openid-configuration")).json()
        assert found["issuer"] == stack.issuer_url
        [key] = (await http.get(found["jwks_uri"])).json()["keys"]
        assert "d" not in key
        for method, path in (("GET", "/"), ("GET", "/key.json"), ("POST", "/keys"), ("GET", "/../key.json")):
            assert (await http.request(method, path)).status_code == 404


def command(stack: Stack, *arguments: str) -> Any:
    """What a command says for programs."""
    ran = whistle(stack, *arguments, "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


async def status_of(url: str, credentials: str) -> int:
    """With what it is answered."""
    async with httpx.AsyncClient(timeout=60) as http:
        answer = await http.get(url, headers={"Authorization": f"Bearer {credentials}"})
        return answer.status_code
