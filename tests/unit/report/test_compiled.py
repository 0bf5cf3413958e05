"""Templates are compiled once, and anew when they, or what compiles them, changed; nothing kept is no obstacle."""

import sys
from pathlib import Path

import jinja2
import pytest

from harness.report.html import compiled


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    (tmp_path / "page.j2").write_text("{{ 1 + 1 }} & {{ text }}")
    return tmp_path


@pytest.fixture(autouse=True)
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was compiled."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    done: list[str] = []
    compile_ = jinja2.Environment.compile

    def noted(self: jinja2.Environment, source: str, *arguments: object) -> object:
        done.append(source)
        return compile_(self, source, *arguments)

    monkeypatch.setattr(jinja2.Environment, "compile", noted)
    return done


def shown(templates: Path, **options: object) -> str:
    return compiled.environment(templates, **options).get_template("page.j2").render(text="<>")


def test_once(templates: Path, compilations: list[str]) -> None:
    assert shown(templates) == shown(templates) == "2 & <>"
    assert len(compilations) == 1
    assert len([*(templates / "__pycache__").iterdir()]) == 1


def test_anew_when_the_template_changed(templates: Path, compilations: list[str]) -> None:
    shown(templates)
    (templates / "page.j2").write_text("{{ 1 + 2 }}")
    assert shown(templates) == "3"
    assert len(compilations) == 2


def test_anew_with_other_options(templates: Path) -> None:
    assert [shown(templates, autoescape=escape) for escape in (False, True, False)] == [
        "2 & <>",
        "2 & &lt;&gt;",
        "2 & <>",
    ]


@pytest.mark.parametrize("damage", [b"", b"x" * 100])
def test_anew_when_what_was_kept_is_damaged(templates: Path, compilations: list[str], damage: bytes) -> None:
    shown(templates)
    (kept,) = (templates / "__pycache__").iterdir()
    kept.write_bytes(damage)
    assert shown(templates) == shown(templates) == "2 & <>"
    assert len(compilations) == 2


def test_where_nothing_can_be_kept(templates: Path, compilations: list[str]) -> None:
    (templates / "__pycache__").write_text("no folder")
    assert shown(templates) == shown(templates) == "2 & <>"
    assert len(compilations) == 2


def test_python_is_obeyed(templates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert shown(templates) == "2 & <>"
    assert not (templates / "__pycache__").exists()
