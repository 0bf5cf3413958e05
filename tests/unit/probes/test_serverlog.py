"""The log is followed line by line through rotation, truncation and half-written ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.probes.probe import Unmeasured
from harness.probes.serverlog import ServerLog, wall_s


def line(number: int) -> bytes:
    return json.dumps({"message": f"line {number}"}).encode() + b"\n"


def numbers(log: ServerLog, most: int | None = None) -> list[int]:
    return [int(record["message"].split()[1]) for record in log.read(most)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "postgres.json"
    path.write_bytes(line(0))
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_it_begins_after_what_is_there(file: Path) -> None:
    log = ServerLog(file.parent)
    assert numbers(log) == []
    append(file, line(1) + line(2))
    assert numbers(log) == [1, 2]
    assert numbers(log) == []


def test_half_a_line_waits_for_its_other_half(file: Path) -> None:
    log = ServerLog(file.parent)
    whole = line(1)
    append(file, whole[:9])
    assert numbers(log) == []
    append(file, whole[9:] + line(2)[:5])
    assert numbers(log) == [1]


def test_it_may_begin_within_a_line(file: Path) -> None:
    whole = line(1)
    append(file, whole[:9])
    log = ServerLog(file.parent)
    append(file, whole[9:] + line(2))
    assert numbers(log) == [2]


def test_rotation_to_another_file_loses_nothing(file: Path) -> None:
    log = ServerLog(file.parent)
    append(file, line(1))
    append(file.with_name("postgres-2.json"), line(2))
    append(file.with_name("postgres.log"), b"text, not ours\n")
    assert sorted(numbers(log)) == [1, 2]


def test_a_truncated_file_is_read_from_its_start(file: Path) -> None:
    append(file, line(1) + line(2))
    log = ServerLog(file.parent)
    file.write_bytes(line(3))
    assert numbers(log) == [3]


def test_a_flood_is_read_in_parts(file: Path) -> None:
    log = ServerLog(file.parent)
    append(file, b"".join(line(number) for number in range(1, 101)))
    first = numbers(log, most=len(line(1)) * 10)
    assert 10 <= len(first) < 15
    assert first + numbers(log) == list(range(1, 101))


def test_a_folder_without_such_a_log_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(Unmeasured, match="no JSON log"):
        list(ServerLog(tmp_path).read())


def test_a_time_zone_with_an_ambiguous_name_is_refused() -> None:
    with pytest.raises(Unmeasured, match="not UTC"):
        wall_s({"timestamp": "2026-01-01 00:00:00.000 CST"})
