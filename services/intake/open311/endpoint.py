"""What all Open311 routes share: where they are, what they work with, what their arguments are, how they answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from libs.events.access.web import Access
from libs.events.problems import FieldProblem, problem
from libs.events.readmodel import Pool
from services.intake.attachments.routes import Door
from services.intake.open311.documents import View
from services.intake.open311.filters import last_of
from services.intake.open311.rendering import Format, answer
from services.intake.open311.settings import Open311Settings
from services.intake.open311.wordings import Words, language_of
from services.intake.routes import Desk

ROOT: Final = "/open311"
BASE: Final = f"{ROOT}/v2"


class JurisdictionArguments(BaseModel):
    """What every address may say after `?`; arguments that nobody knows change nothing."""

    jurisdiction_id: list[str] = Field(default=[], description="the city; needed nowhere")


class RequestArguments(JurisdictionArguments):
    """Arguments of one request."""

    extensions: list[str] = Field(default=[], description="`true` tells history and more attributes")


class ListArguments(RequestArguments):
    """Arguments of the list of requests; lists are separated by commas."""

    service_request_id: list[str] = Field(default=[], description="these alone; overrides all others")
    service_code: list[str] = Field(default=[], description="of these services")
    start_date: list[str] = Field(default=[], description="reported then or later")
    end_date: list[str] = Field(default=[], description="reported then or before")
    status: list[str] = Field(default=[], description="`open`, `closed`")
    updated_after: list[str] = Field(default=[], description="changed then or later; the oldest change first")
    updated_before: list[str] = Field(default=[], description="changed then or before")
    page: list[str] = Field(default=[], description="from 1")
    page_size: list[str] = Field(default=[], description="1 to 1000")


@dataclass(frozen=True, slots=True)
class Open311:
    """What the routes work with."""

    desk: Desk
    pool: Callable[[], Pool]
    settings: Open311Settings
    access: Access
    door: Door

    def words(self, accepted: str | None) -> Words:
        """The names of the rule book in force, in the language that is liked."""
        return Words(self.desk.places.now.book, language_of(accepted, self.settings.open311_language))

    def view(self, words: Words, arguments: RequestArguments, request: Request) -> View:
        """How requests are described."""
        extended = last_of(arguments.extensions).lower() == "true"
        site = self.settings.open311_url.removesuffix(BASE) or str(request.base_url)
        return View(words, media=self.settings.open311_media, extended=extended, site=site)

    def wrong_jurisdiction(self, given: list[str]) -> Response | None:
        """The refusal, when another city is asked for; who names none asks for this one."""
        asked, ours = last_of(given), self.settings.open311_jurisdiction
        if not asked or not ours or asked == ours:
            return None
        return not_found("jurisdiction_id", "Another city is served here.", "此处不服务该辖区。")


def answered(root: str, document: Any, form: Format, words: Words, status: int = 200) -> Response:
    """A document as the answer, which says its language."""
    return answer(root, document, form, status, headers_for(words))


def headers_for(words: Words) -> dict[str, str]:
    """What every answer with texts says of itself."""
    return {"Content-Language": words.language, "Vary": "Accept-Language"}


def unknown_service() -> Response:
    """The answer where a service is asked for that there is not."""
    return not_found("service_code", "There is no such service.", "没有此服务。")


def unknown_token() -> Response:
    """The answer where a token is asked for that there is not."""
    return not_found("token", "There is no such token.", "没有此凭证。")


def not_found(field: str, reason: str, reason_zh: str) -> Response:
    """The answer where nothing is."""
    wrong = FieldProblem(field=field, reason=reason, reason_zh=reason_zh)
    return problem(404, "not_found", reason, reason_zh, errors=[wrong])
