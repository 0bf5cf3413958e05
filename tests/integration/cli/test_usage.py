"""A wrong argument or definition: one clear line, exit code 2, nothing started."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import Exit
from tests.integration.command import INCIDENTS, Place

RUN = ("run", "one-statement")


def refused(place: Place, *arguments: str, code: Exit = Exit.USAGE, **environment: str) -> str:
    """What a refused command says: its one line, without its box."""
    command = place.run(*arguments, **environment)
    return clearly(place, command.process.returncode, command.printed, code)


def clearly(place: Place, ended: int, printed: str, code: Exit = Exit.USAGE) -> str:
    """What was printed, when it was refused clearly."""
    assert ended == code, printed
    assert "Traceback" not in printed
    assert not place.out.exists() or not list(place.out.glob("*/20*"))
    assert place.left() == []
    return " ".join(printed.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("run", "one-statment"), "unknown incident 'one-statment'; did you mean one-statement", id="incident"),
        pytest.param(("run", "nothing-like-it"), "unknown incident 'nothing-like-it'", id="incident like no other"),
        pytest.param((*RUN, "--variant", "during"), "--variant during: one-statement has before, sleepy", id="variant"),
        pytest.param((*RUN, "--variant", "before", "--variant", "before"), "name each variant once", id="variant twice"),
        pytest.param((*RUN, "--rate", "0"), "--rate 0: must be a factor above 0", id="rate 0"),
        pytest.param((*RUN, "--rate", "abc"), "--rate abc: 'abc' is not a number", id="rate abc"),
        pytest.param((*RUN, "--rate", "10/s"), "--rate 10/s: must be a factor", id="rate with another unit"),
        pytest.param((*RUN, "--duration", "-1"), "--duration -1: must be longer than 0 s", id="duration -1"),
        pytest.param((*RUN, "--duration", "5kB"), "--duration 5kB: '5kB' is not a duration", id="duration in bytes"),
        pytest.param((*RUN, "--workers", "0"), "--workers 0: must be 1 to 64", id="workers 0"),
        pytest.param((*RUN, "--interval", "10ms"), "--interval 10ms: must be 100ms to 60s", id="interval 10ms"),
        pytest.param((*RUN, "--seed", "-1"), "--seed -1: must be 0 to", id="seed -1"),
        pytest.param((*RUN, "--scale", "0"), "--scale 0: must be above 0", id="scale 0"),
        pytest.param((*RUN, "--scale", "nan"), "--scale nan: must be above 0", id="scale nan"),
        pytest.param((*RUN, "--metrics", "here"), "--metrics here: write it as HOST:PORT", id="metrics"),
        pytest.param((*RUN, "--stack", "cloud"), "'cloud' is not one of 'auto', 'docker', 'embedded'", id="stack"),
        pytest.param((*RUN, "--no-such-option"), "No such option: --no-such-option", id="option"),
        pytest.param(("report", "no-such-folder"), "no-such-folder: no run there", id="report of nothing"),
        pytest.param(("up", "no-such-incident"), "unknown incident 'no-such-incident'", id="up of nothing"),
        pytest.param(("fly",), "No such command 'fly'", id="command"),
    ],
)  # fmt: skip
def test_wrong_arguments(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    """In this process, as there are many; others of these tests begin one."""
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    out = ("--out", str(place.out)) if arguments[0] == "run" else ()
    monkeypatch.setattr(sys, "argv", ["flashcrowd", *arguments, *out])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capfd.readouterr()
    assert said in clearly(place, int(ended.value.code or 0), printed.out + printed.err)


def test_a_wrong_option_as_people_meet_it(place: Place) -> None:
    assert "No such option: --no-such-option" in refused(place, *RUN, "--no-such-option")


def test_out_is_a_file(place: Place) -> None:
    file = place.folder / "file"
    file.write_text("mine")
    said = refused(place, *RUN, "--out", str(file))
    assert f"--out {file}: cannot make" in said and "name another folder" in said
    assert file.read_text() == "mine"


@pytest.fixture
def own(place: Place) -> Path:
    """A folder of one's own incidents, with a copy of one in it."""
    folder = place.folder / "own"
    shutil.copytree(INCIDENTS / "one_statement", folder / "one_statement", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_a_syntax_error_in_the_declaration_has_file_and_line(place: Place, own: Path) -> None:
    path = own / "one_statement" / "incident.py"
    text = path.read_text()
    path.write_text(text.replace("symptoms=()", "symptoms=(]"))
    line = text[: text.index("symptoms=()")].count("\n") + 1
    said = refused(place, *RUN, "--out", str(place.out), FLASHCROWD_LOADTESTS=str(own))
    assert f"{path}:{line}: " in said and "Python that can be read" in said


def test_a_syntax_error_in_a_variant_has_file_and_line(place: Place, own: Path) -> None:
    path = own / "one_statement" / "variants" / "before.py"
    path.write_text(path.read_text() + "\nawait = 1\n")
    said = refused(place, *RUN, "--out", str(place.out), FLASHCROWD_LOADTESTS=str(own))
    assert f"{path}:{len(path.read_text().splitlines())}: " in said


def test_an_incident_that_cannot_be_run_is_listed_with_its_reason(place: Place, own: Path) -> None:
    path = own / "one_statement" / "incident.py"
    path.write_text(path.read_text().replace("pool_size=20", "pool_size=0"))
    command = place.run("list", FLASHCROWD_LOADTESTS=str(own))
    assert command.process.returncode == Exit.FINE
    assert "application.pool_size = 0: at least 1" in command.printed
    assert "crafting-burst" in command.printed, "the others are shown"


def test_a_port_that_is_taken_is_no_stack(place: Place) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        arguments = (*RUN, "--scale", "0.02", "--out", str(place.out))
        said = refused(place, *arguments, code=Exit.STACK, FLASHCROWD_PG_PORT=str(port))
        assert f"port {port} of 127.0.0.1, forced by FLASHCROWD_PG_PORT, cannot be used" in said
        said = refused(place, *arguments, "--metrics", f"127.0.0.1:{port}")
        assert f"--metrics 127.0.0.1:{port}: another process listens there; choose another port" in said
