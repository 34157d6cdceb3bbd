"""`POST /requests`: from a form, and the pictures that came with it, to a report."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.responses import Response

from libs.events.access.identity import NOBODY, Actor
from libs.events.access.web import May, permit
from libs.events.policy import Category
from libs.events.problems import FieldProblem, problem
from services.intake.attachments.reading import Upload
from services.intake.attachments.reasons import BUSY, Reason, refused
from services.intake.open311 import forms
from services.intake.open311.documents import Document
from services.intake.open311.endpoint import Open311, answered, unknown_service
from services.intake.open311.forms import Form, Unreadable, said
from services.intake.open311.rendering import Format
from services.intake.open311.wordings import Words
from services.intake.refusals import not_valid
from services.intake.routes import ReportBody, Taken, take

WITH_KEY: Final = "report-by-key"


class KeyMayFollow(May):
    """Who asks; NOBODY is let in as far as the form, which may hold their key."""

    async def __call__(self, request: Request) -> Actor:
        """Raises NotAllowed when who signed in may not."""
        actor: Actor = request.state.actor
        if actor is not NOBODY:
            permit(actor, self.verb)
        return actor


class Posting(NamedTuple):
    """One report by form."""

    open311: Open311
    request: Request
    actor: Actor
    idempotency_key: str | None
    words: Words

    async def answer(self, form: Format) -> Response:
        """What is answered; pictures come in by the bounded number that the door of all pictures has."""
        if not forms.has_pictures(self.request):
            return await self._answer(form)
        with self.open311.door.room() as has_room:
            return await self._answer(form) if has_room else refused(BUSY)

    async def _answer(self, form: Format) -> Response:
        try:
            sent = await forms.sent(self.request)
        except Unreadable as error:
            return problem(400, "not_a_form", error.reason, error.reason_zh)
        actor = await self._actor(sent.fields)
        if wrong := self.open311.wrong_jurisdiction([said(sent.fields, "jurisdiction_id")]):
            return wrong
        report = self._report(sent.fields)
        if isinstance(report, Response):
            return report
        photos = await self._kept(sent.pictures)
        if isinstance(photos, Response):
            return photos
        report["photos"] += photos
        taken = await take(self.open311.desk, _body(report), self.idempotency_key, actor)
        return taken if isinstance(taken, Response) else _taken(taken, form, self.words)

    async def _actor(self, fields: Form) -> Actor:
        """Who reports.  Raises NotSignedIn or NotAllowed when their key opens nothing."""
        if self.actor is not NOBODY:
            return self.actor
        key = said(fields, "api_key") or self.request.query_params.get("api_key", "")
        actor = await self.open311.access.actor_of(key) if key else NOBODY
        permit(actor, WITH_KEY)
        return actor

    def _report(self, fields: Form) -> Document | Response:
        category = _category(fields, self.words)
        if isinstance(category, Response):
            return category
        report = forms.report_in(fields, category, self.open311.desk.places.now)
        if isinstance(report, list):
            return not_valid(report)
        if contact := forms.contact_in(fields):
            report["contact"] = contact
        return report

    async def _kept(self, pictures: Sequence[bytes]) -> list[str] | Response:
        """What the report calls the pictures that came with it."""
        references: list[str] = []
        for content in pictures:
            kept = await self.open311.door.keep(Upload(content, keep_time=False, keep_place=False))
            if isinstance(kept, Reason):
                return refused(kept)
            references.append(kept[0].reference)
        return references


def _taken(taken: Taken, form: Format, words: Words) -> Response:
    tracking = taken.receipt.tracking_number
    notice = words.either(
        f"Tracking number {tracking}: with it the reporter sees every step, rates the answer, has it reopened.",
        f"查询码 {tracking}：凭此可查看进展、评价结果、申请重办。",
    )
    found = [{"service_request_id": taken.receipt.case_id, "service_notice": notice, "account_id": None}]
    return answered("service_requests", found, form, words, 201 if taken.is_new else 200)


def _category(fields: Form, words: Words) -> Category | Response:
    code = said(fields, "service_code")
    if not code:
        missing = FieldProblem(field="service_code", reason="It is missing.", reason_zh="缺少必填字段。")
        return not_valid([missing])
    return words.book.category(code) or unknown_service()


def _body(report: Document) -> ReportBody:
    """Raises RequestValidationError, which says what is too long."""
    try:
        return ReportBody.model_validate(report)
    except ValidationError as error:
        wrong: list[Any] = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(wrong) from error
