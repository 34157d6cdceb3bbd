"""All exceptions of the event library, one tree; those about proofs stand with their formats, in `ledger`.

WhistleError
├── LogUnavailable      the log did not give a definite answer in time: try again later
├── VersionConflict     somebody else wrote to the case since it was read
├── LogRefused          the server refused for good: a bug or a wrong permission
├── CaseUnreadable      an event of the case cannot be decoded or folded
├── NotProvisioned      a stream or consumer is missing or differs from what is declared
├── SchemaMismatch      the read models in the database are not those of this code
├── RebuildRefused      a rebuild of the read models could not begin
├── RuleBookInvalid     the rule book breaks a rule; says where
├── NotSignedIn         who asks has shown nothing that says who they are, or something that does not hold
├── NotAllowed          who asks may not do this
├── TooManyRequests     who asks has asked too often
├── IssuerUnavailable   whether a token holds cannot be known now
├── VaultUnavailable    personal data cannot be sealed or opened now
├── SealBroken          what should be a sealed value is none, or not of this place
├── VaultInconsistent   the vault's keys are not those that it says it has
├── VaultBackupInvalid  a backup of the vault is not whole, or must not take this vault's place
├── BooksClosed         what was asked for is in the sealed files alone
├── BooksRefused        the books cannot be closed there, or not yet
├── StoreUnavailable    a store of files did not give a definite answer in time: try again later
├── NotAName            a file cannot be called so
├── BackupRefused       a backup cannot be made there, or a log not be restored from it
├── AskRefused          dispatch refused what a department asked for
├── NotYet              a past was asked for that is none: it lies ahead
├── PastTooLong         a past was asked for that holds more than is read for one question
└── MeasureMissing      an appraisal scheme uses a measure that was not counted
"""


class WhistleError(Exception):
    """Base of every exception that this library raises on purpose."""


class LogUnavailable(WhistleError):
    """The log gave no definite answer within the deadline.  Whether a write got in is not known."""


class VersionConflict(WhistleError):
    """Somebody else wrote to the case since it was read: load it again and decide again."""

    def __init__(self, case_id: str, last_sequence: int) -> None:
        super().__init__(f"case {case_id} has moved on to position {last_sequence}")
        self.case_id = case_id
        self.last_sequence = last_sequence
        """Position of the case's newest event on the leader: a fresh load must reach it."""


class LogRefused(WhistleError):
    """The server refused a request for good."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"the log refused: {description} ({code})")
        self.code = code
        self.description = description


class CaseUnreadable(WhistleError):
    """An event of the case cannot be decoded or folded."""

    def __init__(self, case_id: str, sequence: int, reason: str) -> None:
        super().__init__(f"case {case_id}, log position {sequence}: {reason}")
        self.case_id = case_id
        self.sequence = sequence
        self.reason = reason


class NotProvisioned(WhistleError):
    """A stream or consumer is missing or differs from what is declared; the message names the difference."""


class SchemaMismatch(WhistleError):
    """The read models in the database are not those of this code; the message says what to do."""


class RebuildRefused(WhistleError):
    """A rebuild of the read models could not begin; the old ones go on."""


class RuleBookInvalid(WhistleError):
    """The rule book breaks a rule; the message names file, place and reason."""


class MeasureMissing(WhistleError):
    """An appraisal scheme uses a measure that was not counted for a subject."""

    def __init__(self, subject: str, item: str, measure: str) -> None:
        super().__init__(f"{subject}: {item} uses the measure {measure}, which was not counted")
        self.subject = subject
        self.item = item
        self.measure = measure


class NotSignedIn(WhistleError):
    """Who asks has shown nothing that says who they are, or something that does not hold."""

    def __init__(self, *, refused: bool) -> None:
        super().__init__("what was shown does not hold" if refused else "nobody is signed in")
        self.refused = refused
        """Whether something was shown."""


class NotAllowed(WhistleError):
    """Who asks may not do this."""

    def __init__(self, code: str, reason: str, reason_zh: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.reason_zh = reason_zh
        self.field = field
        """The field of the request that says what they may not, if one does."""


class TooManyRequests(WhistleError):
    """Who asks has asked too often."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"asked too often; again in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class IssuerUnavailable(WhistleError):
    """Whether a token holds cannot be known now: its issuer does not answer."""


class VaultUnavailable(WhistleError):
    """Personal data cannot be sealed or opened now, since its keys cannot be reached; try again later."""


class SealBroken(WhistleError):
    """What should be a sealed value is none, was changed or cut, or stands where it was not sealed for."""


class VaultInconsistent(WhistleError):
    """The vault's keys are not those that it says it has; the message says which is missing."""


class VaultBackupInvalid(WhistleError):
    """A backup of the vault is not whole, or must not take this vault's place; the message says why."""


class BooksClosed(WhistleError):
    """The log does not have these events any more: they are in the sealed files alone."""

    def __init__(self, first: int) -> None:
        super().__init__(
            f"the books are closed before position {first}: say where the sealed files are (WHISTLE_LEDGER_STORE)"
        )
        self.first = first
        """The first position that the log still has."""


class BooksRefused(WhistleError):
    """The books cannot be closed there, or not yet; the message says why."""


class StoreUnavailable(WhistleError):
    """A store of files gave no definite answer.  Whether a file was written is not known."""


class NotAName(WhistleError):
    """A file cannot be called so."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name[:100]!r}: {reason}")
        self.name = name
        self.reason = reason


class BackupRefused(WhistleError):
    """A backup cannot be made there, or a log not be restored from it; the message says why and what to do."""


class AskRefused(WhistleError):
    """Dispatch refused what a department asked for; nothing came of it."""

    def __init__(self, code: str, reason: str, reason_zh: str, field: str | None = None) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code
        """What a program decides by; it never changes."""
        self.reason = reason
        self.reason_zh = reason_zh
        self.field = field


class NotYet(WhistleError):
    """A past was asked for that is none: the moment, or the position of the log, lies ahead."""

    def __init__(self, reason: str, reason_zh: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reason_zh = reason_zh


class PastTooLong(WhistleError):
    """A past was asked for that holds more events than are read for one question, or that the log has not whole."""

    def __init__(self, reason: str, reason_zh: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reason_zh = reason_zh
