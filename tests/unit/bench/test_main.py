"""Exit codes, the table and the file."""

import json
from pathlib import Path
from typing import Any

import pytest

import tests.bench.__main__ as bench
from tests.bench.bed import Bed
from tests.bench.figures import FIGURES, Figure, Place
from tests.bench.row import Limit, NotMeasured, Row, of_values


async def good(bed: Bed) -> list[Row]:
    return [of_values("good", "a good one", [1.0, 3.0, 2.0], limit=Limit(comparator="<=", value=2.0))]


async def missed(bed: Bed) -> list[Row]:
    return [of_values("missed", "a slow one", [5.0], limit=Limit(comparator="<=", value=2.0), unit="s")]


async def broken(bed: Bed) -> list[Row]:
    raise NotMeasured("the peer [ended] early")


def figure(name: str, measure: Any, why: str | None = None) -> Figure:
    return Figure(name=name, said=f"{name} said", place=Place.NOTHING, measure=measure, why_not=lambda long: why)


def run(monkeypatch: pytest.MonkeyPatch, out: Path, *figures: Figure) -> tuple[int, dict[str, Any]]:
    monkeypatch.setattr(bench, "FIGURES", figures)
    code = bench.main(["--out", str(out)])
    [path] = out.glob("*.json")
    assert not list(out.glob("work-*"))
    return code, json.loads(path.read_text())


def test_a_figure_that_is_not_reached_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = run(monkeypatch, tmp_path, figure("missed", missed), figure("good", good))
    assert code == 0
    assert [(row["figure"], row["state"], row["value"]) for row in told["rows"]] == [
        ("missed", "not reached", 5.0),
        ("good", "reached", 2.0),
    ]
    assert told["rows"][1]["each"] == [1.0, 3.0, 2.0] and told["rows"][1]["min_max"] == [1.0, 3.0]
    assert told["versions"] and told["machine"]["cores"]
    shown = capsys.readouterr().out
    assert "not reached" in shown and "1–3" in shown


def test_a_measurement_that_failed_is_told_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = run(monkeypatch, tmp_path, figure("broken", broken), figure("good", good))
    assert code == 1
    assert [(row["state"], row["value"]) for row in told["rows"]] == [("failed", None), ("reached", 2.0)]
    assert "the peer [ended] early" in told["rows"][0]["note"]
    assert capsys.readouterr().out.count("the peer [ended] early") == 2  # as it happened, and in the table


def test_what_is_not_measured_here_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, told = run(monkeypatch, tmp_path, figure("later", broken, why="use --long"))
    assert code == 0
    assert [(row["state"], row["value"], row["note"]) for row in told["rows"]] == [("not measured", None, "use --long")]


def test_every_figure_is_described_and_named_once() -> None:
    import tests.bench

    names = [figure.name for figure in FIGURES]
    assert len(set(names)) == len(names)
    described = (tests.bench.__doc__ or "").replace("open-2000, -5000", "open-2000 open-5000")
    assert not [name for name in names if name not in described]
