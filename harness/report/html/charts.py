"""What each chart shows: its title, its lines and their colours. Their data come from requests.py and sampled.py."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.report.html.chart import Apart, Chart, Line, Shown
from harness.series import BY_NAME

#: Colours for kinds of errors, in the order in which kinds are given them.
ERROR_COLORS = ("c2", "c3", "c1", "c4", "c5", "c6", "c7", "c8")

#: Colours for servers; beyond, they begin anew with dashed lines.
SERVER_COLORS = ("c2", "c3", "c5", "c6", "c7", "c8")

_RESPONSE, _SERVICE = ("response",), ("service",)


def _line(key: str, label: str, color: str, views: tuple[str, ...] = ()) -> Line:
    return Line(key=key, label=label, color=color, views=views)


def _dashed(key: str, label: str, color: str, views: tuple[str, ...] = ()) -> Line:
    return Line(key=key, label=label, color=color, views=views, dash=True)


def _of_series(
    id: str,
    title: str,
    note: str,
    *lines: Line,
    apart: tuple[Apart, ...] = (),
    floor_top: float = 0.0,
    shown: Shown = Shown.MEASURED,
) -> Chart:
    """A chart of sampled series, in the unit of the first; each line's key is the name of one."""
    units = [*(each.series.unit for each in apart), *(BY_NAME[line.key].unit for line in lines)]
    return Chart(
        id=id, title=title, note=note, unit=units[0], lines=lines, apart=apart, floor_top=floor_top, shown=shown
    )


def _each(name: str, label: str) -> Apart:
    """A series of all servers, for each by itself."""
    return Apart(series=BY_NAME[name], label=label)


def _like(name: str) -> Apart:
    """A series of PostgreSQL's, for every server that has the like."""
    return Apart(series=replace(BY_NAME[name], labels={"name": "*"}), label="name")


CHARTS: tuple[Chart, ...] = (
    Chart(
        id="rate",
        title="Offered and achieved rate",
        note="arrivals scheduled; answers ok and failures, each at the second in which it came",
        unit="1/s",
        by_operation=True,
        lines=(
            _dashed("offered", "offered", "fg"),
            _line("begun", "with retries", "c8"),
            _line("ok", "ok", "c1"),
            _line("failed", "failed", "c2"),
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
            _line("response.p50", "p50", "c1", _RESPONSE),
            _line("response.p95", "p95", "c3", _RESPONSE),
            _line("response.p99", "p99", "c2", _RESPONSE),
            _dashed("service.p99", "service p99", "fg", _RESPONSE),
            _line("service.p50", "service p50", "c1", _SERVICE),
            _line("service.p95", "service p95", "c3", _SERVICE),
            _line("service.p99", "service p99", "c2", _SERVICE),
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
    ),
    Chart(
        id="errors",
        title="Failures by kind",
        note="requests per second that did not end ok, stacked, at the intended start",
        unit="1/s",
        form="stacked",
        by_operation=True,
    ),
    _of_series(
        "cpu",
        "CPU",
        "servers: share of the cores that each is allotted; generator and harness: share of one core; others, hypervisor: share of the cores to which a server is held",
        _line("generator.cpu", "generator, busiest worker", "c1"),
        _dashed("harness.cpu", "harness", "c4"),
        _line("server.core.others", "others on a server's cores", "c8"),
        _dashed("server.core.steal", "hypervisor", "fg"),
        apart=(_like("postgres.cpu"),),
        floor_top=1.0,
        shown=Shown.ALWAYS,
    ),
    _of_series(
        "throttled",
        "Throttled",
        "share of the periods of its CPU quota in which a server used it up and was stopped",
        apart=(_like("postgres.throttled"),),
        floor_top=1.0,
    ),
    _of_series(
        "service_memory",
        "Services: memory",
        "of each instance that has a limit, as a share of it; crashes and restarts are marked",
        apart=(_each("service.memory", "name"),),
        floor_top=1.0,
    ),
    _of_series(
        "replication",
        "Replication lag",
        "how far each replica or secondary is behind its primary; a member that does not answer stays where it was heard of last",
        apart=(_each("replica.lag", "server"), _each("mongo.lag", "member")),
    ),
    Chart(
        id="connections",
        title="Connections by state",
        note="client connections, stacked; dashed: max_connections",
        unit="",
        form="stacked",
        shown=Shown.POSTGRES,
        lines=(
            _line("waiting", "waiting for a lock", "c2"),
            _line("active", "active", "c1"),
            _line("in_transaction", "idle in transaction", "c3"),
            _line("idle", "idle", "c6"),
            _line("other", "other", "c8"),
            _dashed("limit", "max_connections", "fg"),
        ),
    ),
    _of_series(
        "blocked",
        "Blocked sessions",
        "sessions that wait for another one's lock, and the longest chain of them",
        _line("postgres.blocked", "blocked", "c2"),
        _line("postgres.block_depth", "chain", "c1"),
        shown=Shown.POSTGRES,
    ),
    _of_series(
        "deadlocks",
        "Deadlocks",
        "per second, from the server's log",
        _line("deadlock_rate", "deadlocks", "c2"),
        shown=Shown.POSTGRES,
    ),
    _of_series(
        "mongo_ops",
        "MongoDB: operations",
        "inserts, finds, updates and deletes of each member, as it counts them",
        apart=(_each("mongo.ops", "member"),),
    ),
    _of_series(
        "mongo_work",
        "MongoDB: clients and queues",
        "client connections, operations that run, and operations that wait for a ticket or a lock, each on the member that has the most",
        _line("mongo.connections", "connections", "c6"),
        _line("mongo.active", "running", "c1"),
        _line("mongo.queued", "queued", "c2"),
    ),
    _of_series(
        "mongo_tickets",
        "MongoDB: tickets",
        "share of the storage engine's tickets that are taken, on the member where it is largest; dashed at 100 % while flow control holds writes back",
        _line("mongo.tickets_used", "tickets taken", "c2"),
        _dashed("mongo.flow_control_lagged", "flow control", "fg"),
        floor_top=1.0,
    ),
    _of_series(
        "mongo_state",
        "MongoDB: members",
        "members that are neither primary nor secondary, and index builds on the member that has the most",
        _line("mongo.down", "members down", "c2"),
        _line("mongo.index_builds", "index builds", "c1"),
    ),
    _of_series(
        "pool",
        "Application pool",
        "requests that wait for a connection of the pool, and requests in flight",
        _line("pool.waiting", "waiting for a connection", "c2"),
        _line("generator.in_flight", "in flight", "c1"),
        shown=Shown.ALWAYS,
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
