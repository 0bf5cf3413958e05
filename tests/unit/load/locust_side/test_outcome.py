"""Failures are named by what the server said, else by what became of the connection."""

import asyncio
import errno

import asyncpg
import psycopg
import pytest

from harness.load.locust_side.outcome import Declined, PoolTimeout, detail_of, outcome_of

CASES = {
    "deadlock, asyncpg": (asyncpg.DeadlockDetectedError("deadlock detected"), "40P01"),
    "deadlock, psycopg": (psycopg.errors.DeadlockDetected("deadlock detected"), "40P01"),
    "statement timeout": (asyncpg.QueryCanceledError("canceling statement due to statement timeout"), "57014"),
    "too many connections": (asyncpg.TooManyConnectionsError("sorry, too many clients already"), "53300"),
    "server shuts down": (asyncpg.AdminShutdownError("terminating connection"), "57P01"),
    "server gone, asyncpg": (asyncpg.ConnectionDoesNotExistError("connection was closed"), "connection_lost"),
    "closed, asyncpg": (asyncpg.InterfaceError("connection is closed"), "connection_lost"),
    "closed, psycopg": (psycopg.OperationalError("the connection is closed"), "connection_lost"),
    "refused, psycopg": (psycopg.OperationalError("connection failed: Connection refused"), "connection_refused"),
    "refused": (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "connection_refused"),
    "refused at several addresses": (
        OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect call failed"),
        "connection_refused",
    ),
    "reset": (ConnectionResetError(errno.ECONNRESET, "reset by peer"), "connection_lost"),
    "descriptors": (OSError(errno.EMFILE, "Too many open files"), "out_of_descriptors"),
    "ports": (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "out_of_ports"),
    "pool": (PoolTimeout(), "pool_timeout"),
    "time limit": (TimeoutError(), "time_limit"),
    "cut off": (asyncio.CancelledError(), "cut_off"),
    "declined": (Declined("sold_out"), "sold_out"),
    "a mistake in an operation": (KeyError("x"), "error:KeyError"),
}


@pytest.mark.parametrize(("error", "name"), CASES.values(), ids=CASES.keys())
def test_outcome(error: BaseException, name: str) -> None:
    assert outcome_of(error) == name


def test_detail_is_the_servers() -> None:
    error = asyncpg.DeadlockDetectedError("deadlock detected")
    error.detail = "Process 1 waits for ShareLock on transaction 2; blocked by process 3."
    assert detail_of(error) == error.detail
    assert detail_of(KeyError("x")) == ""
