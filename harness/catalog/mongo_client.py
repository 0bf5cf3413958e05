"""Checks how an application says that it uses MongoDB, before the driver would, in the middle of a run."""

from __future__ import annotations

from collections.abc import Iterator

from harness.catalog.declared_types import TypeProblem
from harness.model import MongoClientOptions, ReadPreference, Topology

FIELD = "application.mongo"
#: Below, the drivers refuse: members' views of each other are not finer.
LEAST_STALENESS_S = 90
READ_CONCERNS = ("local", "available", "majority", "linearizable", "snapshot")
_LIMITS = ("wtimeout_s", "server_selection_timeout_s", "connect_timeout_s", "socket_timeout_s")
_COUNTS = ("pool_size", "max_connecting")


def mongo_client_problem(options: MongoClientOptions, topology: Topology) -> TypeProblem | None:
    """The first thing that is wrong with the options; None if nothing is."""
    return next(_problems(options, topology), None)


def _problems(options: MongoClientOptions, topology: Topology) -> Iterator[TypeProblem]:
    if topology.mongo is None and options != MongoClientOptions():
        yield TypeProblem(field=FIELD, value=options, expected="nothing: topology.mongo is None")
    for name in _COUNTS:
        count = getattr(options, name)
        if count is not None and count < 1:
            yield TypeProblem(field=f"{FIELD}.{name}", value=count, expected="at least 1")
    for name in _LIMITS:
        limit_s = getattr(options, name)
        if limit_s is not None and limit_s < 0.001:
            yield TypeProblem(field=f"{FIELD}.{name}", value=limit_s, expected="at least 0.001: the driver counts ms")
    staleness_s = options.max_staleness_s
    if staleness_s is not None and staleness_s < LEAST_STALENESS_S:
        yield TypeProblem(field=f"{FIELD}.max_staleness_s", value=staleness_s, expected=f"at least {LEAST_STALENESS_S}")
    if staleness_s is not None and options.read_preference is ReadPreference.PRIMARY:
        yield TypeProblem(
            field=f"{FIELD}.max_staleness_s",
            value=staleness_s,
            expected="None, or a read_preference other than primary, which is never behind",
        )
    if options.read_concern is not None and options.read_concern not in READ_CONCERNS:
        yield TypeProblem(
            field=f"{FIELD}.read_concern", value=options.read_concern, expected=f"one of {', '.join(READ_CONCERNS)}"
        )
    concern = options.write_concern
    if concern == "" or (isinstance(concern, int) and concern < 0):
        yield TypeProblem(
            field=f"{FIELD}.write_concern", value=concern, expected="a number of members, majority, or a tag"
        )
    if concern == 0 and (options.journal or options.wtimeout_s is not None):
        yield TypeProblem(
            field=f"{FIELD}.write_concern", value=concern, expected="1 or more: with 0 nothing is waited for"
        )
