"""Observed: what a run leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Labels = Mapping[str, str]


class Outcome:
    """Names of how a request can end besides what the server calls its error: PostgreSQL's five-character SQLSTATE, MongoDB's
    name of the code, such as ``DuplicateKey``. Plain constants: workers invent ``error:<Type>`` too."""

    OK = "ok"
    POOL_TIMEOUT = "pool_timeout"  # no connection within the pool's wait limit
    TIME_LIMIT = "time_limit"  # given up on by the application
    CONNECTION_LOST = "connection_lost"  # the server went away under it
    CONNECTION_REFUSED = "connection_refused"  # the server could not be reached
    NO_SERVER = "no_server"  # MongoDB: no member could take it in time, as without a primary
    WTIMEOUT = "wtimeout"  # MongoDB: written, but not by as many members as asked for in time, and not undone
    UNCONFIRMED = "unconfirmed"  # MongoDB: likewise for another reason than time, such as a primary that steps down
    CUT_OFF = "cut_off"  # still in flight when the run ended: its time is a lower bound
    OUT_OF_DESCRIPTORS = "out_of_descriptors"  # the generator's own limit: makes the run invalid
    OUT_OF_PORTS = "out_of_ports"  # likewise
    OVER_CAP = "over_cap"  # never begun, because the generator's cap on requests in flight was reached: likewise

    GENERATOR_LIMITS = (OUT_OF_DESCRIPTORS, OUT_OF_PORTS, OVER_CAP)
    #: may have been committed although the client has no acknowledgement; the last ones are MongoDB's for a server that gives
    #: up its work because it stops or is no longer primary
    INDETERMINATE = (
        TIME_LIMIT,
        CONNECTION_LOST,
        CUT_OFF,
        WTIMEOUT,
        UNCONFIRMED,
        "InterruptedAtShutdown",
        "InterruptedDueToReplStateChange",
        "PrimarySteppedDown",
        "ShutdownInProgress",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measured value.

    :param at_s: seconds since the run's origin
    :param metric: name as postgres_exporter or cAdvisor has it; ours begin with ``flashcrowd_``
    """

    at_s: float
    metric: str
    value: float
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened during a run.

    :param kind: ``phase``, ``warning``, ``gap``, ``worker``, ``server``, ``interrupted``, …
    :param text: for people
    :param fields: for programs; JSON values
    """

    at_s: float
    kind: str
    text: str
    fields: Mapping[str, object] = field(default_factory=dict)
