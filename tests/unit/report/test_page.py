"""The whole page: complete, self-contained, escaped, and rendered from whatever a run left."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RecordingError
from harness.model import DeadlockCount, Expect, Status, VariantVerdict, Verdict
from harness.record import format as layout
from harness.record.reader import Run
from harness.report.html import write
from harness.report.html.page import render
from tests.unit.report.sample_runs import HOSTILE, make_experiment, make_verdict

Figures = Callable[[str], dict[str, Any]]


class Elements(HTMLParser):
    """All elements of a page, and its text outside of code and data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._raw = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.text += data


def text_of(page: str) -> str:
    return " ".join(Elements(page).text.split())


def test_says_the_verdict_first_and_shows_every_part(page: str) -> None:
    text = text_of(page)
    assert "Reproduced, and the fix holds. pass" in text
    parts = [
        "Timeline",
        "The deadlocks",
        "The deepest blocking tree",
        "Statements",
        "Operations",
        "Consistency",
        "Environment",
    ]
    places = [text.index(part, text.index("Reproduced")) for part in [*parts, "How these figures were made"]]
    assert places == sorted(places)
    for said in ("held 98.4 %", "gone 31.8 %", "first true at 6.2 s", "yes, all three", "embedded", "shared_buffers"):
        assert said in re.sub(r"(at|count|worst|value|criterion)(?=\d|never|deadlocks|p99)", r"\1 ", text), said


def test_nothing_in_it_is_fetched_from_anywhere(page: str) -> None:
    for tag, attributes in Elements(page).tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:,")), (tag, name, value)
        assert "style" not in attributes, "the policy forbids style attributes"
        assert not [name for name in attributes if name.startswith("on")]
    styles = " ".join(re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles


def test_policy_lets_only_our_own_code_run(page: str) -> None:
    policy = next(
        attributes["content"] for tag, attributes in Elements(page).tags if tag == "meta" and "http-equiv" in attributes
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    for kind, pattern in (("script-src", r"<script>(.*?)</script>"), ("style-src", r"<style>(.*?)</style>")):
        sources = next(part for part in policy.split("; ") if part.startswith(kind))
        found = re.findall(pattern, page, re.DOTALL)
        digests = [
            "'sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() + "'" for code in found
        ]
        assert sources.split()[1:] == digests


def test_hostile_texts_stay_text(tmp_path: Path, figures_of: Figures) -> None:
    verdict, runs = make_experiment(tmp_path, hostile=True)
    verdict = replace(
        verdict,
        incident=HOSTILE,
        variants=tuple(
            replace(
                v,
                why_invalid=(HOSTILE,),
                symptoms=tuple(replace(f, why_unknown=HOSTILE, held=None) for f in v.symptoms),
            )
            for v in verdict.variants
        ),
    )
    page = render(verdict, runs)
    elements = Elements(page)
    assert not [tag for tag, _ in elements.tags if tag == "img"]
    assert [tag for tag, _ in elements.tags].count("script") == page.count("<script>") + 1 == 5
    assert elements.text.count(HOSTILE) >= 5
    marks = figures_of(page)["variants"][0]["marks"]
    assert HOSTILE in [mark[3] for mark in marks], "data come through unharmed"


def test_a_million_requests_and_ten_minutes_stay_under_three_megabytes(tmp_path: Path) -> None:
    verdict, runs = make_experiment(tmp_path, seconds=595, per_s=1750)
    assert runs[0].query("SELECT count(*) FROM requests")[0][0] > 1_000_000
    write(tmp_path / "report.html", verdict, runs)
    assert (tmp_path / "report.html").stat().st_size < 3_000_000


@pytest.mark.parametrize("variants", [("before",), ("after",), ("before", "after", "partial")], ids=len)
def test_any_number_of_variants(tmp_path: Path, figures_of: Figures, variants: tuple[str, ...]) -> None:
    verdict, runs = make_experiment(tmp_path, variants=variants, seconds=5)
    page = render(verdict, runs)
    assert [variant["name"] for variant in figures_of(page)["variants"]] == list(variants)
    expected = {1: "no variant that claims to be fixed", 3: "Reproduced, and the fix holds."}[len(variants)]
    assert ("Only the fix was run" if variants == ("after",) else expected) in text_of(page)


OPTIONAL = [
    layout.OFFERED,
    layout.DEADLOCKS,
    layout.BLOCKING,
    layout.STATEMENTS,
    layout.INVARIANTS,
    layout.FINISHED,
    layout.PLANS,
]


def copy_of(run: Run, folder: Path) -> Path:
    """The run's folder without its Parquet files of requests and samples, as no reader had been there yet."""
    shutil.copytree(run.folder, folder)
    return folder


@pytest.mark.parametrize("missing", [*OPTIONAL, "samples.parquet", "requests.parquet", "events.jsonl"])
def test_a_missing_file_is_said_and_the_rest_shown(
    experiment: tuple[Verdict, list[Run]], tmp_path: Path, missing: str
) -> None:
    verdict, runs = experiment
    for run in runs:
        assert run.query("SELECT count(*) FROM requests")[0][0]
    folder = copy_of(runs[0], tmp_path / "before")
    path = folder / missing
    assert path.exists()
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    verdict = replace(verdict, variants=tuple(replace(v, invariants=()) for v in verdict.variants))
    text = text_of(render(verdict, [Run(folder), runs[1]]))
    said = {
        layout.OFFERED: "Offered and achieved rate",
        layout.DEADLOCKS: "no reports of the server's log recorded",
        layout.BLOCKING: "no trees recorded",
        layout.STATEMENTS: "No statements recorded: before.",
        layout.INVARIANTS: "Not checked.",
        layout.FINISHED: "before: the harness was killed",
        layout.PLANS: "plan in after",
        "samples.parquet": "Not measured in this run.",
        "requests.parquet": "No requests were recorded.",
        "events.jsonl": "Phases and events",
    }
    assert said[missing] in text
    assert "Reproduced, and the fix holds." in text
    if missing == layout.PLANS:
        assert "plan in before" not in text


def test_a_bare_run_json_is_enough(tmp_path: Path) -> None:
    (tmp_path / layout.RUN).write_text(json.dumps({"format": 1, "incident": "x", "variant": {"name": "before"}}))
    nothing = DeadlockCount(client=None, log=None, counter=None, matched=None)
    judged = VariantVerdict(
        variant="before",
        expect=Expect.SYMPTOMS,
        valid=True,
        why_invalid=(),
        symptoms=(),
        thresholds=(),
        invariants=(),
        deadlocks=nothing,
        status=Status.UNKNOWN,
    )
    verdict = Verdict(incident="x", status=Status.UNKNOWN, reproduced=None, fixed=None, variants=(judged,))
    text = text_of(render(verdict, [Run(tmp_path)]))
    assert "Whether it is reproduced is unknown" in text
    assert "the harness was killed" in text
    assert "unknown: not all were measured" in text


def test_a_killed_run_is_shown_to_its_last_second(
    experiment: tuple[Verdict, list[Run]], tmp_path: Path, figures_of: Figures
) -> None:
    verdict, runs = experiment
    folder = copy_of(runs[0], tmp_path / "before")
    (folder / layout.FINISHED).unlink()
    con = runs[0].db
    con.execute(
        f"COPY (SELECT * FROM request_rows WHERE finished_ns < 15000000000) TO '{folder / 'cut.parquet'}' (FORMAT parquet)"
    )
    con.execute(f"COPY (SELECT * FROM samples_all WHERE at_s < 15) TO '{folder / 'cut2.parquet'}' (FORMAT parquet)")
    (folder / "cut.parquet").replace(folder / layout.REQUESTS)
    (folder / "cut2.parquet").replace(folder / layout.SAMPLES)
    found = figures_of(render(verdict, [Run(folder), runs[1]]))
    assert len(found["lines"][0]["rate"][""]["ok"]) == 15, "nothing is known after it, which is not 0"
    assert len(found["lines"][1]["rate"][""]["ok"]) >= 35


def test_an_invalid_run_cannot_be_missed(experiment: tuple[Verdict, list[Run]]) -> None:
    verdict, runs = experiment
    why = "the generator's loop was 2.1 s late"
    variants = (replace(verdict.variants[0], valid=False, why_invalid=(why,)), verdict.variants[1])
    text = text_of(render(replace(verdict, variants=variants, status=Status.UNKNOWN), runs))
    assert "Invalid measurement: neither pass nor fail. invalid" in text
    assert text.index(why) < text.index("Invalid measurement")
    assert "the fix holds" not in text


def test_two_runs_of_one_variant_keep_apart(
    experiment: tuple[Verdict, list[Run]], tmp_path: Path, figures_of: Figures
) -> None:
    _, runs = experiment
    other = Run(copy_of(runs[0], tmp_path / "again"))
    pair = [runs[0], other]
    found = figures_of(render(make_verdict(pair), pair))
    assert [variant["name"] for variant in found["variants"]] == ["before (before)", "before (again)"]


def test_a_folder_that_cannot_be_written_is_said(experiment: tuple[Verdict, list[Run]], tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot write"):
        write(tmp_path / "nowhere" / "report.html", *experiment)
