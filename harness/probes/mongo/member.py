"""One member: its connections, operations, queues, tickets and flow control, and the index builds on it.

Names are mongodb_exporter's with the label ``member``. What differs between MongoDB 6, 7 and 8 is built from the fields that
exist: the tickets moved from ``wiredTiger.concurrentTransactions`` to ``queues.execution``, and what ``connections`` counts
changed, which is why clients are counted among the operations, where ours and those of the other members can be told apart.
``opcounters`` cannot be: the probes add one update and one query a second to the primary, one query to the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.model import Sample
from harness.probes.mongo.connection import APPLICATION_NAME, MemberConnection
from harness.probes.mongo.exporter import figures

#: Parts of serverStatus that cost time or bytes and are not used.
_LEFT_OUT = (
    "catalogStats", "electionMetrics", "indexStats", "locks", "logicalSessionRecordCache", "metrics", "mirroredReads", "repl",
    "security", "storageEngine", "tcmalloc", "tenantMigrations", "transportSecurity", "trafficRecording",
)  # fmt: skip
_SECTIONS = (
    "asserts", "connections", "flowControl", "globalLock", "mem", "opLatencies", "opcounters", "opcountersRepl", "queues",
)  # fmt: skip
_CACHE = (
    "bytes currently in the cache", "bytes read into cache", "bytes written from cache", "maximum bytes configured",
    "pages evicted by application threads", "tracked dirty bytes in the cache",
)  # fmt: skip

#: A client is somebody with a connection who is neither one of our probes nor another member.
_DRIVER = {"$ifNull": ["$clientMetadata.driver.name", ""]}
_CLIENT = {
    "$and": [
        {"$gt": ["$connectionId", None]},
        {"$ne": ["$appName", APPLICATION_NAME]},
        {"$not": {"$regexMatch": {"input": _DRIVER, "regex": "^(NetworkInterfaceTL|MongoDB Internal Client)"}}},
    ]
}
#: A driver's monitoring waits in a hello for as long as nothing changes: that is no work.
_AT_WORK = {
    "$and": [
        _CLIENT,
        "$active",
        *({"$eq": [{"$type": f"$command.{name}"}, "missing"]} for name in ("hello", "isMaster", "ismaster")),
    ]
}
#: The thread that builds; the client's command, which waits for it, is another operation.
_BUILDS = {
    "$and": [
        "$active",
        {"$not": {"$gt": ["$connectionId", None]}},
        {
            "$or": [
                {"$regexMatch": {"input": {"$ifNull": ["$msg", ""]}, "regex": "^Index Build"}},
                {"$regexMatch": {"input": {"$ifNull": ["$desc", ""]}, "regex": "^IndexBuildsCoordinator"}},
            ]
        },
    ]
}
_OPERATIONS = (
    {
        "$group": {
            "_id": None,
            "clients": {"$sum": {"$cond": [_CLIENT, 1, 0]}},
            "at_work": {"$sum": {"$cond": [_AT_WORK, 1, 0]}},
            "longest_us": {"$max": {"$cond": [_AT_WORK, "$microsecs_running", 0]}},
            "builds": {"$sum": {"$cond": [_BUILDS, 1, 0]}},
        }
    },
)


class MemberProbe:
    """One member's own figures. The probe is named after it."""

    def __init__(self, connection: MemberConnection) -> None:
        self.name = connection.name
        self._connection = connection

    async def sample(self, at_s: float) -> list[Sample]:
        """``mongodb_ss_*`` and, from the operations in progress, ``flashcrowd_mongodb_*``."""
        status = await self._connection.command({"serverStatus": 1, **dict.fromkeys(_LEFT_OUT, 0)})
        [operations] = await self._connection.operations(_OPERATIONS)
        return [
            Sample(at_s=at_s, metric=metric, value=value, labels={"member": self.name, **labels})
            for found in (_of_status(status), _of_operations(operations))
            for metric, labels, value in found
        ]

    async def close(self) -> None:
        """Nothing is held: whoever made the connection closes it."""


def _of_status(status: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    for section in _SECTIONS:
        if isinstance(status.get(section), Mapping):
            yield from figures(f"serverStatus.{section}", status[section])
    network = {name: value for name, value in status.get("network", {}).items() if not isinstance(value, Mapping)}
    yield from figures("serverStatus.network", network)
    engine = status.get("wiredTiger", {})
    cache = {name: value for name, value in engine.get("cache", {}).items() if name in _CACHE}
    yield from figures("serverStatus.wiredTiger.cache", cache)
    yield from figures("serverStatus.wiredTiger.concurrentTransactions", engine.get("concurrentTransactions", {}))
    yield from tickets(status)


def tickets(status: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    """Tickets of the storage engine, out and in all, under one name for every version; nothing where there are none.

    >>> list(tickets({"queues": {"execution": {"read": {"out": 3, "available": 5}}}}))[0]
    ('flashcrowd_mongodb_tickets_out', {'txn_rw_type': 'read'}, 3.0)
    """
    found = (
        status.get("wiredTiger", {}).get("concurrentTransactions") or status.get("queues", {}).get("execution") or {}
    )
    for kind in ("read", "write"):
        entry = found.get(kind)
        if isinstance(entry, Mapping) and "out" in entry and "available" in entry:
            labels = {"txn_rw_type": kind}
            yield "flashcrowd_mongodb_tickets_out", labels, float(entry["out"])
            yield "flashcrowd_mongodb_tickets_limit", labels, float(entry["out"] + max(0, entry["available"]))


def _of_operations(operations: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    yield "flashcrowd_mongodb_client_connections", {}, float(operations["clients"])
    yield "flashcrowd_mongodb_active_operations", {}, float(operations["at_work"])
    yield "flashcrowd_mongodb_longest_operation_seconds", {}, float(operations["longest_us"] or 0) / 1e6
    yield "flashcrowd_mongodb_index_builds", {}, float(operations["builds"])
