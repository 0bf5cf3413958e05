"""What each chart shows: its title, its lines and their colours. Their data come from requests.py and sampled.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Shown(StrEnum):
    """In which reports a chart stands."""

    ALWAYS = "always"
    POSTGRES = "postgres"
    MEASURED = "measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart.

    :param color: a role of the style sheet's palette, ``c1`` to ``c8`` or ``fg``, that light and dark resolve differently
    :param views: views of the chart that show it; empty means all
    """

    key: str
    label: str
    color: str
    dash: bool = False
    views: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One row of charts: the same for every variant, on the same scales.

    :param unit: base unit of its values, as in :mod:`harness.units`
    :param form: ``lines``, ``stacked`` or ``heat``
    :param by_operation: whether the operation selector changes it
    :param floor_top: the vertical axis reaches at least this high
    :param by_server: whether it has a line for each server, before the others
    :param shown: where it stands: in every report, in those with a PostgreSQL, or in those that have something to show in it
    """

    id: str
    title: str
    note: str
    unit: str
    lines: tuple[Line, ...]
    form: str = "lines"
    log: bool = False
    by_operation: bool = False
    floor_top: float = 0.0
    by_server: bool = False
    shown: Shown = Shown.ALWAYS


#: Colours for kinds of errors, in the order in which kinds are given them.
ERROR_COLORS = ("c2", "c3", "c1", "c4", "c5", "c6", "c7", "c8")

#: Colours for servers; beyond, they begin anew with dashed lines.
SERVER_COLORS = ("c2", "c3", "c5", "c6", "c7", "c8")

_RESPONSE, _SERVICE = ("response",), ("service",)

CHARTS: tuple[Chart, ...] = (
    Chart(
        id="rate",
        title="Offered and achieved rate",
        note="arrivals scheduled; answers ok and failures, each at the second in which it came",
        unit="1/s",
        by_operation=True,
        lines=(
            Line(key="offered", label="offered", color="fg", dash=True),
            Line(key="begun", label="with retries", color="c8"),
            Line(key="ok", label="ok", color="c1"),
            Line(key="failed", label="failed", color="c2"),
        ),
    ),
    Chart(
        id="latency",
        title="Time per request",
        note="percentiles of each second, every outcome counted, at the second of the intended start; logarithmic",
        unit="s",
        log=True,
        by_operation=True,
        lines=(
            Line(key="response.p50", label="p50", color="c1", views=_RESPONSE),
            Line(key="response.p95", label="p95", color="c3", views=_RESPONSE),
            Line(key="response.p99", label="p99", color="c2", views=_RESPONSE),
            Line(key="service.p99", label="service p99", color="fg", dash=True, views=_RESPONSE),
            Line(key="service.p50", label="service p50", color="c1", views=_SERVICE),
            Line(key="service.p95", label="service p95", color="c3", views=_SERVICE),
            Line(key="service.p99", label="service p99", color="c2", views=_SERVICE),
        ),
    ),
    Chart(
        id="heat",
        title="Response times, all of them",
        note="requests per second and tenth of a decade, every outcome counted, at the intended start; logarithmic",
        unit="s",
        form="heat",
        log=True,
        by_operation=True,
        lines=(),
    ),
    Chart(
        id="errors",
        title="Failures by kind",
        note="requests per second that did not end ok, stacked, at the intended start",
        unit="1/s",
        form="stacked",
        by_operation=True,
        lines=(),
    ),
    Chart(
        id="cpu",
        title="CPU",
        note="servers: share of the cores that each is allotted; generator and harness: share of one core; others, hypervisor: share of the cores to which a server is held",
        unit="ratio",
        floor_top=1.0,
        by_server=True,
        lines=(
            Line(key="generator.cpu", label="generator, busiest worker", color="c1"),
            Line(key="harness.cpu", label="harness", color="c4", dash=True),
            Line(key="server.core.others", label="others on a server's cores", color="c8"),
            Line(key="server.core.steal", label="hypervisor", color="fg", dash=True),
        ),
    ),
    Chart(
        id="throttled",
        title="Throttled",
        note="share of the periods of its CPU quota in which a server used it up and was stopped",
        unit="ratio",
        floor_top=1.0,
        by_server=True,
        shown=Shown.MEASURED,
        lines=(),
    ),
    Chart(
        id="replication",
        title="Replication lag",
        note="how far each replica or secondary is behind its primary; a member that does not answer stays where it was heard of last",
        unit="s",
        by_server=True,
        shown=Shown.MEASURED,
        lines=(),
    ),
    Chart(
        id="connections",
        title="Connections by state",
        note="client connections, stacked; dashed: max_connections",
        unit="",
        form="stacked",
        shown=Shown.POSTGRES,
        lines=(
            Line(key="waiting", label="waiting for a lock", color="c2"),
            Line(key="active", label="active", color="c1"),
            Line(key="in_transaction", label="idle in transaction", color="c3"),
            Line(key="idle", label="idle", color="c6"),
            Line(key="other", label="other", color="c8"),
            Line(key="limit", label="max_connections", color="fg", dash=True),
        ),
    ),
    Chart(
        id="blocked",
        title="Blocked sessions",
        note="sessions that wait for another one's lock, and the longest chain of them",
        unit="",
        shown=Shown.POSTGRES,
        lines=(
            Line(key="postgres.blocked", label="blocked", color="c2"),
            Line(key="postgres.block_depth", label="chain", color="c1"),
        ),
    ),
    Chart(
        id="deadlocks",
        title="Deadlocks",
        note="per second, from the server's log",
        unit="1/s",
        shown=Shown.POSTGRES,
        lines=(Line(key="deadlock_rate", label="deadlocks", color="c2"),),
    ),
    Chart(
        id="mongo_ops",
        title="MongoDB: operations",
        note="inserts, finds, updates and deletes of each member, as it counts them",
        unit="1/s",
        by_server=True,
        shown=Shown.MEASURED,
        lines=(),
    ),
    Chart(
        id="mongo_work",
        title="MongoDB: clients and queues",
        note="client connections, operations that run, and operations that wait for a ticket or a lock, each on the member that has the most",
        unit="",
        shown=Shown.MEASURED,
        lines=(
            Line(key="mongo.connections", label="connections", color="c6"),
            Line(key="mongo.active", label="running", color="c1"),
            Line(key="mongo.queued", label="queued", color="c2"),
        ),
    ),
    Chart(
        id="mongo_tickets",
        title="MongoDB: tickets",
        note="share of the storage engine's tickets that are taken, on the member where it is largest; dashed at 100 % while flow control holds writes back",
        unit="ratio",
        floor_top=1.0,
        shown=Shown.MEASURED,
        lines=(
            Line(key="mongo.tickets_used", label="tickets taken", color="c2"),
            Line(key="mongo.flow_control_lagged", label="flow control", color="fg", dash=True),
        ),
    ),
    Chart(
        id="mongo_state",
        title="MongoDB: members",
        note="members that are neither primary nor secondary, and index builds on the member that has the most",
        unit="",
        shown=Shown.MEASURED,
        lines=(
            Line(key="mongo.down", label="members down", color="c2"),
            Line(key="mongo.index_builds", label="index builds", color="c1"),
        ),
    ),
    Chart(
        id="pool",
        title="Application pool",
        note="requests that wait for a connection of the pool, and requests in flight",
        unit="",
        lines=(
            Line(key="pool.waiting", label="waiting for a connection", color="c2"),
            Line(key="generator.in_flight", label="in flight", color="c1"),
        ),
    ),
)


def server_lines(names: Iterable[str]) -> dict[str, Line]:
    """A line for each server, the same in every chart.

    >>> [(line.label, line.color) for line in server_lines(["mongo-1", "postgres"]).values()]
    [('PostgreSQL', 'c2'), ('mongo-1', 'c3')]
    """
    ordered = sorted(names, key=lambda name: (name != "postgres", name))
    return {
        name: Line(
            key=name,
            label="PostgreSQL" if name == "postgres" else name,
            color=SERVER_COLORS[index % len(SERVER_COLORS)],
            dash=index >= len(SERVER_COLORS),
        )
        for index, name in enumerate(ordered)
    }
