"""A run folder is read back exactly, whole or torn."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.errors import RunFolderError
from harness.model import Event, Sample
from harness.record import format as layout
from harness.record.reader import Run
from harness.record.row import ROW
from harness.record.writer import EventWriter, SampleWriter, write_json


def make_run(folder: Path, *, requests: int = 1000, finished: bool = True) -> np.ndarray:
    """A small run folder with one worker; returns its rows."""
    write_json(folder / layout.RUN, {"format": layout.VERSION, "incident": "x", "variant": "before"})
    rng = np.random.default_rng(1)
    rows = np.zeros(requests, dtype=ROW)
    rows["intended"] = np.arange(requests) * 10_000_000
    rows["started"] = rows["intended"] + rng.integers(0, 1_000_000, requests)
    rows["acquired"] = rows["started"] + rng.integers(0, 1_000_000, requests)
    rows["acquired"][:10] = layout.NOT_REACHED
    rows["finished"] = rows["started"] + rng.integers(1_000_000, 10**10, requests)
    rows["arrival"] = np.arange(requests)
    rows["operation"] = np.arange(requests) % 2
    rows["attempt"] = 1
    (folder / "requests-0.rows").write_bytes(rows.tobytes())
    codes = [("operation", 0, "craft"), ("operation", 1, "view"), ("outcome", 0, "ok")]
    (folder / "requests-0.jsonl").write_text(
        "".join(json.dumps({"kind": kind, "code": code, "name": name}) + "\n" for kind, code, name in codes)
    )
    samples = SampleWriter(folder)
    samples.append("activity", 1.0, 0.002, [Sample(at_s=1.0, metric="m", value=3.0, labels={"state": "active"})])
    samples.close()
    events = EventWriter(folder)
    events.append(Event(at_s=0.5, kind="phase", text="calm begins"))
    events.close()
    if finished:
        write_json(folder / layout.FINISHED, {"status": "completed"})
    return rows


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "killed"])
def test_times_come_back_to_the_nanosecond(tmp_path: Path, finished: bool) -> None:
    rows = make_run(tmp_path, finished=finished)
    run = Run(tmp_path)
    got = run.arrays("SELECT finished_ns - intended_ns AS response FROM requests ORDER BY intended_ns")
    assert (got["response"] == rows["finished"] - rows["intended"]).all()
    assert run.query("SELECT count(*) FROM requests WHERE service_s IS NULL") == [(10,)]
    assert run.query("SELECT operation, count(*) FROM requests GROUP BY 1 ORDER BY 1") == [
        ("craft", 500),
        ("view", 500),
    ]
    assert (tmp_path / layout.REQUESTS).exists() is finished
    assert (tmp_path / "requests-0.rows").exists() is not finished


def test_a_second_reader_sees_what_the_first_saw(tmp_path: Path) -> None:
    make_run(tmp_path)
    first = Run(tmp_path).query("SELECT * FROM requests ORDER BY arrival")
    assert Run(tmp_path).query("SELECT * FROM requests ORDER BY arrival") == first
    assert Run(tmp_path).query("SELECT metric, value FROM samples WHERE probe = 'activity' ORDER BY 1") == [
        ("flashcrowd_probe_duration_seconds", 0.002),
        ("m", 3.0),
    ]


def test_torn_last_row_and_line_are_left_out(tmp_path: Path) -> None:
    make_run(tmp_path, finished=False)
    with (tmp_path / "requests-0.rows").open("ab") as file:
        file.write(b"\1" * 17)
    with (tmp_path / "samples.jsonl").open("a") as file:
        file.write('{"at_s": 2.0, "probe": "acti')
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"at_s"')
    run = Run(tmp_path)
    assert run.query("SELECT count(*) FROM requests") == [(1000,)]
    assert run.query("SELECT count(*) FROM ticks") == [(1,)]
    assert [event.text for event in run.events("phase")] == ["calm begins"]


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / layout.RUN, {"format": 99})
    with pytest.raises(RunFolderError, match="format 99 is not 1"):
        Run(tmp_path)


def test_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="name a run folder"):
        Run(tmp_path / "nothing")


def test_damaged_run_json_is_said_so(tmp_path: Path) -> None:
    (tmp_path / layout.RUN).write_text('{"format": 1')
    with pytest.raises(RunFolderError, match="damaged"):
        Run(tmp_path)
