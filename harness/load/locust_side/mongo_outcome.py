"""How a failure that PyMongo raised is named.

An error of the server's has the name that MongoDB gives its code (``DuplicateKey`` for 11000, ``MaxTimeMSExpired`` for 50),
``Location<code>`` where the code has none, which is MongoDB's own way. What became of the connection or of the write concern is
named by :class:`harness.model.Outcome`.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from typing import Any

from pymongo.errors import (
    BulkWriteError,
    ClientBulkWriteException,
    ConnectionFailure,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from harness.model import Outcome

#: Codes that come without their name: errors of single writes, and those that the driver makes itself
#: (names: src/mongo/base/error_codes.yml of MongoDB).
_NAMES = {
    2: "BadValue",
    9: "FailedToParse",
    14: "TypeMismatch",
    28: "PathNotViable",
    40: "ConflictingUpdateOperators",
    43: "CursorNotFound",
    50: "MaxTimeMSExpired",
    52: "DollarPrefixedFieldName",
    54: "NotSingleValueField",
    61: "ShardKeyNotFound",
    66: "ImmutableField",
    91: "ShutdownInProgress",
    112: "WriteConflict",
    121: "DocumentValidationFailure",
    146: "ExceededMemoryLimit",
    189: "PrimarySteppedDown",
    10107: "NotWritablePrimary",
    10334: "BSONObjectTooLarge",
    11000: "DuplicateKey",
    11600: "InterruptedAtShutdown",
    11601: "Interrupted",
    11602: "InterruptedDueToReplStateChange",
    13435: "NotPrimaryNoSecondaryOk",
    13436: "NotPrimaryOrSecondary",
}
_BY_ERRNO = {
    errno.EMFILE: Outcome.OUT_OF_DESCRIPTORS,
    errno.ENFILE: Outcome.OUT_OF_DESCRIPTORS,
    errno.EADDRNOTAVAIL: Outcome.OUT_OF_PORTS,
    errno.ECONNREFUSED: Outcome.CONNECTION_REFUSED,
}
#: Of a reply, what varies from request to request and says nothing of the failure.
_NOISE = ("$clusterTime", "operationTime", "electionId", "opTime", "ok", "topologyVersion")


def outcome_of_mongo(error: PyMongoError) -> str:
    """The outcome's name."""
    if isinstance(error, WaitQueueTimeoutError):
        return Outcome.POOL_TIMEOUT
    if isinstance(error, ServerSelectionTimeoutError):
        # The generator may itself be why nobody can be reached; the driver has it in its text alone.
        return _own_limit(str(error)) or Outcome.NO_SERVER
    if isinstance(error, WTimeoutError):
        return Outcome.WTIMEOUT
    if isinstance(error, WriteConcernError):
        return Outcome.UNCONFIRMED
    if isinstance(error, BulkWriteError | ClientBulkWriteException):
        return _of_bulk(error)
    if isinstance(error, NotPrimaryError | OperationFailure):
        return _name(_reply(error)) or f"error:{type(error).__name__}"
    if isinstance(error, ConnectionFailure):
        cause = error.__cause__
        found = _BY_ERRNO.get(cause.errno or 0) if isinstance(cause, OSError) else None
        return found or Outcome.CONNECTION_LOST
    return f"error:{type(error).__name__}"


def message_of_mongo(error: PyMongoError) -> str:
    """What the server said, without its whole reply, which the driver appends."""
    said = _reply(error).get("errmsg")
    return str(said or error)


def detail_of_mongo(error: PyMongoError) -> str:
    """The server's reply as JSON, without what varies from request to request; empty where there is none."""
    reply = {key: value for key, value in _reply(error).items() if key not in _NOISE and key != "errmsg"}
    return json.dumps(reply, default=str) if reply else ""


def _of_bulk(error: BulkWriteError | ClientBulkWriteException) -> str:
    inner = error.details.get("error")
    if isinstance(inner, PyMongoError):
        return outcome_of_mongo(inner)
    if name := _name(_reply(error)):
        return name
    timed_out = any((each.get("errInfo") or {}).get("wtimeout") for each in error.details.get("writeConcernErrors", ()))
    return Outcome.WTIMEOUT if timed_out else Outcome.UNCONFIRMED


def _reply(error: PyMongoError) -> Mapping[str, Any]:
    """The server's document about the failure; of several writes' the first."""
    details = getattr(error, "details", None)
    if not isinstance(details, Mapping):
        return {}
    errors = details.get("writeErrors") if isinstance(error, BulkWriteError | ClientBulkWriteException) else None
    first = errors[0] if errors else details
    return first if isinstance(first, Mapping) else {}


def _name(reply: Mapping[str, Any]) -> str | None:
    code = reply.get("code")
    if code is None:
        return None
    return str(reply.get("codeName") or _NAMES.get(code) or f"Location{code}")


def _own_limit(text: str) -> str | None:
    limits = (number for number, outcome in _BY_ERRNO.items() if outcome in Outcome.GENERATOR_LIMITS)
    return next((_BY_ERRNO[number] for number in limits if f"[Errno {number}]" in text), None)
