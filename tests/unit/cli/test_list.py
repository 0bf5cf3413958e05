"""``flashcrowd list`` shows every incident, a broken one too, and every series that a criterion may name."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness import catalog
from harness.catalog import OWN_FOLDER
from harness.cli.list import list_command
from harness.series import REQUEST_COUNTS, REQUEST_PARTS, SAMPLED


def listed(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(list_command)
    result = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "120", "TERM": "dumb"})
    assert result.exit_code == 0, result.output
    return result.output


def test_every_incident_with_its_variants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OWN_FOLDER, raising=False)
    text = listed()
    for name in catalog.find():
        incident = catalog.load(name)
        assert f"{name}  {incident.title}" in text
        assert all(f"  {variant.name} " in text for variant in incident.variants)


def test_a_broken_incident_is_shown_with_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "incident.py").write_text("INCIDENT = = 3\n")
    monkeypatch.setenv(OWN_FOLDER, str(tmp_path))
    text = listed()
    assert "broken  cannot be run" in text
    assert f"{tmp_path / 'broken' / 'incident.py'}:1: syntax" in text
    assert "crafting-burst" in text


def test_every_series_with_unit_and_meaning() -> None:
    text = listed("--series")
    for one in SAMPLED:
        [line] = [line for line in text.splitlines() if line.startswith(f"{one.name} ")]
        assert one.meaning.split()[0] in line
    assert all(f"p99(craft.{part})" in text for part in REQUEST_PARTS if part != "response")
    assert all(f"{name}(craft)" in text for name in REQUEST_COUNTS)


def test_what_is_done_to_the_servers_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OWN_FOLDER, str(Path(__file__).parents[2] / "incidents"))
    text = listed()
    assert "at 2 s, for 2.5 s: kill postgres" in text
    assert "when max(postgres.blocked) > 0: create index crafts_by_collector on crafts" in text
