"""An erasure, from the order to the receipt."""

from datetime import datetime

from cli.persons.desk import OPERATOR, Desk
from libs.events import faults
from libs.events.contracts.base import Event
from libs.events.contracts.persons import PersonErased
from libs.events.envelope import Context, Entry
from libs.events.errors import WhistleError
from libs.events.personal.carrying_out import carry_out
from libs.events.personal.deciding import Asked, Case, Refusal, Standing, Why, case_of, held, order_erasure
from libs.events.subjects import person_filter
from libs.events.vault.keeping import values_of


class NotDone(WhistleError):
    """Something about a person stands against what was asked."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.why)
        self.refusal = refusal


def now_by(desk: Desk, policy_version: str | None = None) -> Context:
    """Who acts here, and when by the city's clocks."""
    return Context(actor=OPERATOR, time=datetime.now(desk.zone), policy_version=policy_version)


async def outstanding(desk: Desk) -> list[str]:
    """Carry out what was ordered before: in a vault that came back from a backup, or after a death in between."""
    return [person async for person in carry_out(desk.records, desk.pool)]


async def erase_in(
    desk: Desk,
    person: str,
    case_ids: list[str],
    asked: Asked,
    policy_version: str | None = None,
    *,
    values: int | None = None,
) -> Entry:
    """Order an erasure and carry it out; the receipt.  With *values*, only while no more was sealed for them.

    Raises NotDone when something stands against it, VaultUnavailable, LogUnavailable: then it may be ordered, and is
    carried out by whatever is done next.
    """

    async def order(standing: Standing) -> Event:
        if values is not None and await values_of(desk.pool, person) != values:
            raise NotDone(Refusal(Why.RETURNED))
        decided = order_erasure(standing, await cases_with_holds(desk, case_ids), asked)
        if isinstance(decided, Refusal):
            raise NotDone(decided)
        return decided

    await desk.records.record(person, order, now_by(desk, policy_version))
    await faults.reach("person.ordered")
    await outstanding(desk)
    receipt = await receipt_of(desk, person)
    assert receipt is not None, "what was ordered was carried out"
    return receipt


async def cases_with_holds(desk: Desk, case_ids: list[str]) -> tuple[Case, ...]:
    """Where these cases stand, and what holds them."""
    histories = await desk.log.load_many(case_ids)
    cases = [case_of(case_id, history.entries) for case_id, history in histories.items()]
    holds = {case_id: (await desk.records.standing(case_id)).holds for case_id in case_ids}
    return held(cases, holds)


async def receipt_of(desk: Desk, person: str) -> Entry | None:
    """The receipt of a person's erasure, if they were erased."""
    found: list[Entry] = [each async for each in desk.records.about(person_filter(person))]
    return next((each for each in reversed(found) if isinstance(each.event, PersonErased)), None)
