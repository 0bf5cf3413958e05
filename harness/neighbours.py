"""What else used the servers' cores and the load's while the traffic lasted, in words, where it was enough to matter.

On the servers' cores it makes no run invalid and changes no answer. Invalid is a run whose generator failed it; a neighbour takes CPU from a server
as a smaller machine would, which makes a symptom of time more likely and one of CPU less: nobody can say which way the whole
verdict went. So it is said, with the criteria whose answer it could have changed: those that have another one if the server
is given, at each tick, what it used and all that others took. A server that has no more to gain by that was idle. On the load's
cores it is the reason why a generator was late, which more workers would not mend.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.evaluation.evidence import DOWNWARD, UPWARD, holds
from harness.evaluation.samples import value_of
from harness.evaluation.statistic import percentile
from harness.evaluation.window import traffic_window
from harness.model import Criterion, Finding
from harness.record.points import Floats, points, points_by, split
from harness.record.reader import Points, Run
from harness.series import BY_NAME

#: Post-mortems say "at 95 % and more": with so much gone on average a server cannot get there.
MEAN_LIMIT = 0.05
#: Or so much in one of twenty samples: a neighbour that came in bursts.
P95_LIMIT = 0.25
#: Cores this busy have no room for an arrival that is due.
BUSY = 0.9
_LOAD = "load"
_OTHERS = "server.core.others"
_TAKEN = {_OTHERS: "other processes used", "server.core.steal": "the hypervisor took"}
_CPU = ("container_cpu_usage_seconds_total", "flashcrowd_primary_cpu_seconds_total")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Cores, and the servers that are held to them.

    :param with_load: whether the load is held to one of them too
    """

    servers: tuple[str, ...]
    cores: frozenset[str]
    with_load: bool


def neighbours(run: Run, judged: Sequence[tuple[Criterion, Finding]]) -> tuple[str, ...]:
    """A sentence, without its full stop, for each place where others took a part that matters; none where they did not, or
    where it was not measured."""
    places = _places(run)
    notes = []
    for series, taken in _TAKEN.items():
        shares = points_by(run, BY_NAME[series], "name")
        for place in places:
            values = _during_traffic(run, shares.get(place.servers[0]))
            if _matters(values):
                who = f"the load and {taken}" if place.with_load and series == _OTHERS else taken
                turned = [pair for pair in judged if _could_turn(run, *pair, place, shares)]
                notes.append(_said(who, values, place, len(places), turned))
    return tuple(notes)


def crowded_out(run: Run) -> str | None:
    """Whether others had the larger part of the load's cores, which were busy; None where they had not, or it was not measured."""
    busy = _during_traffic(run, points(run, "load.core.busy"))
    if not len(busy) or busy.mean() < BUSY:
        return None
    [(cores,)] = run.query(
        "SELECT max(value) FROM samples WHERE metric = 'flashcrowd_held_cores' AND labels ->> '$.name' = ?", [_LOAD]
    )
    ours = [_during_traffic(run, every) for name in ("generator.cpu", "harness.cpu") for _, every in split(run, name)]
    own = sum(float(one.mean()) for one in ours if len(one)) / cores
    if own > busy.mean() / 2:
        return None
    return (
        f"the load's cores were {busy.mean():.0%} busy, {own:.0%} with workers and harness: free them of other processes, "
        "or use a machine with more cores"
    )


def _said(who: str, values: Floats, place: Place, places: int, turned: Sequence[tuple[Criterion, Finding]]) -> str:
    core, alone = "core" if len(place.cores) == 1 else "cores", len(place.servers) == 1
    where = f"the server's {core}" if alone and places == 1 else f"the {core} of {_and(place.servers)}"
    p95 = percentile(values, "p95")
    peak = "" if p95 is None else f", p95 {p95:.0%}"
    text = (
        f"{who} {values.mean():.0%} of {where} while the traffic lasted{peak}: "
        f"{'its' if alone else 'their'} CPU figures are a lower bound of what {'it' if alone else 'they'} would have used"
    )
    for would_be, answer in ((True, "true"), (False, "false")):
        names = [f"“{finding.name}”" for criterion, finding in turned if (criterion.comparator in UPWARD) is would_be]
        if names:
            text += f", and without that {_and(names)} might have been {answer}"
    return text


def _could_turn(run: Run, criterion: Criterion, finding: Finding, place: Place, taken: Mapping[str, Points]) -> bool:
    """Whether a criterion on these servers' CPU has another answer if a server gets all that was taken besides what it used:
    the most that it could have used. Where that leaves the answer as it is, the server was not held back, but idle."""
    series = BY_NAME.get(criterion.series)
    if series is None or series.metric not in _CPU or finding.held is None:
        return False
    if finding.held is not (criterion.comparator in DOWNWARD) or criterion.comparator not in (*UPWARD, *DOWNWARD):
        return False
    used = points_by(run, series, "name")
    for server in set(place.servers) & used.keys() & taken.keys():
        most = value_of(run, criterion, _most(used[server], taken[server], len(place.cores) / _allotted(run, server)))
        if most is not None and holds(criterion, most) is not finding.held:
            return True
    return False


def _most(used: Points, taken: Points, factor: float) -> Points:
    """Share of its allotment that a server could have used at each tick.

    :param factor: cores that it is held to by cores that it is allotted: a quota may leave it less
    """
    at_s, own, other = np.intersect1d(used.at_s, taken.at_s, return_indices=True)
    with_taken = used.value[own] + factor * taken.value[other]
    return Points(at_s=at_s, value=np.maximum(used.value[own], np.minimum(with_taken, 1.0)))


def _allotted(run: Run, server: str) -> float:
    rows = run.query(
        "SELECT arg_max(value, at_s) FROM samples WHERE metric = 'flashcrowd_cpu_allotment_cores' AND labels ->> '$.name' = ?",
        [server],
    )
    return float(rows[0][0])  # what was used is a share of it, so it is there


def _matters(values: Floats) -> bool:
    p95 = percentile(values, "p95")
    return len(values) > 0 and bool(values.mean() >= MEAN_LIMIT or (p95 is not None and p95 >= P95_LIMIT))


def _during_traffic(run: Run, every: Points | None) -> Floats:
    """The samples of the traffic; a rate's sample is about the time before it."""
    if every is None:
        return np.empty(0)
    window = traffic_window(run)
    return every.value[(every.at_s > window.begin_s) & (every.at_s <= window.end_s)]


def _places(run: Run) -> list[Place]:
    """Servers that were held to the same cores are one place; one that was given others meanwhile has all of them."""
    held: dict[str, frozenset[str]] = {}
    for (text,) in run.query(
        "SELECT DISTINCT labels FROM samples WHERE metric = 'flashcrowd_held_cores' ORDER BY labels"
    ):
        labels: Mapping[str, str] = json.loads(text)
        held[labels["name"]] = held.get(labels["name"], frozenset()) | frozenset(labels["cores"].split(","))
    load = held.pop(_LOAD, frozenset())
    servers: dict[frozenset[str], list[str]] = {}
    for name, cores in held.items():
        servers.setdefault(cores, []).append(name)
    return [Place(servers=tuple(names), cores=cores, with_load=bool(cores & load)) for cores, names in servers.items()]


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
