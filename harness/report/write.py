"""From the files of an experiment to its verdict and reports: the same path after a run, and whenever it is asked for again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.errors import RunFolderError
from harness.model import Status, Verdict
from harness.record import format as layout
from harness.record.reader import Run, read_json
from harness.record.writer import write_json, write_text
from harness.report import html, junit, markdown
from harness.verdict import combine, judge, to_json

#: Fields of ``run.json`` without which there is nothing to judge by; others are only shown.
NEEDED = ("incident", "variant", "symptoms", "thresholds", "open", "phases", "ends_s", "operations", "scheduled", "interval_s", "workers")  # fmt: skip
REPORT_HTML, REPORT_MARKDOWN, REPORT_JUNIT = "report.html", "report.md", "junit.xml"


def read_runs(folder: Path) -> list[Run]:
    """The runs of an experiment's folder in the order they were run; a run's own folder is that one.

    :raises RunFolderError: no run there
    """
    if (folder / layout.RUN).exists():
        return [_whole(Run(folder))]
    names = _asked(folder) or sorted(path.parent.name for path in folder.glob(f"*/{layout.RUN}"))
    runs = [_whole(Run(folder / name)) for name in names if (folder / name / layout.RUN).exists()]
    if not runs:
        raise RunFolderError(f"{folder}: no run there; name an experiment's folder, such as reports/<incident>/latest")
    return runs


def judge_folder(folder: Path) -> tuple[Verdict, list[Run]]:
    """The verdict on an experiment's folder; unknown if a variant that was asked for is missing."""
    runs = read_runs(folder)
    verdict = combine(runs[0].meta["incident"], [judge(run) for run in runs])
    missing = set(_asked(folder)) - {run.meta["variant"]["name"] for run in runs}
    if missing and verdict.status is Status.PASS:
        verdict = replace(verdict, status=Status.UNKNOWN)
    return verdict, runs


def write_reports(folder: Path) -> Verdict:
    """Judge an experiment and write ``verdict.json``, ``report.html``, ``report.md`` and ``junit.xml`` into its folder.

    :raises RunFolderError: no run there, or one that cannot be read
    :raises RecordingError: they cannot be written
    """
    verdict, runs = judge_folder(folder)
    write_json(folder / layout.VERDICT, to_json(verdict))
    html.write(folder / REPORT_HTML, verdict, runs)
    write_text(folder / REPORT_MARKDOWN, markdown.render(verdict, runs))
    write_text(folder / REPORT_JUNIT, junit.render(verdict, runs))
    return verdict


def _whole(run: Run) -> Run:
    """The run, if its ``run.json`` has all that a verdict is made from.

    :raises RunFolderError: it has not
    """
    missing = [name for name in NEEDED if name not in run.meta]
    if missing:
        raise RunFolderError(f"{run.folder / layout.RUN}: lacks {', '.join(missing)}; the run folder is damaged")
    return run


def _asked(folder: Path) -> list[str]:
    path = folder / layout.EXPERIMENT
    if not path.exists():
        return []
    asked = read_json(path).get("asked")
    if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked):
        raise RunFolderError(f"{path}: does not list the variants that were asked for; the run folder is damaged")
    return asked
