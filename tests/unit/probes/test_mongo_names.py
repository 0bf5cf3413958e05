"""Metric names are those of mongodb_exporter, and tickets are found in every version's place."""

from __future__ import annotations

from typing import Any

import pytest

from harness.probes.mongo.exporter import figures
from harness.probes.mongo.member import _of_status, tickets
from harness.series.mongo import SERIES


def _sections(**differing: Any) -> dict[str, Any]:
    """What serverStatus has in every version, and what differs."""
    return {
        "asserts": {"regular": 0, "user": 3},
        "connections": {"current": 9, "available": 991, "totalCreated": 40, "rejected": 0, "active": 2, "threaded": 9},
        "flowControl": {"enabled": True, "targetRateLimit": 1000000000, "isLagged": False, "isLaggedCount": 0},
        "globalLock": {
            "totalTime": 9000000,
            "currentQueue": {"total": 4, "readers": 0, "writers": 4},
            "activeClients": {"total": 6, "readers": 4, "writers": 2},
        },
        "opcounters": {
            "insert": 4,
            "query": 5,
            "update": 6,
            "delete": 0,
            "getmore": 1,
            "command": 70,
            "deprecated": {},
        },
        "network": {"bytesIn": 10, "bytesOut": 20, "numRequests": 3, "compression": {"snappy": {}}},
        "wiredTiger": {"cache": {"bytes currently in the cache": 5, "maximum bytes configured": 100, "pages read": 1}},
    } | differing


def _queue(length: int) -> dict[str, int]:
    return {"addedToQueue": 9, "removedFromQueue": 9 - length, "queueLength": length, "processing": 2, "canceled": 0}


SIX = _sections(
    wiredTiger={
        "concurrentTransactions": {
            "write": {"out": 2, "available": 126, "totalTickets": 128},
            "read": {"out": 128, "available": 0, "totalTickets": 128},
        }
    }
)
#: Tickets are dynamic, and where they wait is told.
SEVEN = _sections(
    wiredTiger={
        "concurrentTransactions": {
            "write": {"out": 2, "available": 6, "totalTickets": 8, "exempt": _queue(0), "normalPriority": _queue(4)},
            "read": {"out": 3, "available": 5, "totalTickets": 8, "exempt": _queue(0), "normalPriority": _queue(0)},
            "monitor": {"timesDecreased": 7, "timesIncreased": 3},
        }
    }
)
#: They moved; and (as from 7.0.23) connections that are not established yet are told apart.
EIGHT = _sections(
    connections={
        "current": 9,
        "available": 990,
        "queued": 1,
        "totalCreated": 40,
        "rejected": 0,
        "active": 2,
        "establishmentRateLimit": {"totalRejectedConnections": 0, "totalExemptedFromEstablishmentRateLimiting": 2},
    },
    queues={
        "execution": {
            "write": {"out": 2, "available": 6, "totalTickets": 8, "exempt": _queue(0), "normalPriority": _queue(4)},
            "read": {"out": 9, "available": -1, "totalTickets": 8, "exempt": _queue(0), "normalPriority": _queue(0)},
            "monitor": {"timesDecreased": 7, "timesIncreased": 3},
        },
        "ingress": {"admission": {"out": 1}},
    },
)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(SIX, {"read": (128, 128), "write": (2, 128)}, id="6"),
        pytest.param(SEVEN, {"read": (3, 8), "write": (2, 8)}, id="7"),
        # Dynamic tickets may be lowered below those that are out.
        pytest.param(EIGHT, {"read": (9, 9), "write": (2, 8)}, id="8"),
        pytest.param({"wiredTiger": {}, "queues": {}}, {}, id="another storage engine"),
    ],
)
def test_tickets(status: dict[str, Any], expected: dict[str, tuple[int, int]]) -> None:
    found: dict[str, list[float]] = {}
    for metric, labels, value in tickets(status):
        assert metric in ("flashcrowd_mongodb_tickets_out", "flashcrowd_mongodb_tickets_limit")
        found.setdefault(labels["txn_rw_type"], []).append(value)
    assert {kind: tuple(values) for kind, values in found.items()} == expected


def test_names_follow_the_path() -> None:
    found = {
        (metric, *labels.items()): value
        for section in ("opcounters", "globalLock", "queues")
        for metric, labels, value in figures(
            f"serverStatus.{section}",
            {
                "opcounters": {"insert": 4},
                "globalLock": {"currentQueue": {"total": 3}, "activeClients": {"total": 1}},
                "queues": EIGHT["queues"],
            }[section],
        )
    }
    assert found["mongodb_ss_opcounters", ("legacy_op_type", "insert")] == 4
    assert found["mongodb_ss_globalLock_currentQueue", ("count_type", "total")] == 3
    assert found["mongodb_ss_globalLock_activeClients_total",] == 1
    assert found["mongodb_ss_queues_execution_write_normalPriority_queueLength",] == 4


def test_what_is_no_number_is_left_out() -> None:
    assert list(figures("serverStatus.x", {"name": "a", "list": [1], "none": None, "on": True})) == [
        ("mongodb_ss_x_on", {}, 1.0)
    ]


@pytest.mark.parametrize(
    "status", [pytest.param(SIX, id="6"), pytest.param(SEVEN, id="7"), pytest.param(EIGHT, id="8")]
)
def test_every_series_that_serverstatus_tells_of_is_there_in_every_version(status: dict[str, Any]) -> None:
    found = {(metric, *sorted(labels.items())): value for metric, labels, value in _of_status(status)}
    wanted = {
        metric
        for series in SERIES
        for metric in (series.metric, series.per)
        if metric is not None and metric.startswith(("mongodb_ss_", "flashcrowd_mongodb_tickets_"))
    }
    assert wanted and wanted <= {metric for metric, *_ in found}
    assert found["mongodb_ss_globalLock_currentQueue", ("count_type", "total")] == 4
    assert found["mongodb_ss_flowControl_isLagged",] == 0
    assert [value for (metric, *labels), value in found.items() if metric == "mongodb_ss_opcounters"] == [
        4,
        5,
        6,
        0,
        1,
        70,
    ]


def test_what_only_newer_versions_tell_has_a_name_of_its_own_and_is_no_zero_in_older_ones() -> None:
    six, seven, eight = (
        {(metric, *sorted(labels.items())): value for metric, labels, value in _of_status(status)}
        for status in (SIX, SEVEN, EIGHT)
    )
    queued = ("mongodb_ss_connections", ("conn_type", "queued"))
    assert eight[queued] == 1
    assert queued not in six and queued not in seven
    waiting = "write_normalPriority_queueLength"
    assert seven[f"mongodb_ss_wt_concurrentTransactions_{waiting}",] == 4
    assert eight[f"mongodb_ss_queues_execution_{waiting}",] == 4
    assert not [metric for metric, *_ in six if metric.endswith("queueLength")]
    assert eight["mongodb_ss_connections_establishmentRateLimit_totalExemptedFromEstablishmentRateLimiting",] == 2
