"""Metric names are those of mongodb_exporter, and tickets are found in every version's place."""

from __future__ import annotations

from typing import Any

import pytest

from harness.probes.mongo.exporter import figures
from harness.probes.mongo.member import tickets

SIX: dict[str, Any] = {
    "wiredTiger": {
        "concurrentTransactions": {
            "write": {"out": 2, "available": 126, "totalTickets": 128},
            "read": {"out": 128, "available": 0, "totalTickets": 128},
        }
    }
}
EIGHT: dict[str, Any] = {
    "queues": {
        "execution": {
            "write": {"out": 2, "available": 6, "totalTickets": 8, "normalPriority": {"queueLength": 4}},
            "read": {"out": 9, "available": -1, "totalTickets": 8, "normalPriority": {"queueLength": 0}},
        },
        "ingress": {"admission": {"out": 1}},
    }
}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(SIX, {"read": (128, 128), "write": (2, 128)}, id="6 and 7"),
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
