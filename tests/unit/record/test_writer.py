"""Files are written whole or not at all; the reserve is there until it is freed, and only its owner's to free."""

import os
from pathlib import Path

import pytest

from harness.errors import RecordingError
from harness.record.writer import (
    RESERVE_BYTES,
    RESERVE_NAME,
    JsonLines,
    free_left_reserve,
    free_reserve,
    reserve,
    write_json,
    write_text,
)


def test_the_reserve_takes_room_until_it_is_freed(tmp_path: Path) -> None:
    with reserve(tmp_path):
        kept = (tmp_path / RESERVE_NAME).open("rb")
        with kept:
            assert os.fstat(kept.fileno()).st_blocks * 512 >= RESERVE_BYTES
            free_reserve(tmp_path)
            assert os.fstat(kept.fileno()).st_blocks == 0, "its room is there at once, though it is open"
        assert not (tmp_path / RESERVE_NAME).exists()


def test_the_reserve_of_a_live_run_is_left_alone(tmp_path: Path) -> None:
    with reserve(tmp_path):
        free_left_reserve(tmp_path)
        assert (tmp_path / RESERVE_NAME).stat().st_size == RESERVE_BYTES
    assert list(tmp_path.iterdir()) == []


def test_the_reserve_of_a_killed_run_is_freed(tmp_path: Path) -> None:
    (tmp_path / RESERVE_NAME).write_bytes(b"\0" * 1000)
    free_left_reserve(tmp_path)
    free_left_reserve(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    write_json(path, {"status": "pass"})
    (tmp_path / "verdict.json.part").mkdir()  # root may write anywhere, but not into a folder
    with pytest.raises(RecordingError, match=r"cannot write .*verdict\.json: .*--out"):
        write_text(path, "half")
    assert '"pass"' in path.read_text()


def test_no_folder_is_said_so(tmp_path: Path) -> None:
    with (
        pytest.raises(RecordingError, match="free some space there, or choose another folder"),
        reserve(tmp_path / "no"),
    ):
        pass
    with pytest.raises(RecordingError, match="No such file"):
        JsonLines(tmp_path / "no" / "events.jsonl")
