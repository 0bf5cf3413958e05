"""The text reports say the verdict in words, and show what they are given as text, whatever characters it has."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from harness.model import Status, VariantVerdict, Verdict
from harness.record.reader import Run
from harness.report import junit, markdown, terminal
from harness.report.html.page import render
from harness.verdict import combine, judge
from tests.unit.runs import RunBuilder, steady

SYMPTOMS = (
    {"name": "slow", "criterion": "p99(craft) > 1s", "said": "long API response times"},
    {"name": "failing", "criterion": "errors(craft) > 50%", "said": "crafting not working at all"},
    {"name": "locks", "criterion": "max(postgres.blocked) > 5", "said": "many locks"},
)
QUICK = ({"name": "quick", "criterion": "p99(craft) < 100ms"},)
HOSTILE = "a|b `c` <img src=x onerror=alert(1)> & *d* [e](http://f) @g\n# h \x1b[31m\x00]]> \ud800"


def run(folder: Path, variant: str = "before", *, slow: bool = True, sampled: bool = True, **changes: object) -> Run:
    requests = [replace(one, response_s=3.0, outcome="57014") for one in steady()] if slow else steady()
    builder = RunBuilder(
        folder=folder / variant,
        variant=variant,
        expect={"before": "symptoms", "after": "fixed", "partial": "nothing"}[variant],
        requests=requests,
        symptoms=SYMPTOMS,
        thresholds=QUICK,
        **changes,  # type: ignore[arg-type]
    ).quiet_probes()
    if sampled:
        builder.every_second("blocking", "flashcrowd_blocked_sessions", [9.0 if slow else 0.0] * 42)
    return builder.write()


def verdict_of(*runs: Run) -> Verdict:
    return combine("crafting-burst", [judge(one) for one in runs])


@pytest.fixture
def good(tmp_path: Path) -> tuple[Verdict, Sequence[Run]]:
    runs = [run(tmp_path), run(tmp_path, "after", slow=False)]
    return verdict_of(*runs), runs


def printed(verdict: Verdict, runs: Sequence[Run], *, width: int = 80, terminal_: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=terminal_, color_system="standard" if terminal_ else None
    )
    terminal.show(verdict, runs, Path("reports/crafting-burst/2026-01-01T000000Z"), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_postgresql_no_report_speaks_of_deadlocks(tmp_path: Path) -> None:
    meta = {"stack": {"provider": "embedded", "mongo": {"version": "6.0.5", "members": [{"name": "mongo-1"}]}}}
    runs = [run(tmp_path, meta=meta), run(tmp_path, "after", slow=False, meta=meta)]
    verdict = verdict_of(*runs)
    for text in (printed(verdict, runs), markdown.render(verdict, runs), junit.render(verdict, runs)):
        assert "crafting" in text
        assert "deadlock" not in text.lower()
    page = render(verdict, runs)
    for section in ("deadlocks", "blocking", "statements"):
        assert f'<section id="{section}"' not in page
        assert f'href="#{section}"' not in page


# --- terminal


def test_terminal_says_it_in_words(good: tuple[Verdict, Sequence[Run]]) -> None:
    text = printed(*good)
    assert "PASS  Reproduced, and the fix holds." in text
    assert "\x1b" not in text
    line = next(line for line in text.splitlines() if "long API response times" in line)
    assert line.index("held") < line.index("gone")
    below = text.splitlines()[text.splitlines().index(line) + 1]
    assert [part.strip() for part in below.split("  ") if part.strip()] == ["p99(craft) > 1s", "3.00 s", "10 ms"]
    assert text.rstrip().endswith(f"report  {Path('reports/crafting-burst/2026-01-01T000000Z/report.html')}")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_terminal_keeps_within_its_width(good: tuple[Verdict, Sequence[Run]], width: int) -> None:
    lines = printed(*good, width=width).splitlines()
    assert all(len(line) <= width for line in lines if not line.startswith("report  "))


def test_colour_is_not_the_only_sign(tmp_path: Path) -> None:
    runs = [run(tmp_path), run(tmp_path, "after", slow=True)]
    coloured, plain = printed(verdict_of(*runs), runs, terminal_=True), printed(verdict_of(*runs), runs)
    assert "\x1b[" in coloured
    assert "✗ held" in plain and "FAIL" in plain


def test_terminal_shows_why_it_is_invalid_or_unknown(tmp_path: Path) -> None:
    runs = [run(tmp_path, sampled=False), run(tmp_path, "after", slow=False, finished=None)]
    text = " ".join(printed(verdict_of(*runs), runs).split())
    assert text.startswith("INVALID Invalid measurement")
    assert "after: the measurement is invalid - the harness was killed before the run ended" in text
    assert "before, locks: unknown: postgres.blocked was not sampled" in text


def test_terminal_shows_violations_and_counts(tmp_path: Path) -> None:
    broken = [{"name": "nothing lost", "violations": 3, "detail": "ids 1, 2, 3"}]
    runs = [run(tmp_path, invariants=broken)]
    text = " ".join(printed(verdict_of(*runs), runs, width=120).split())
    assert "nothing lost ✗ violated 3 times ids 1, 2, 3" in text
    assert "deadlocks, counted three times ✓ agree clients 0, log 0, counter 0" in text


def hostile(verdict: Verdict) -> Verdict:
    """The same verdict with what might be taken for markup in every text."""

    def changed(one: VariantVerdict) -> VariantVerdict:
        return replace(
            one,
            symptoms=tuple(
                replace(each, name=HOSTILE, criterion=HOSTILE, why_unknown=HOSTILE, held=None) for each in one.symptoms
            ),
            invariants=tuple(replace(each, name=HOSTILE, detail=HOSTILE, violations=1) for each in one.invariants),
            valid=False,
            why_invalid=(HOSTILE,),
            status=Status.UNKNOWN,
        )

    return replace(verdict, incident=HOSTILE, variants=tuple(changed(one) for one in verdict.variants))


def test_terminal_shows_hostile_text_as_text(good: tuple[Verdict, Sequence[Run]]) -> None:
    text = printed(hostile(good[0]), good[1])
    assert "\x1b" not in text and "\x00" not in text
    assert "[31m" in text  # not taken for rich's markup either
    text.encode()


# --- Markdown


def cells(line: str) -> list[str]:
    """The cells of a table's row, as GitHub splits it: at each bar without a backslash, in code spans too."""
    assert line.startswith("| ") and line.endswith(" |")
    return [cell.strip() for cell in line[1:-1].replace("\\|", "\0").split("|")]


def test_markdown_has_the_table_and_the_rest_folded(good: tuple[Verdict, Sequence[Run]]) -> None:
    text = markdown.render(*good)
    assert text.startswith("## ✅ crafting-burst: pass\n\n**Reproduced, and the fix holds.**\n")
    rows = [cells(line) for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == ["post-mortem said", "criterion", "before", "after"]
    assert rows[2] == ["long API response times", "`p99(craft) > 1s`", "✅ held, 3.00 s", "✅ gone, 10 ms"]
    assert text.count("<details>") == text.count("</details>") == 2
    assert "- deadlocks, counted three times, agree: clients 0, log 0, counter 0" in text
    assert "- requests of craft, by how they ended: statement timeout (57014) 600\n" in text
    assert "- requests of craft, by how they ended: ok 600\n" in text
    assert "- postgres: PostgreSQL 18.6, 1 core, not pinned\n- machine: 2 cores\n- seed: 1\n" in text
    assert "- command: `flashcrowd run crafting-burst`" in text
    assert "first at 3.0 s; worst 3.00 s; 600 times" in text


def test_markdown_warns_of_an_invalid_measurement(tmp_path: Path) -> None:
    runs = [run(tmp_path, finished=None)]
    text = markdown.render(verdict_of(*runs), runs)
    assert "> [!CAUTION]\n> **before: the measurement is invalid**" in text
    assert "> - the harness was killed before the run ended" in text


def test_markdown_shows_hostile_text_as_text(good: tuple[Verdict, Sequence[Run]]) -> None:
    text = markdown.render(hostile(good[0]), good[1])
    text.encode()
    assert "\x1b" not in text and "\x00" not in text
    # Outside code spans nothing of it is left that means something.
    outside = "".join(text.split("``")[::2])
    assert "<img" not in outside and "@g" not in outside and "[e](" not in outside.replace("\\[e\\](", "")
    widths = {len(cells(line)) for line in text.splitlines() if line.startswith("|")}
    assert widths == {4, 5}


# --- JUnit


def suites(verdict: Verdict, runs: Sequence[Run]) -> dict[str, ET.Element]:
    root = ET.fromstring(junit.render(verdict, runs))
    return {str(suite.get("name")): suite for suite in root}


def outcomes(suite: ET.Element) -> dict[str, str]:
    """What became of each case."""
    kinds = ("failure", "error", "skipped")
    return {
        str(case.get("name")): next((kind for kind in kinds if case.find(kind) is not None), "ok") for case in suite
    }


def test_junit_has_a_case_for_each_thing_judged(good: tuple[Verdict, Sequence[Run]]) -> None:
    found = suites(*good)
    assert list(found) == ["crafting-burst.before", "crafting-burst.after"]
    ok = dict.fromkeys(
        ["the measurement is valid", "symptom: slow", "symptom: failing", "symptom: locks", "threshold: quick",
         "invariant: nothing lost", "the three counts of deadlocks agree"], "ok",
    )  # fmt: skip
    assert outcomes(found["crafting-burst.after"]) == ok
    # A threshold is for what claims to be fixed.
    assert outcomes(found["crafting-burst.before"]) == {**ok, "threshold: quick": "skipped"}
    before = found["crafting-burst.before"]
    assert [before.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["7", "0", "0", "1"]
    assert (before.get("time"), before.get("timestamp")) == ("30.000", "2027-01-15T08:00:00+00:00")


def test_junit_fails_what_is_not_as_expected(tmp_path: Path) -> None:
    broken = [{"name": "nothing lost", "violations": 3, "detail": "ids 1, 2, 3"}]
    runs = [run(tmp_path, slow=False), run(tmp_path, "after", slow=True, invariants=broken)]
    found = suites(verdict_of(*runs), runs)
    before, after = outcomes(found["crafting-burst.before"]), outcomes(found["crafting-burst.after"])
    assert {before[f"symptom: {name}"] for name in ("slow", "failing", "locks")} == {"failure"}
    assert {after[f"symptom: {name}"] for name in ("slow", "failing", "locks")} == {"failure"}
    assert (after["threshold: quick"], after["invariant: nothing lost"]) == ("failure", "failure")
    messages = [str(failure.get("message")) for failure in found["crafting-burst.after"].iter("failure")]
    assert messages[0].startswith("must not hold: p99(craft) > 1s: true, 3.00 s; first at 3.0 s")


def test_junit_has_unknown_and_invalid_as_errors(tmp_path: Path) -> None:
    runs = [run(tmp_path, sampled=False, invariants=None), run(tmp_path, "after", slow=False, finished=None)]
    found = suites(verdict_of(*runs), runs)
    before, after = outcomes(found["crafting-burst.before"]), outcomes(found["crafting-burst.after"])
    assert (before["symptom: locks"], before["invariant: the dataset's check"]) == ("error", "error")
    assert before["symptom: slow"] == "ok"
    assert set(after.values()) == {"error", "ok"}
    assert [name for name, outcome in after.items() if outcome == "ok"] == ["the three counts of deadlocks agree"]


def test_junit_judges_nothing_of_which_nothing_is_expected(tmp_path: Path) -> None:
    runs = [run(tmp_path, "partial")]
    got = outcomes(suites(verdict_of(*runs), runs)["crafting-burst.partial"])
    assert {got[f"symptom: {name}"] for name in ("slow", "failing", "locks")} == {"skipped"}
    assert got["invariant: nothing lost"] == "ok"


def test_junit_says_that_a_variant_is_missing(good: tuple[Verdict, Sequence[Run]]) -> None:
    found = suites(replace(good[0], status=Status.UNKNOWN), good[1])
    assert outcomes(found["crafting-burst"]) == {"every variant was run": "error"}


def test_junit_holds_hostile_text(good: tuple[Verdict, Sequence[Run]]) -> None:
    text = junit.render(hostile(good[0]), good[1])
    root = ET.fromstring(text.encode())
    names = [str(case.get("name")) for case in root.iter("testcase")]
    assert any("<img src=x onerror=alert(1)> & *d*" in name for name in names)


def test_a_report_needs_no_run_folder(good: tuple[Verdict, Sequence[Run]]) -> None:
    verdict = good[0]
    assert "crafting-burst: pass" in markdown.render(verdict, [])
    assert len(ET.fromstring(junit.render(verdict, []))) == 2
    assert "PASS" in printed(verdict, [])
