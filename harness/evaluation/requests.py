"""Criteria of requests: from raw rows, exact."""

from __future__ import annotations

import numpy as np

from harness.evaluation.evidence import Evidence, each_holds, finding, holds, worst
from harness.evaluation.statistic import least_count, summary
from harness.evaluation.window import phase_window, traffic_window
from harness.model import Criterion, Finding, Outcome
from harness.record.reader import Run

#: Expressions over the view ``requests``: the time in ns, NULL where the request has no such part, and whether it is a lower bound.
_CUT = f"outcome = '{Outcome.CUT_OFF}'"
_PARTS: dict[str, tuple[str, str]] = {
    "response": ("finished_ns - intended_ns", _CUT),
    "service": ("finished_ns - acquired_ns", _CUT),
    "pool_wait": ("coalesce(acquired_ns, finished_ns) - started_ns", "acquired_ns IS NULL"),
    "lag": ("started_ns - intended_ns", "false"),
}


def _where(run: Run, criterion: Criterion) -> tuple[str, list[object]]:
    """The SQL condition that picks the criterion's requests, and its parameters."""
    conditions: list[str] = ["true"]
    parameters: list[object] = []
    if criterion.operation is not None:
        conditions.append("operation = ?")
        parameters.append(criterion.operation)
    if criterion.phase is not None:
        window = phase_window(run, criterion.phase)
        conditions.append("intended_ns >= ? AND intended_ns < ?")
        parameters += [round(window.begin_s * 1e9), round(window.end_s * 1e9)]
    return " AND ".join(conditions), parameters


def time_finding(run: Run, criterion: Criterion, name: str) -> Finding:
    """A statistic of a part of the requests' time."""
    assert criterion.statistic is not None
    time, bound = _PARTS[criterion.series]
    where, parameters = _where(run, criterion)
    rows = run.arrays(
        f"SELECT {time} AS ns, {bound} AS bound, finished_ns FROM requests WHERE {where} AND ({time}) IS NOT NULL",
        parameters,
    )
    ns = np.asarray(rows["ns"], dtype=np.int64)
    if not len(ns):
        return finding(criterion, name, why_unknown=f"no request{_of(criterion)}")
    # Statistics are taken of whole nanoseconds; only their result becomes a number of seconds.
    result = summary(ns.astype(np.float64), criterion.statistic)
    seconds = ns / 1e9
    good = each_holds(criterion, seconds)
    evidence = Evidence(
        first_s=float(rows["finished_ns"][good].min()) / 1e9 if good.any() else None,
        worst=worst(criterion, seconds),
        count=int(good.sum()),
    )
    if result is None:
        why = f"too few requests: {len(ns)}, {criterion.statistic} needs ≥ {least_count(criterion.statistic)}"
        return finding(criterion, name, evidence, why_unknown=why)
    bounded = np.asarray(rows["bound"], dtype=bool)
    why_unknown = None
    if bounded.any():
        at_most = summary(np.where(bounded, np.inf, ns.astype(np.float64)), criterion.statistic)
        assert at_most is not None
        if holds(criterion, result / 1e9) != holds(criterion, at_most / 1e9):
            what = "never got a connection" if criterion.series == "pool_wait" else "were cut off"
            why_unknown = f"{int(bounded.sum())} of {len(ns)} requests {what}, so their times are lower bounds, and it depends on them"
    return finding(criterion, name, evidence, value=result / 1e9, why_unknown=why_unknown)


def count_finding(run: Run, criterion: Criterion, name: str) -> Finding:
    """A share, a rate or a number of requests."""
    where, parameters = _where(run, criterion)
    counted = (
        "outcome = ?"
        if criterion.outcome is not None
        else {"errors": "outcome <> 'ok'", "rate": "outcome = 'ok'"}.get(criterion.series, "true")
    )
    own = [criterion.outcome] if criterion.outcome is not None else []
    [(requests, hits, first_ns)] = run.query(
        f"SELECT count(*), count(*) FILTER (WHERE hit), min(finished_ns) FILTER (WHERE hit)"
        f" FROM (SELECT {counted} AS hit, finished_ns FROM requests WHERE {where})",
        [*own, *parameters],
    )
    evidence = Evidence(first_s=None if first_ns is None else first_ns / 1e9, count=int(hits))
    if not requests:
        return finding(criterion, name, why_unknown=f"no request{_of(criterion)}")
    if criterion.series == "errors":
        return finding(criterion, name, evidence, value=hits / requests)
    if criterion.series == "count":
        return finding(criterion, name, evidence, value=float(hits))
    window = phase_window(run, criterion.phase) if criterion.phase is not None else traffic_window(run)
    if window.length_s <= 0:
        return finding(criterion, name, why_unknown="there was no traffic then")
    return finding(criterion, name, evidence, value=hits / window.length_s)


def _of(criterion: Criterion) -> str:
    """Which requests a criterion is about, in words that follow “no request”."""
    part = " got a connection" if criterion.series == "service" else ""
    operation = f" of {criterion.operation}" if criterion.operation is not None else ""
    return operation + part + (f" during {criterion.phase}" if criterion.phase is not None else "")
