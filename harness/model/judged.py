"""Judged: what criteria, invariants and counts came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.model.incident import Expect


class Status(StrEnum):
    """pass, fail or unknown."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What evaluating one criterion on one run gave.

    :param held: whether the criterion is true; None is unknown, and unknown never passes
    :param value: the value that was compared, in ``unit``; for a ``for`` criterion the best that was sustained that long
    :param first_s: when the comparison was first true, seconds since the origin; None if never
    :param worst: the most extreme single value: the largest, or the smallest where the criterion speaks of a minimum
    :param count: how many samples or requests satisfied the comparison
    :param why_unknown: why ``held`` is None
    """

    name: str
    criterion: str
    held: bool | None
    value: float | None
    unit: str
    first_s: float | None = None
    worst: float | None = None
    count: int | None = None
    why_unknown: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """What checking the dataset after a variant gave.

    :param violations: how many rows break it; None if it could not be checked
    """

    name: str
    violations: int | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlockCount:
    """The same deadlocks counted by three parties that do not know of each other.

    :param client: requests that failed with SQLSTATE 40P01
    :param log: deadlock reports in the server's log
    :param counter: increase of ``pg_stat_database.deadlocks``
    :param matched: reports of the log whose victim is one of the client's failures
    """

    client: int | None
    log: int | None
    counter: int | None
    matched: int | None

    @property
    def agree(self) -> bool | None:
        """Whether all three are equal; None where one was not measured."""
        counts = (self.client, self.log, self.counter)
        return None if None in counts else len(set(counts)) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantVerdict:
    """One variant's run, judged.

    :param valid: False where the measurement cannot be trusted: neither pass nor fail
    :param deadlocks: None: there was no PostgreSQL, which alone counts them
    :param notes: what must be known to read its figures; they change no verdict
    """

    variant: str
    expect: Expect
    valid: bool
    why_invalid: tuple[str, ...]
    symptoms: tuple[Finding, ...]
    thresholds: tuple[Finding, ...]
    invariants: tuple[Invariant, ...]
    deadlocks: DeadlockCount | None
    status: Status
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An experiment, judged.

    :param reproduced: every symptom held in the variants that expect them; None if unknown or not run
    :param fixed: no symptom held in the variants that claim to be fixed; None likewise
    """

    incident: str
    status: Status
    reproduced: bool | None
    fixed: bool | None
    variants: tuple[VariantVerdict, ...]
