"""The guard at the door: each route names its verb with `may(...)`, and gets who asks.

    @router.post("/cases/{case_id}/verify")
    async def verify(case_id: CaseId, body: VerifyBody, actor: Annotated[Actor, Depends(may("verify"))]) -> ...:
        by = as_post(actor, "verify", body.by)

Credentials come as `Authorization: Bearer`, an API key or a token of the issuer.  Nothing of them is ever logged.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.events.access.identity import NOBODY, Actor
from libs.events.access.keys import PREFIX, Keys
from libs.events.access.limiting import Network, RateLimit, client_of
from libs.events.access.oidc import Issuer
from libs.events.access.roles import NAMES, TABLE, Role
from libs.events.errors import (
    IssuerUnavailable,
    LogUnavailable,
    NotAllowed,
    NotSignedIn,
    TooManyRequests,
)
from libs.events.problems import HANDLERS as OTHER_HANDLERS
from libs.events.problems import RETRY_AFTER_SECONDS, FieldProblem, problem
from libs.events.settings import PUBLIC_REQUESTS_PER_MINUTE
from libs.events.telemetry import UNTRACED_PATHS

SCHEME: Final = "bearer"
_CONVERTER: Final = re.compile(r":\w+}")  # `{path:path}` of a route is `{path}` in a document
_CHALLENGE: Final = 'Bearer realm="whistle"'


class Access:
    """Who asks a service, and how often; without *keys* or *issuer* their credentials are refused."""

    def __init__(
        self,
        keys: Keys | None = None,
        issuer: Issuer | None = None,
        *,
        public_requests_per_minute: int = PUBLIC_REQUESTS_PER_MINUTE,
        trusted_proxies: Sequence[Network] = (),
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._limit = RateLimit(public_requests_per_minute)
        self._proxies = trusted_proxies

    async def actor_of(self, credentials: str) -> Actor:
        """Who shows this key or token.  Raises NotSignedIn, LogUnavailable or IssuerUnavailable."""
        proof = self._keys if credentials.startswith(PREFIX) else self._issuer
        found = await proof.actor_of(credentials) if proof and credentials else None
        if found is None:
            raise NotSignedIn(refused=True)
        return found

    async def admit(self, request: Request) -> Actor:
        """Who asks; NOBODY when nothing was shown.

        What nobody in particular asks is counted, and so is what does not hold.  Raises TooManyRequests, and what
        `actor_of` raises.
        """
        shown = request.headers.get("authorization")
        if shown is None:
            self._count(request)
            return NOBODY
        scheme, _, credentials = shown.partition(" ")
        try:
            return await self.actor_of(credentials.strip() if scheme.lower() == SCHEME else "")
        except NotSignedIn:
            self._count(request)
            raise

    def _count(self, request: Request) -> None:
        peer = request.client.host if request.client else ""
        client = client_of(peer, request.headers.getlist("x-forwarded-for"), self._proxies)
        if wait := self._limit.wait_seconds(client):
            raise TooManyRequests(wait)


class SignIn:
    """ASGI middleware: finds out who asks before anything of the body is read; probes are asked by nobody."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["path"] in UNTRACED_PATHS:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            request.state.actor = await self._access.admit(request)
        except _BEFORE_THE_ROUTE as error:
            answer = await HANDLERS[type(error)](request, error)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


class May:
    """A dependency of a route: who asks, if they may.  Raises NotSignedIn or NotAllowed."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.right = TABLE[verb]

    async def __call__(self, request: Request) -> Actor:
        """Who asks; NOBODY, where that is allowed and nothing was shown."""
        actor: Actor = request.state.actor
        permit(actor, self.verb)
        return actor


def may(verb: str) -> May:
    """The dependency of a route that does *verb*; KeyError when the table has no such verb."""
    return May(verb)


def permit(actor: Actor, verb: str) -> None:
    """Raises NotAllowed when none of the actor's roles may do that, NotSignedIn when they should show who they are."""
    if actor.may(verb):
        return
    if actor is NOBODY:
        raise NotSignedIn(refused=False)
    en, zh = _listed(TABLE[verb].roles)
    raise NotAllowed("role_needed", f"To {verb} needs the role: {en}.", f"此操作需要以下身份：{zh}。")


def as_post(actor: Actor, verb: str, by: str | None) -> str:
    """The post that acts: *by*, or the only one of the actor's that may.

    Raises NotAllowed, or RequestValidationError when there are several and *by* does not say which.
    """
    fitting = actor.posts_for(verb)
    if by in fitting:
        return str(by)
    if by is None and len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(fitting)
    if by is None and fitting:
        reason, reason_zh = f"Say as which post: {listed}", f"请注明以哪个岗位办理：{listed}。"
        error = {"type": "missing", "loc": ("body", "by"), "msg": reason, "ctx": {"reason_zh": reason_zh}}
        raise RequestValidationError([error])
    reason, reason_zh = f"You may do this only as: {listed}.", f"您只能以下列岗位办理：{listed}。"
    raise NotAllowed("not_your_post", reason, reason_zh, "by")


def for_department(actor: Actor, department: str, *roles: Role) -> None:
    """Raises NotAllowed unless the actor speaks for that department, or has one of *roles*."""
    if not actor.is_department(department) and not actor.roles & {*roles}:
        reason, reason_zh = f"This is for the department {department} alone.", f"仅限部门 {department}。"
        raise NotAllowed("not_your_department", reason, reason_zh, "department")


def verbs_of(app: FastAPI) -> dict[str, str | None]:
    """The verb of every route, by its methods and path; None for a route that names none."""
    return {
        f"{' '.join(sorted(route.methods or ()))} {route.path}": _verb_of(route)
        for route in iter_route_contexts(app.routes)
    }


def describe(document: dict[str, Any], app: FastAPI) -> None:
    """Say in an OpenAPI document which routes need credentials, and whose."""
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        SCHEME: {
            "type": "http",
            "scheme": SCHEME,
            "description": "An API key (`whistle_...`), or an access token of the city's OpenID Connect issuer",
        }
    }
    for route in iter_route_contexts(app.routes):
        verb = _verb_of(route)
        if verb is None or route.path is None:
            continue
        right = TABLE[verb]
        for method in route.methods or ():
            operation = document["paths"].get(_CONVERTER.sub("}", route.path), {}).get(method.lower())
            if operation is not None:
                operation["security"] = [{}, {SCHEME: []}] if right.is_public else [{SCHEME: []}]
                operation["x-roles"] = sorted(right.roles)


def _verb_of(route: RouteContext) -> str | None:
    dependant = getattr(route, "dependant", None)
    guards = [each.call for each in dependant.dependencies] if dependant else []
    return next((guard.verb for guard in guards if isinstance(guard, May)), None)


def _listed(roles: frozenset[Role]) -> tuple[str, str]:
    ordered = [role for role in Role if role in roles]
    return ", ".join(ordered), "、".join(NAMES[role][1] for role in ordered)


# Answers.


async def _on_not_signed_in(_: Request, error: Exception) -> Response:
    assert isinstance(error, NotSignedIn)
    if error.refused:
        headers = {"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'}
        title = "This key or token does not hold: it is unknown, expired or revoked."
        return problem(401, "credentials_refused", title, "密钥或令牌无效、已过期或已吊销。", headers=headers)
    title, title_zh = "This needs an API key or an access token.", "此操作需要 API 密钥或访问令牌。"
    return problem(401, "sign_in_needed", title, title_zh, headers={"WWW-Authenticate": _CHALLENGE})


async def _on_not_allowed(_: Request, error: Exception) -> Response:
    assert isinstance(error, NotAllowed)
    wrong = FieldProblem(field=error.field or "", reason=error.reason, reason_zh=error.reason_zh)
    return problem(403, error.code, error.reason, error.reason_zh, errors=[wrong] if error.field else [])


async def _on_too_many(_: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyRequests)
    headers = {"Retry-After": str(error.retry_after_seconds)}
    title = "Too many requests from this address; try again later."
    return problem(429, "too_many_requests", title, "请求过于频繁，请稍后再试。", headers=headers)


async def _on_issuer_away(_: Request, error: Exception) -> Response:
    assert isinstance(error, IssuerUnavailable)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    title = "Whether this token holds cannot be checked now; try again."
    return problem(503, "issuer_unavailable", title, "暂时无法核验令牌，请稍后再试。", headers=headers)


HANDLERS: Final[dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = {
    NotSignedIn: _on_not_signed_in,
    NotAllowed: _on_not_allowed,
    TooManyRequests: _on_too_many,
    IssuerUnavailable: _on_issuer_away,
    LogUnavailable: OTHER_HANDLERS[LogUnavailable],
}
_BEFORE_THE_ROUTE: Final = (NotSignedIn, TooManyRequests, IssuerUnavailable, LogUnavailable)
