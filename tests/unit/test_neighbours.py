"""What others took of the servers' cores is said where it matters, beside what it could have changed, and changes nothing."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from harness.model import Status
from harness.record.reader import Run
from harness.report import html, markdown, terminal
from harness.verdict import combine, judge, to_json
from tests.unit.runs import RunBuilder, steady

SATURATED = {"name": "saturated", "criterion": "postgres.cpu >= 95% for 10s"}
ROOM = {"name": "room", "criterion": "max(postgres.cpu) < 80%"}
IDLE = "a lower bound of what it would have used"
SAID = (
    "other processes used 21% of the server's core while the traffic lasted, p95 21%: "
    "its CPU figures are a lower bound of what it would have used"
)


def taken(builder: RunBuilder, name: str, shares: list[float], cores: str = "1", metric: str = "others") -> RunBuilder:
    """Let so much of the cores be used by others in each second."""
    total, counter = 0.0, [0.0]
    for share in shares:
        total += share * len(cores.split(","))
        counter.append(total)
    labels = {"name": name, "cores": cores}
    builder.every_second("usage", f"flashcrowd_core_{metric}_seconds_total", counter, **labels)
    return builder.every_second("usage", "flashcrowd_held_cores", [float(len(cores.split(",")))], **labels)


@pytest.fixture
def builder(tmp_path: Path) -> RunBuilder:
    return RunBuilder(folder=tmp_path / "before", requests=steady()).quiet_probes()


def notes(builder: RunBuilder) -> tuple[str, ...]:
    return judge(builder.write()).notes


def test_what_others_used_is_said(builder: RunBuilder) -> None:
    assert notes(taken(builder, "postgres", [0.21] * 40)) == (SAID,)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        pytest.param([0.04] * 40, False, id="little, all the time"),
        pytest.param([0.05] * 40, True, id="enough that 95 % cannot be reached"),
        pytest.param([0.0] * 10 + [0.3] * 2 + [0.0] * 28, True, id="a burst in one of twenty samples"),
        pytest.param([0.0] * 10 + [0.3] + [0.0] * 29, False, id="a moment"),
        pytest.param([0.0] * 30 + [0.9] * 10, False, id="after the traffic"),
    ],
)
def test_only_where_it_matters(builder: RunBuilder, shares: list[float], said: bool) -> None:
    assert bool(notes(taken(builder, "postgres", shares))) is said


def test_where_nothing_was_measured_nothing_is_said(builder: RunBuilder) -> None:
    assert notes(builder) == ()


def test_the_load_is_no_stranger_where_it_has_to_share_the_core(builder: RunBuilder) -> None:
    taken(builder, "postgres", [0.5] * 40, cores="0,1")
    builder.every_second("usage", "flashcrowd_held_cores", [2.0], name="load", cores="0,1")
    [said] = notes(builder)
    assert said.startswith("the load and other processes used 50% of the server's cores")


def test_servers_that_share_cores_are_named_together(builder: RunBuilder) -> None:
    for name in ("mongo-1", "mongo-2"):
        taken(builder, name, [0.3] * 40, cores="2")
    taken(builder, "postgres", [0.01] * 40)
    [said] = notes(builder)
    assert "30% of the core of mongo-1 and mongo-2 while the traffic lasted" in said
    assert "their CPU figures are a lower bound of what they would have used" in said


def test_what_the_hypervisor_took_is_said_likewise(builder: RunBuilder) -> None:
    [said] = notes(taken(builder, "postgres", [0.12] * 40, metric="steal"))
    assert said.startswith("the hypervisor took 12% of the server's core")


@pytest.mark.parametrize("metric", ["others", "steal"])
def test_a_services_core_is_a_servers_too(builder: RunBuilder, metric: str) -> None:
    taken(builder, "postgres", [0.0] * 40, metric=metric)
    [said] = notes(taken(builder, "web-1", [0.3] * 40, cores="2", metric=metric))
    assert "30% of the core of web-1 while" in said


def test_what_the_hypervisor_took_of_the_loads_core_is_no_servers(builder: RunBuilder) -> None:
    assert notes(taken(builder, "load", [0.5] * 40, cores="0", metric="steal")) == ()


@pytest.mark.parametrize(
    ("declared", "ending"),
    [
        pytest.param({"symptoms": [SATURATED]}, "and without that “saturated” might have been true", id="not reached"),
        pytest.param({"thresholds": [ROOM]}, "and without that “room” might have been false", id="kept, perhaps so"),
        pytest.param(
            {"symptoms": [SATURATED, {"name": "busy", "criterion": "mean(postgres.cpu) > 50%"}], "thresholds": [ROOM]},
            "“saturated” and “busy” might have been true, and without that “room” might have been false",
            id="several",
        ),
        pytest.param(
            {"symptoms": [{"name": "all day", "criterion": "postgres.cpu >= 95% for 25s"}]}, IDLE, id="not for so long"
        ),
        pytest.param({"symptoms": [{"name": "idle", "criterion": "max(postgres.cpu) > 5%"}]}, IDLE, id="true anyway"),
        pytest.param({"symptoms": [{"name": "slow", "criterion": "p99(craft) > 9s"}]}, IDLE, id="of something else"),
        pytest.param({"symptoms": [{"name": "mongo", "criterion": "max(mongo.cpu) > 90%"}]}, IDLE, id="another server"),
    ],
)
def test_beside_what_it_could_have_changed(
    builder: RunBuilder, declared: Mapping[str, list[dict[str, str]]], ending: str
) -> None:
    """The server used 10 % all the time, others 86 % for 20 s."""
    builder.symptoms, builder.thresholds = declared.get("symptoms", ()), declared.get("thresholds", ())
    [said] = notes(taken(builder, "postgres", [0.2] * 5 + [0.86] * 20 + [0.2] * 15))
    assert said.endswith(ending)


def test_a_server_that_was_idle_beside_its_neighbours_was_not_held_back(builder: RunBuilder) -> None:
    builder.symptoms = [SATURATED]
    [said] = notes(taken(builder, "postgres", [0.6] * 40))
    assert said.endswith(IDLE), "70 % of the core at the most is no 95 %"


def test_a_quota_is_the_most_that_a_server_could_have_used(builder: RunBuilder) -> None:
    """One core's worth of two."""
    builder.symptoms = [SATURATED, {"name": "beyond", "criterion": "max(postgres.cpu) > 120%"}]
    [said] = notes(taken(builder, "postgres", [0.7] * 40, cores="1,2"))
    assert said.endswith("and without that “saturated” might have been true")


def test_it_changes_no_verdict(tmp_path: Path) -> None:
    def judged(name: str, share: float) -> Run:
        builder = RunBuilder(folder=tmp_path / name, requests=steady(), symptoms=[SATURATED], thresholds=[ROOM])
        return taken(builder.quiet_probes(), "postgres", [share] * 40).write()

    quiet, disturbed = judge(judged("quiet", 0.0)), judge(judged("disturbed", 0.9))
    assert (quiet.status, quiet.valid) == (disturbed.status, disturbed.valid) == (Status.FAIL, True)
    assert quiet.symptoms == disturbed.symptoms
    assert quiet.notes == ()
    assert len(disturbed.notes) == 1


def test_every_report_says_it_in_the_same_words(builder: RunBuilder, tmp_path: Path) -> None:
    run = taken(builder, "postgres", [0.21] * 40).write()
    verdict = combine("crafting-burst", [judge(run)])
    console = Console(file=io.StringIO(), width=400)
    terminal.show(verdict, [run], tmp_path, console)
    html.write(tmp_path / "report.html", verdict, [run])
    assert isinstance(console.file, io.StringIO)
    for text in (
        console.file.getvalue(),
        markdown.render(verdict, [run]),
        (tmp_path / "report.html").read_text(encoding="utf-8").replace("&#39;", "'"),
    ):
        assert f"before: {SAID}." in text
    assert to_json(verdict)["variants"]["before"]["notes"] == [SAID]
