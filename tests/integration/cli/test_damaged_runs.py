"""A run folder that was cut short or damaged: reported but for what is torn, or refused with its reason; never a traceback."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.cli import main
from harness.errors import Exit
from tests.integration.command import Place, until

INCIDENT = "one-statement"


@pytest.fixture(scope="module")
def finished(shared_place: Place) -> Path:
    """An experiment that ended well, as yet in Parquet."""
    command = shared_place.measure(INCIDENT, "--duration", "2s")
    assert command.process.returncode == Exit.FINE, command.printed
    return shared_place.experiment(INCIDENT)


@pytest.fixture(scope="module")
def killed(shared_place: Place) -> Path:
    """An experiment whose harness was killed: raw rows and lines."""
    out = shared_place.folder / "killed"
    command = shared_place.begin_run(INCIDENT, "--duration", "60s", "--out", str(out))
    run = shared_place.await_load(INCIDENT, "before", out, rows=400)
    command.process.kill()
    command.process.wait()
    shared_place.run("gc")
    until(lambda: shared_place.left() == [str(run.parent / ".reserve")], "all but the reserve to be gone")
    return run.parent


class Told(NamedTuple):
    """What a command said and ended with."""

    code: int
    printed: str


Report = Callable[..., Told]


@pytest.fixture
def report(shared_place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Report:
    """`flashcrowd report` of a copy to which something was done; in this process, as there are many."""

    def reported(original: Path, damage: Callable[[Path], object]) -> Told:
        copy = shared_place.folder / "damaged"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy)
        damage(copy / "before")
        monkeypatch.setattr(sys, "argv", ["flashcrowd", "report", str(copy)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        assert "Traceback" not in said.err and "defect of ours" not in said.err, said.err
        return Told(int(ended.value.code or 0), said.out + said.err)

    return reported


def cut(name: str, share: float = 0.5, odd: int = 1) -> Callable[[Path], object]:
    """Cut a file somewhere in the middle of a row."""

    def damage(folder: Path) -> None:
        path = folder / name
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share) + odd])

    return damage


def garbage(name: str) -> Callable[[Path], object]:
    """Put something else in a file's place."""
    return lambda folder: (folder / name).write_bytes(b"\x00garbage\xff" * 100)


def remove(name: str) -> Callable[[Path], object]:
    """Take a file away."""
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(cut("requests-0.rows", odd=17), id="rows cut"),
        pytest.param(cut("samples.jsonl"), id="samples cut"),
        pytest.param(cut("events.jsonl"), id="events cut"),
        pytest.param(cut("requests-0.jsonl", share=0.9), id="names of codes cut"),
        pytest.param(garbage("requests-0.jsonl"), id="names of codes garbage"),
        pytest.param(garbage("samples.jsonl"), id="samples garbage"),
        pytest.param(garbage("events-worker-0.jsonl"), id="a worker's events garbage"),
        pytest.param(garbage("deadlocks.jsonl"), id="deadlocks garbage"),
        pytest.param(garbage("blocking.jsonl"), id="blocking garbage"),
        pytest.param(remove("requests-0.rows"), id="no rows"),
        pytest.param(remove("events.jsonl"), id="no events"),
        pytest.param(remove("samples.jsonl"), id="no samples"),
    ],
)
def test_a_killed_run_is_reported_but_for_what_is_torn(
    shared_place: Place, report: Report, killed: Path, damage: Callable[[Path], object]
) -> None:
    told = report(killed, damage)
    assert told.code == Exit.UNKNOWN, told.printed
    verdict = json.loads((shared_place.folder / "damaged" / "verdict.json").read_text())
    assert verdict["status"] == "unknown"
    assert "the harness was killed" in verdict["variants"]["before"]["why_invalid"][0]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(cut("run.json"), "run.json: cannot be read", id="run.json cut"),
        pytest.param(garbage("run.json"), "run.json: cannot be read", id="run.json garbage"),
        pytest.param(lambda folder: (folder / "run.json").write_text("[]"), "run.json: holds no object", id="run.json a list"),
        pytest.param(lambda folder: (folder / "run.json").write_text('{"format": 1}'), "run.json", id="run.json without its fields"),
        pytest.param(lambda folder: (folder / "run.json").write_text('{"format": 2}'), "format 2 is not 1", id="another format"),
        pytest.param(remove("run.json"), "no run there", id="no run.json"),
        pytest.param(cut("requests.parquet"), "requests.parquet", id="Parquet cut"),
        pytest.param(garbage("requests.parquet"), "requests.parquet", id="Parquet garbage"),
        pytest.param(garbage("samples.parquet"), "samples.parquet", id="samples garbage"),
        pytest.param(garbage("finished.json"), "finished.json: cannot be read", id="finished.json garbage"),
        pytest.param(garbage("invariants.json"), "invariants.json: cannot be read", id="invariants garbage"),
        pytest.param(garbage("statements.parquet"), "statements.parquet", id="statements garbage"),
        pytest.param(lambda folder: (folder.parent / "experiment.json").write_text("{}"), "experiment.json", id="experiment.json empty"),
    ],
)  # fmt: skip
def test_what_is_damaged_beyond_a_torn_end_is_named(
    report: Report, finished: Path, damage: Callable[[Path], object], said: str
) -> None:
    told = report(finished, damage)
    assert told.code == Exit.USAGE, told.printed
    (line,) = [line for line in told.printed.splitlines() if line.startswith("flashcrowd:")]
    assert said in line


@pytest.mark.parametrize("name", ["requests.parquet", "samples.parquet", "invariants.json", "statements.parquet"])
def test_what_is_missing_is_not_passed_over(report: Report, finished: Path, name: str) -> None:
    told = report(finished, remove(name))
    if name == "statements.parquet":  # nothing is judged by it
        assert told.code == Exit.FINE, told.printed
    else:
        assert told.code == Exit.UNKNOWN, told.printed
