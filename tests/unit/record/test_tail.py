"""The tail sees every row once, whole, by name."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.record.row import ROW
from harness.record.tail import Tail


def rows(count: int, *, operation: int = 0, outcome: int = 0, took_ns: int = 1_000_000) -> np.ndarray:
    made = np.zeros(count, dtype=ROW)
    made["arrival"] = np.arange(count)
    made["operation"], made["outcome"] = operation, outcome
    made["finished"] = took_ns
    return made


def append(folder: Path, worker: int, data: bytes) -> None:
    with (folder / f"requests-{worker}.rows").open("ab") as file:
        file.write(data)


def name(folder: Path, worker: int, kind: str, code: int, text: str) -> None:
    with (folder / f"requests-{worker}.jsonl").open("a") as file:
        file.write(json.dumps({"kind": kind, "code": code, "name": text}) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for worker in (0, 1):
        name(tmp_path, worker, "operation", 0, "craft")
        name(tmp_path, worker, "outcome", 0, "ok")
    return tmp_path


def test_every_row_is_seen_once(folder: Path) -> None:
    tail = Tail(folder)
    assert len(tail.poll()) == 0
    append(folder, 0, rows(3).tobytes())
    assert tail.poll().count(operation="craft", outcome="ok") == 3
    assert len(tail.poll()) == 0
    append(folder, 0, rows(2).tobytes())
    append(folder, 1, rows(5).tobytes())  # a worker that begins later
    assert len(tail.poll()) == 7


def test_a_torn_row_waits_until_it_is_whole(folder: Path) -> None:
    tail = Tail(folder)
    data = rows(2).tobytes()
    append(folder, 0, data[:57])
    assert len(tail.poll()) == 1
    append(folder, 0, data[57:])
    new = tail.poll()
    assert new.groups["craft", "ok"]["arrival"].tolist() == [1]


def test_names_that_come_later_are_learned(folder: Path) -> None:
    tail = Tail(folder)
    append(folder, 0, rows(1).tobytes())
    tail.poll()
    name(folder, 0, "outcome", 1, "40P01")
    name(folder, 0, "operation", 1, "view")
    append(folder, 0, np.concatenate([rows(4, outcome=1), rows(2, operation=1), rows(1)]).tobytes())
    new = tail.poll()
    assert {key: len(group) for key, group in new.groups.items()} == {
        ("craft", "40P01"): 4,
        ("view", "ok"): 2,
        ("craft", "ok"): 1,
    }
    assert {outcome: len(group) for outcome, group in new.of("craft")} == {"40P01": 4, "ok": 1}


def test_a_code_means_what_its_own_worker_says(folder: Path) -> None:
    for worker, text in ((0, "40P01"), (1, "53300")):
        name(folder, worker, "outcome", 1, text)
        append(folder, worker, rows(worker + 1, outcome=1).tobytes())
    new = Tail(folder).poll()
    assert (new.count(outcome="40P01"), new.count(outcome="53300")) == (1, 2)


def test_response_times_count_from_the_intended_start(folder: Path) -> None:
    late = rows(3, took_ns=5_000_000)
    late["intended"] = -1_000_000
    append(folder, 0, late.tobytes())
    new = Tail(folder).poll()
    assert new.response_s(operation="craft").tolist() == [0.006] * 3
    assert new.response_s(operation="view").tolist() == []


def test_rows_made_into_parquet_are_no_error(folder: Path) -> None:
    tail = Tail(folder)
    append(folder, 0, rows(3).tobytes())
    tail.poll()
    (folder / "requests-0.rows").unlink()
    assert len(tail.poll()) == 0
