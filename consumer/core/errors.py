"""All faults of this program in one family, each with its reason code and whether trying again
can help.

`http.errors` maps the families to statuses, `ingest.ingest` decides what is kept.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import ClassVar


class ConsumerError(Exception):
    """Base of all faults of this program.

    `reason` is the code stored, counted and logged; `retryable` says whether waiting alone can
    help. The text of an error reaches logs and senders: it never holds a payload value or a secret.
    """

    reason: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    @property
    def explained(self) -> str:
        """The text for whoever can change the settings."""
        return str(self)


class SignatureError(ConsumerError):
    """The delivery is not proven to come from its source (401).

    `challenge` is the text of WWW-Authenticate, where there is one.
    """

    def __init__(self, message: str, *, challenge: str | None = None) -> None:
        super().__init__(message)
        self.challenge = challenge

    def alone(self) -> SignatureError:
        """The same error without the frames that it was raised in."""
        return type(self)(str(self), challenge=self.challenge)


class SignatureMissing(SignatureError):
    reason = "signature_missing"


class SignatureInvalid(SignatureError):
    reason = "signature_invalid"


class CredentialInvalid(SignatureInvalid):
    """A token or password that is not right; the text says of what kind it is."""


class Rejected(ConsumerError):
    """A verified delivery that is not an event we can keep as a document (400)."""


class MalformedJson(Rejected):
    """`position` is the byte at which reading failed, where known."""

    reason = "malformed_json"

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class MissingFields(Rejected):
    """`advice` is what may put it right, for others than the sender."""

    reason = "missing_fields"

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice

    @property
    def explained(self) -> str:
        return f"{self}; {self.advice}" if self.advice else str(self)


class Unstorable(Rejected):
    """JSON that BSON cannot hold unaltered: 1e400, lone surrogates, NUL in a key, over 16 MB."""

    reason = "unstorable"


class TooDeep(Rejected):
    reason = "too_deep"


class Held(ConsumerError):
    """A good event that must wait for a person or another setting (202 `held`)."""

    @property
    def details(self) -> dict[str, object]:
        """Further fields of its dead letter."""
        return {}


class IdConflict(Held):
    reason = "id_conflict"


class SourceUnknown(Held):
    """The source that a delivery came by is not in the settings any more."""

    reason = "source_unknown"


class ContractHold(Held):
    """`changes` is what the delivery would change, as plain documents for its dead letter: the
    first of them, where they are many."""

    reason = "contract_hold"

    def __init__(self, message: str, changes: list[dict[str, object]]) -> None:
        super().__init__(message)
        self.changes = changes

    @property
    def details(self) -> dict[str, object]:
        return {"changes": self.changes}


class ChangeRejected(ContractHold):
    """A person rejected such a change with all deliveries that bring it: the letter is kept for a
    while, and nobody waits for it (202 `discarded`)."""

    reason = "change_rejected"


class ConstraintViolation(Held):
    """An index or validator of the user's own refused the document; `refusal` is the server's write
    error, which quotes values, `constraints` the digest of what there was that may refuse."""

    reason = "constraint_violation"

    def __init__(
        self, message: str, refusal: Mapping[str, object] | None = None, constraints: str = ""
    ) -> None:
        super().__init__(message)
        self.refusal = refusal or {}
        self.constraints = constraints

    @property
    def details(self) -> dict[str, object]:
        return {"constraints": self.constraints} if self.constraints else {}


class StoreError(Held):
    """MongoDB answered, but refused this one document for a reason we do not know."""

    reason = "store_error"
    retryable = True


class SchemaMoved(ConsumerError):
    """The head is no longer the version that somebody looked at and decided on."""

    reason = "schema_moved"

    def __init__(self, subject: str, now: int, then: int) -> None:
        super().__init__(
            f'schema "{subject}" is at version {now}, you approved {then}: reload and approve again'
        )


class StoreUnavailable(ConsumerError):
    """MongoDB cannot take anything now, or its answer was lost: nothing may be assumed (503).

    `away`: the driver itself found it so. Else this one thing could not be done, for a bound of
    ours or its own sake, and the next may well be.
    """

    reason = "store_unavailable"
    retryable = True

    def __init__(self, message: str, *, away: bool = False) -> None:
        super().__init__(message)
        self.away = away


class FormatTooNew(StoreUnavailable):
    """A newer version of this program has written there: this one must not (exit 2)."""

    reason = "format_too_new"

    def __init__(self, message: str) -> None:
        # Nothing at all can be stored there, just as if it were away.
        super().__init__(message, away=True)


class SetupError(ConsumerError):
    """The program cannot start or go on as it was set up; the text says what to do (exit 1)."""

    reason = "setup"


class NoMongo(SetupError):
    """No MongoDB was named, and none of ours runs (exit 2)."""


def place_of(error: BaseException) -> str:
    """The place of an unexpected exception, without its message, which may quote a payload."""
    return "".join(traceback.format_tb(error.__traceback__))


def fault_of(error: Exception) -> str:
    """A fault of this program in words that quote nothing."""
    return f"unexpected {type(error).__name__}: the log says where"
