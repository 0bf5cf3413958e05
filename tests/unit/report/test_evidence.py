"""Deadlocks by shape, the deepest tree, statements matched between variants, exact figures."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.model import Verdict
from harness.record import format as layout
from harness.record.reader import Run
from harness.report.html.blocking import MOST_SESSIONS, blocking
from harness.report.html.deadlocks import MOST_SHAPES, deadlocks
from harness.report.html.graph import SIZE, graph
from harness.report.html.operations import TOO_FEW, columns, figures
from harness.report.html.plans import plans
from harness.report.html.side import sides
from harness.report.html.statements import normalised, statements
from harness.units import format_value
from tests.unit.report.sample_runs import make_experiment


def run_with(folder: Path, **files: list[dict[str, Any]]) -> Run:
    (folder / layout.RUN).write_text(json.dumps({"format": 1, "incident": "x", "variant": {"name": "before"}}))
    for stem, lines in files.items():
        (folder / f"{stem}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Run(folder)


def report(at_s: float, statements_: list[str], pids: list[int], victim: int = 0) -> dict[str, Any]:
    processes = [
        {
            "pid": pid,
            "mode": "ShareLock",
            "object": f"transaction {pid * 7}",
            "waits_for": f"ShareLock on transaction {pid * 7}",
            "blocked_by": pids[(i + 1) % len(pids)],
            "statement": text,
        }
        for i, (pid, text) in enumerate(zip(pids, statements_, strict=True))
    ]
    return {"at_s": at_s, "victim_pid": pids[victim], "processes": processes, "context": ""}


def test_deadlocks_of_one_shape_are_one_whatever_pids_values_and_first_member(tmp_path: Path) -> None:
    one, other = "UPDATE a SET n = 1 WHERE id = 5", "UPDATE  b SET t = 'x''y' WHERE id = 9"
    lines = [
        report(1.0, [one, other], [10, 11]),
        report(2.0, [other.replace("9", "12"), one.replace("5", "77")], [31, 30], victim=1),
        report(3.0, [one, one], [10, 11]),
    ]
    found = deadlocks(run_with(tmp_path, deadlocks=lines))
    assert found is not None
    assert (found.count, found.distinct, [shape.count for shape in found.shapes]) == (3, 2, [2, 1])
    first = found.shapes[0]
    assert [(p.letter, p.pid, p.blocked_by, p.victim) for p in first.participants] == [
        ("A", 10, "B", True),
        ("B", 11, "A", False),
    ]
    assert first.graph.says == "A waits for B; B waits for A"


def test_at_most_ten_shapes_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    lines = [report(float(i), [f"UPDATE t{chr(97 + i)} SET n = 1"] * 2, [1, 2]) for i in range(MOST_SHAPES + 3)]
    found = deadlocks(run_with(tmp_path, deadlocks=lines))
    assert found is not None
    assert (len(found.shapes), found.distinct, found.count) == (MOST_SHAPES, MOST_SHAPES + 3, MOST_SHAPES + 3)


def test_a_report_with_parts_missing_is_still_shown(tmp_path: Path) -> None:
    torn = {"at_s": 1.0, "victim_pid": 5, "processes": [{"pid": 5, "blocked_by": 6}]}
    found = deadlocks(run_with(tmp_path, deadlocks=[torn, {"at_s": 2.0}]))
    assert found is not None
    (with_process,) = [shape for shape in found.shapes if shape.participants]
    assert with_process.participants[0].blocked_by == "a session that the report does not name"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 12])
def test_graph_stays_within_its_drawing(size: int) -> None:
    letters = [chr(65 + i) for i in range(size)]
    drawn = graph(letters, [(letters[i], letters[(i + 1) % size]) for i in range(size)], "A")
    assert len(drawn.nodes) == size
    assert len(drawn.arrows) == (size if size > 1 else 0)
    for node in drawn.nodes:
        assert drawn.radius < node.x < SIZE - drawn.radius
        assert drawn.radius < node.y < drawn.height - drawn.radius


def test_deepest_tree_wins_and_wide_ones_are_cut_with_a_count(tmp_path: Path) -> None:
    def chain(depth: int) -> dict[str, Any]:
        return {"pid": depth, "statement": "s", "for_s": 1.0, "blocked": [chain(depth - 1)] if depth > 1 else []}

    wide = {"pid": 99, "statement": "s", "blocked": [*({"pid": i, "blocked": []} for i in range(100)), chain(3)]}
    found = blocking(
        run_with(tmp_path, blocking=[{"at_s": 1, "trees": [chain(3)]}, {"at_s": 2, "trees": [chain(2), wide]}])
    )
    assert found is not None
    assert (found.at_s, found.depth, found.sessions, found.root.pid) == (2.0, 4, 104, 99)
    assert found.root.blocked[0].pid == 3, "the longest chain is shown first"

    def shown(session: Any) -> int:
        return 1 + sum(shown(child) for child in session.blocked)

    assert shown(found.root) == MOST_SESSIONS
    assert found.root.hidden == 104 - MOST_SESSIONS


def test_statements_are_matched_and_compared(experiment: tuple[Verdict, list[Run]]) -> None:
    verdict, runs = experiment
    counter = next(row for row in statements(sides(verdict, runs)) if row.query.startswith("UPDATE collections"))
    assert counter.uses[0] is not None
    assert counter.uses[0].mean_s == pytest.approx(0.0911)
    assert counter.changes == ("", "479× faster")
    slow = next(row for row in statements(sides(verdict, runs)) if "random()" in row.query)
    assert (slow.uses[1], slow.changes[1]) == (None, "not run")
    assert [name for name, _ in slow.plans] == ["before"]


def test_plans_are_trees_with_costs(experiment: tuple[Verdict, list[Run]]) -> None:
    (plan,) = plans(experiment[1][0]).values()
    nodes = plan.nodes
    assert plan.why_none is None
    assert [(node.depth, node.what) for node in nodes] == [
        (0, "Limit"),
        (1, "Sort"),
        (2, "Index Scan using items_owner on items i"),
        (3, "Aggregate"),
        (4, "Seq Scan on items j"),
    ]
    assert nodes[2].cost == "18,443"
    assert "Filter: ((burned_at IS NULL) AND ((SubPlan 1) > $2))" in nodes[2].details


def test_a_plan_that_the_server_refused_says_why(tmp_path: Path) -> None:
    _, runs = make_experiment(tmp_path, seconds=10, variants=("before",))
    refused = {
        "query": "SELECT f($1)",
        "generic": True,
        "plan": None,
        "error": "42725: function f(unknown) is not unique",
    }
    (runs[0].folder / "plans" / "2.json").write_text(json.dumps(refused))
    plan = plans(runs[0])["SELECT f($1)"]
    assert (plan.nodes, plan.why_none) == ((), "42725: function f(unknown) is not unique")


def test_normalised_keeps_different_statements_apart() -> None:
    assert normalised("SELECT a FROM t WHERE x = $1") != normalised("SELECT b FROM t WHERE x = $1")
    assert normalised("select 1 /* craft:12 */\n;") == normalised("SELECT  1")


def test_figures_are_exact_and_too_few_are_said(experiment: tuple[Verdict, list[Run]]) -> None:
    verdict, runs = experiment
    rows = figures(sides(verdict, runs))
    assert [(row.operation, row.variant) for row in rows[:2]] == [("craft", "before"), ("craft", "after")]
    assert rows[-1].operation is None
    times = np.sort(runs[0].arrays("SELECT response_s FROM requests WHERE operation = 'craft'")["response_s"])
    shown = dict(zip([(part, rank) for part, ranks in columns() for rank in ranks], rows[0].times, strict=True))
    for name, p in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)):
        assert shown["response", name] == format_value(float(times[math.ceil(p * len(times)) - 1]), "s")
    assert shown["response", "max"] == format_value(float(times[-1]), "s")
    assert rows[0].count == len(times) == rows[0].ok + sum(count for _, count, _ in rows[0].errors)
    few = next(row for row in rows if row.count < 1000)
    assert few.times[3] == TOO_FEW
    assert few.times[2] != TOO_FEW
