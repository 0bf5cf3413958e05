"""What else used the servers' cores while the traffic lasted, in words, where it was enough to matter.

It makes no run invalid and changes no answer. Invalid is a run whose generator failed it; a neighbour takes CPU from a server
as a smaller machine would, which makes a symptom of time more likely and one of CPU less: nobody can say which way the whole
verdict went. So it is said, beside the criteria whose answer it could have changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.evaluation.evidence import DOWNWARD, UPWARD
from harness.evaluation.statistic import percentile
from harness.evaluation.window import traffic_window
from harness.model import Criterion, Finding
from harness.record.points import Floats, fits, points_by
from harness.record.reader import Run
from harness.series import BY_NAME

#: Post-mortems say "at 95 % and more": with so much gone on average a server cannot get there.
MEAN_LIMIT = 0.05
#: Or so much in one of twenty samples: a neighbour that came in bursts.
P95_LIMIT = 0.25
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
        shares = _during_traffic(run, series)
        for place in places:
            values = shares.get(place.servers[0])
            if values is not None and _matters(values):
                who = f"the load and {taken}" if place.with_load and series == _OTHERS else taken
                notes.append(_said(who, values, place, len(places), judged))
    return tuple(notes)


def _said(who: str, values: Floats, place: Place, places: int, judged: Sequence[tuple[Criterion, Finding]]) -> str:
    core, alone = "core" if len(place.cores) == 1 else "cores", len(place.servers) == 1
    where = f"the server's {core}" if alone and places == 1 else f"the {core} of {_and(place.servers)}"
    p95 = percentile(values, "p95")
    peak = "" if p95 is None else f", p95 {p95:.0%}"
    text = (
        f"{who} {values.mean():.0%} of {where} while the traffic lasted{peak}: "
        f"{'its' if alone else 'their'} CPU figures are a lower bound of what {'it' if alone else 'they'} would have used"
    )
    turned = [
        (criterion.comparator in UPWARD, f"“{finding.name}”")
        for criterion, finding in judged
        if _could_turn(criterion, finding, place)
    ]
    for would_be, answer in ((True, "true"), (False, "false")):
        names = [name for upward, name in turned if upward is would_be]
        if names:
            text += f", and without that {_and(names)} might have been {answer}"
    return text


def _could_turn(criterion: Criterion, finding: Finding, place: Place) -> bool:
    """Whether a criterion on these servers' CPU might have another answer had they used more."""
    series = BY_NAME.get(criterion.series)
    if series is None or series.metric not in _CPU or finding.held is None:
        return False
    if not any(fits({"name": server}, series.labels) for server in place.servers):
        return False
    return finding.held is (criterion.comparator in DOWNWARD) and criterion.comparator in (*UPWARD, *DOWNWARD)


def _matters(values: Floats) -> bool:
    p95 = percentile(values, "p95")
    return bool(values.mean() >= MEAN_LIMIT or (p95 is not None and p95 >= P95_LIMIT))


def _during_traffic(run: Run, series: str) -> dict[str, Floats]:
    """By server, the samples of the traffic: a rate's sample is about the time before it."""
    window = traffic_window(run)
    found = {
        server: every.value[(every.at_s > window.begin_s) & (every.at_s <= window.end_s)]
        for server, every in points_by(run, BY_NAME[series], "name").items()
    }
    return {server: values for server, values in found.items() if len(values)}


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
