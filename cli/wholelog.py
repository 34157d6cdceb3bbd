"""The whole history for commands: the log, and what the books were closed over out of the ledger's files."""

from cli.auditing.places import store_of
from cli.stack.plan import store_location
from cli.stack.state import Stack
from libs.events.history import WholeLog
from libs.events.jetstream import JetStream
from libs.events.jetstream.reader import Credentials
from libs.events.ledger.archive import Archive, opened_in
from libs.events.subjects import CASES


def whole_log(stack: Stack, jetstream: JetStream, user: str) -> WholeLog:
    """What *user* reads the whole history with; the sealed files are opened when they are needed."""

    async def sealed() -> Archive:
        return await opened_in(store_of(store_location(stack.home)), CASES)

    return WholeLog(jetstream, Credentials(user, stack.secret(user)), sealed)
