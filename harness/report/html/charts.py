"""What each chart shows: its title, its lines and their colours. Their data come from requests.py and sampled.py."""

from __future__ import annotations

from dataclasses import dataclass


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


#: Colours for kinds of errors, in the order in which kinds are given them.
ERROR_COLORS = ("c2", "c3", "c1", "c4", "c5", "c6", "c7", "c8")

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
        note="server: share of the cores it is allotted; generator and harness: share of one core",
        unit="ratio",
        floor_top=1.0,
        lines=(
            Line(key="postgres.cpu", label="PostgreSQL", color="c2"),
            Line(key="generator.cpu", label="generator, busiest worker", color="c1"),
            Line(key="harness.cpu", label="harness", color="c4", dash=True),
        ),
    ),
    Chart(
        id="connections",
        title="Connections by state",
        note="client connections, stacked; dashed: max_connections",
        unit="",
        form="stacked",
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
        lines=(Line(key="deadlock_rate", label="deadlocks", color="c2"),),
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
