"""How a request ended, in words."""

from __future__ import annotations

from harness.model import Outcome

_WORDS = {
    Outcome.POOL_TIMEOUT: "no connection from the pool in time",
    Outcome.TIME_LIMIT: "given up on by the application",
    Outcome.CONNECTION_LOST: "connection lost",
    Outcome.CONNECTION_REFUSED: "connection refused",
    Outcome.NO_SERVER: "no suitable MongoDB member in time",
    Outcome.WTIMEOUT: "written, not confirmed in time",
    Outcome.UNCONFIRMED: "written, not confirmed",
    Outcome.CUT_OFF: "cut off by the end of the run",
    Outcome.OUT_OF_DESCRIPTORS: "generator out of descriptors",
    Outcome.OUT_OF_PORTS: "generator out of ports",
    Outcome.OVER_CAP: "generator at its cap, never begun",
    "40P01": "deadlock",
    "40001": "serialisation failure",
    "53300": "too many connections",
    "55P03": "lock not available",
    "57014": "statement timeout",
    "57P01": "terminated by the server",
    "23505": "unique violation",
    "DuplicateKey": "duplicate key",
    "MaxTimeMSExpired": "server's time limit",
    "NotWritablePrimary": "not the primary",
    "PrimarySteppedDown": "primary stepped down",
    "WriteConflict": "write conflict",
}


def in_words(outcome: str) -> str:
    """What the outcome means, with its SQLSTATE where it is one.

    >>> in_words("40P01"), in_words("pool_timeout"), in_words("P0001")
    ('deadlock (40P01)', 'no connection from the pool in time', 'SQLSTATE P0001')
    """
    words = _WORDS.get(outcome)
    is_sqlstate = len(outcome) == 5 and outcome.isalnum() and outcome == outcome.upper()
    if words is None:
        return f"SQLSTATE {outcome}" if is_sqlstate else outcome
    return f"{words} ({outcome})" if is_sqlstate else words
