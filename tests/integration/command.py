"""``flashcrowd`` as people run it: a process of its own, with a folder for temporary files of its own.

So nothing that a test leaves or sweeps is anybody else's, and whatever belongs to a test can be told by its folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from harness.record.reader import Run
from harness.stack import processes
from harness.stack.embedded.instance import Instance

ROOT = Path(__file__).parents[2]
INCIDENTS = ROOT / "tests" / "incidents"
SCALE = "0.02"
#: Of waiting for something that should come in a moment: long enough for a busy machine, short enough to be told what hangs.
PATIENCE_S = 60.0
FLASHCROWD = (str(Path(sys.executable).with_name("flashcrowd")),)
#: How often a run is made at the most whose generator other tests crowd out.
MEASURED = 5
#: What a profile under a plain ``locust -f`` says when its traffic has ended; Locust itself goes on.
TRAFFIC_OVER = r"the traffic is over: (\d+) of \1 arrivals begun"
_MARK = "FLASHCROWD_TEST_PLACE"


def until(true: Callable[[], object], what: str, limit_s: float = PATIENCE_S) -> None:
    """Wait until something is true.

    :raises AssertionError: it did not come true in time
    """
    ends = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < ends, f"waited {limit_s:.0f} s for this: {what}"
        time.sleep(0.02)


def free_port() -> int:
    """A port of loopback that nobody listened on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def locust_processes(count: int) -> tuple[str, ...]:
    """Arguments of Locust for so many processes: its master's usual port may be another's."""
    port = str(free_port())
    return ("--processes", str(count), "--master-host", "127.0.0.1", "--master-port", port, "--master-bind-port", port)


@dataclass(eq=False)
class Command:
    """A running ``flashcrowd …`` (or another program) with what it printed."""

    process: subprocess.Popen[bytes]
    printed_to: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def printed(self) -> str:
        """Standard output and standard error."""
        return self.printed_to.read_text(encoding="utf-8", errors="replace")

    def await_text(self, pattern: str, limit_s: float = PATIENCE_S) -> re.Match[str]:
        """Wait until it has printed something."""
        until(lambda: re.search(pattern, self.printed) or self.process.poll() is not None, pattern, limit_s)
        found = re.search(pattern, self.printed)
        assert found, f"{pattern!r} is not in what it printed:\n{self.printed}"
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, limit_s: float = PATIENCE_S) -> int:
        """Wait for its end; the exit code."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {limit_s:.0f} s; it printed:\n{self.printed}") from None

    def descendants(self) -> list[psutil.Process]:
        """Its children and theirs."""
        return psutil.Process(self.pid).children(recursive=True)


@dataclass(eq=False)
class Place:
    """A folder for temporary files and runs, and the commands that were begun in it.

    :ivar environment: what commands get on top of ours
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    begun: list[Command] = field(default_factory=list)

    @classmethod
    def make(cls) -> Place:
        """A place under the system's folder for temporary files: a socket's path must be short, and any user may pass."""
        folder = Path(tempfile.mkdtemp(prefix="fc-")).resolve()
        folder.chmod(0o1777)
        return cls(
            folder=folder,
            environment={
                "TMPDIR": str(folder),
                "FLASHCROWD_LOADTESTS": str(INCIDENTS),
                _MARK: str(folder),
            },
        )

    @property
    def out(self) -> Path:
        """Where runs go."""
        return self.folder / "reports"

    def begin(self, *arguments: str, program: tuple[str, ...] = FLASHCROWD, **environment: str) -> Command:
        """Begin a command in the background; a stack is child processes unless another is asked for."""
        if arguments[:1] in (("run",), ("up",)) and program == FLASHCROWD and "--stack" not in arguments:
            arguments = (*arguments, "--stack", "embedded")
        printed_to = self.folder / f"printed-{len(self.begun)}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
        with printed_to.open("wb") as printed:
            process = subprocess.Popen(
                [*program, *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env={**inherited, **self.environment, **environment},
                start_new_session=True,
            )
        self.begun.append(Command(process=process, printed_to=printed_to))
        return self.begun[-1]

    def run(self, *arguments: str, limit_s: float = 120.0, **environment: str) -> Command:
        """Run a command to its end."""
        command = self.begin(*arguments, **environment)
        command.end(limit_s)
        return command

    def begin_run(self, incident: str, *arguments: str, **environment: str) -> Command:
        """Begin ``flashcrowd run`` on the small dataset, into this place."""
        out = () if "--out" in arguments else ("--out", str(self.out))
        return self.begin("run", incident, "--scale", SCALE, *out, *arguments, **environment)

    def measure(self, incident: str, *arguments: str, limit_s: float = 2 * PATIENCE_S, **environment: str) -> Command:
        """``flashcrowd run`` to its end, for tests of what a valid measurement is followed by: done again where :func:`crowded_out`."""

        def make() -> tuple[Command, Path]:
            command = self.begin_run(incident, *arguments, **environment)
            command.end(limit_s)
            return command, self.experiment(incident)

        command, _ = measured(make)
        return command

    def experiment(self, incident: str, out: Path | None = None) -> Path:
        """The one experiment's folder of an incident."""
        root = (out or self.out) / incident
        folders = [path for path in root.glob("*") if not path.is_symlink()]
        assert len(folders) == 1, (
            f"{len(folders)} experiments in {root}; printed: {[one.printed for one in self.begun]}"
        )
        return folders[0]

    def run_folder(self, incident: str, variant: str, out: Path | None = None) -> Path:
        """A run's folder, as soon as it is there."""
        root = (out or self.out) / incident
        until(lambda: list(root.glob(f"20*/{variant}/run.json")), f"a run of {variant} in {root}")
        (path,) = root.glob(f"20*/{variant}/run.json")
        return path.parent

    def await_load(self, incident: str, variant: str, out: Path | None = None, rows: int = 1) -> Path:
        """Wait until requests of a run are recorded; its folder."""
        folder = self.run_folder(incident, variant, out)

        def recorded() -> bool:
            return sum(path.stat().st_size for path in folder.glob("requests-*.rows")) >= rows * 40

        until(recorded, f"{rows} requests in {folder}")
        return folder

    def instances(self) -> list[Path]:
        """Folders of servers that are there."""
        return [path for path in self.folder.glob("flashcrowd-*/*") if path.is_dir() and len(path.name) == 8]

    def processes(self, name: str | None = None) -> list[psutil.Process]:
        """All living processes, or those of that name, that belong here: by their environment, working folder or command line."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                if process.status() == psutil.STATUS_ZOMBIE or name not in (None, process.name()):
                    continue
                told = [process.environ().get(_MARK, ""), process.cwd(), *process.cmdline()]
                if any(str(self.folder) in text for text in told):
                    found.append(process)
        return found

    def command_lines(self) -> list[str]:
        """What ``ps`` shows of each living process that belongs here."""
        return [" ".join(command_line(process)) for process in self.processes()]

    def postmasters(self) -> list[psutil.Process]:
        """The servers' main processes."""
        found = [one for one in self.processes("postgres") if "-D" in command_line(one)]
        # A child that was forked just now still has its parent's command line.
        numbers = {one.pid for one in found}
        return [one for one in found if parent(one) not in numbers]

    def left(self, *, limit_s: float = 0.0) -> list[str]:
        """What is left of commands that have ended: processes, servers' folders, half-written files."""
        ends = time.monotonic() + limit_s
        while True:
            found = [f"process {process.pid}: {' '.join(command_line(process))}" for process in self.processes()]
            found += [str(path) for path in self.instances()]
            found += [str(path) for name in ("*.part", ".reserve") for path in self.folder.rglob(name)]
            if not found or time.monotonic() >= ends:
                return found
            time.sleep(0.05)

    def clear(self) -> None:
        """End what is left and remove the folder."""
        for command in self.begun:
            if command.process.poll() is None:
                command.process.kill()
            command.process.wait()
        processes.end(self.processes())
        for folder in self.instances():  # with the shared memory of its server, which was killed
            Instance(folder=folder).remove()
        shutil.rmtree(self.folder, ignore_errors=True)


def crowded_out(folder: Path) -> bool:
    """Whether an experiment is no measurement for the one reason that arrivals began late: other tests had the load's core."""
    reasons = [why for variant in _verdicts(folder) for why in variant["why_invalid"]]
    return bool(reasons) and all(why.startswith("arrivals began late") for why in reasons)


def measured(
    make: Callable[[], tuple[Command, Path]], disturbed: Callable[[Path], bool] = crowded_out
) -> tuple[Command, Path]:
    """Make an experiment, and make it again where others disturbed it; the last one, whatever it is.

    :param make: gives the command, which has ended, and the experiment's folder
    :param disturbed: whether they did, by that folder
    """
    for left in reversed(range(MEASURED)):
        command, folder = make()
        if left == 0 or not disturbed(folder):
            break
        shutil.rmtree(folder)
    return command, folder


def held_back(folder: Path) -> bool:
    """Whether others used so much of a server's core that a criterion on its CPU might have had another answer; also where
    :func:`crowded_out`."""
    notes = [note for variant in _verdicts(folder) for note in variant["notes"]]
    return crowded_out(folder) or any("might have been" in note for note in notes)


def _verdicts(folder: Path) -> list[dict[str, Any]]:
    """On each variant of an experiment; none where it did not get that far."""
    path = folder / "verdict.json"
    return list(json.loads(path.read_text())["variants"].values()) if path.exists() else []


def rows_of(folder: Path) -> list[tuple[int, int, str, str, int, int]]:
    """A run's requests: arrival, attempt, operation, outcome, intended and started in nanoseconds."""
    run = Run(folder)
    try:
        return run.query(  # type: ignore[return-value]
            "SELECT arrival, attempt, operation, outcome, intended_ns, started_ns FROM requests ORDER BY arrival, attempt"
        )
    finally:
        run.db.close()


def ask(folder: Path, sql: str, parameters: list[object] | None = None) -> list[tuple[object, ...]]:
    """Rows of a query over a run's tables."""
    run = Run(folder)
    try:
        return run.query(sql, parameters)
    finally:
        run.db.close()


def command_line(process: psutil.Process) -> list[str]:
    """A process's arguments; none where it is gone."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return process.cmdline()
    return []


def parent(process: psutil.Process) -> int | None:
    """The number of a process's parent; None where it is gone."""
    with suppress(psutil.NoSuchProcess):
        return process.ppid()
    return None


def environment_of(process: psutil.Process) -> Mapping[str, str]:
    """A process's environment; empty where it is gone."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return process.environ()
    return {}
