"""Failures of PyMongo are named as MongoDB names their code, else by what became of connection or write concern."""

import errno
from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    CursorNotFound,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WriteError,
    WTimeoutError,
)

from harness.load.locust_side.outcome import detail_of, message_of, outcome_of
from harness.model import Outcome

DUPLICATE = {"index": 0, "code": 11000, "errmsg": "E11000 duplicate key", "keyValue": {"_id": 1}}
TIMED_OUT = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting timed out", "errInfo": {"wtimeout": True}}
TOO_MANY = {"code": 100, "codeName": "UnsatisfiableWriteConcern", "errmsg": "Not enough data-bearing nodes"}


def because(error: PyMongoError, cause: BaseException) -> PyMongoError:
    error.__cause__ = cause
    return error


def bulk(writes: list[Any] | None = None, concerns: list[Any] | None = None) -> BulkWriteError:
    return BulkWriteError({"writeErrors": writes or [], "writeConcernErrors": concerns or [], "nInserted": 1})


CASES = {
    "of one write, whose name does not come with it": (DuplicateKeyError("E11000", 11000, DUPLICATE), "DuplicateKey"),
    "of a command, whose name comes with it": (
        OperationFailure("no", 112, {"ok": 0, "code": 112, "codeName": "WriteConflict"}),
        "WriteConflict",
    ),
    "without a name": (WriteError("no", 5787401, {"code": 5787401}), "Location5787401"),
    "made by the driver": (ExecutionTimeout("would exceed", 50, {"ok": 0, "code": 50}), "MaxTimeMSExpired"),
    "cursor": (CursorNotFound("gone", 43, {"ok": 0, "code": 43}), "CursorNotFound"),
    "not the primary": (NotPrimaryError("not primary", {"ok": 0, "code": 10107}), "NotWritablePrimary"),
    "an old server's, without a code": (NotPrimaryError("not master", {"ok": 0}), "error:NotPrimaryError"),
    "several writes": (bulk([DUPLICATE], [TIMED_OUT]), "DuplicateKey"),
    "several writes, not confirmed in time": (bulk(concerns=[TIMED_OUT]), "wtimeout"),
    "several writes, not confirmed": (bulk(concerns=[TOO_MANY]), "unconfirmed"),
    "not confirmed in time": (WTimeoutError("waiting timed out", 64, TIMED_OUT), "wtimeout"),
    "not confirmed": (WriteConcernError("Not enough data-bearing nodes", 100, TOO_MANY), "unconfirmed"),
    "pool": (WaitQueueTimeoutError("Timed out while checking out a connection"), "pool_timeout"),
    "no member": (ServerSelectionTimeoutError("No replica set members match selector"), "no_server"),
    "no member, for want of descriptors": (
        ServerSelectionTimeoutError("127.0.0.1:1: [Errno 24] Too many open files"),
        "out_of_descriptors",
    ),
    "network": (AutoReconnect("connection closed"), "connection_lost"),
    "no answer": (NetworkTimeout("timed out"), "connection_lost"),
    "refused": (because(AutoReconnect("x"), ConnectionRefusedError(errno.ECONNREFUSED, "x")), "connection_refused"),
    "reset": (because(AutoReconnect("x"), ConnectionResetError(errno.ECONNRESET, "x")), "connection_lost"),
    "descriptors": (because(AutoReconnect("x"), OSError(errno.EMFILE, "x")), "out_of_descriptors"),
    "ports": (because(AutoReconnect("x"), OSError(errno.EADDRNOTAVAIL, "x")), "out_of_ports"),
    "a mistake in an operation": (InvalidOperation("x"), "error:InvalidOperation"),
}


@pytest.mark.parametrize(("error", "name"), CASES.values(), ids=CASES.keys())
def test_outcome(error: PyMongoError, name: str) -> None:
    assert outcome_of(error) == name


def test_what_may_have_been_written_is_indeterminate() -> None:
    may_be_there = {name for error, name in CASES.values() if name in Outcome.INDETERMINATE}
    assert may_be_there == {"wtimeout", "unconfirmed", "connection_lost"}


def test_message_and_detail_are_the_servers() -> None:
    reply = {
        "ok": 0.0,
        "errmsg": "Plan executor error",
        "code": 112,
        "codeName": "WriteConflict",
        "$clusterTime": {"clusterTime": 1},
        "operationTime": 7,
    }
    error = OperationFailure("Plan executor error", 112, reply)
    assert message_of(error) == "Plan executor error"
    assert detail_of(error) == '{"code": 112, "codeName": "WriteConflict"}'
    assert message_of(bulk([DUPLICATE])) == "E11000 duplicate key"
    assert '"keyValue": {"_id": 1}' in detail_of(bulk([DUPLICATE]))
    lost = AutoReconnect("connection closed")
    assert (message_of(lost), detail_of(lost)) == ("connection closed", "")
