"""Run folders as a real run leaves them, made from a seed: a crafting burst before and after its fix.

The requests come from a small model, not from figures chosen to look good: arrivals are Poisson, a server that is slower than
they come makes a queue, and deadlocks cost their victim a second. All requests at once, in NumPy, so that a million take
seconds.

"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from harness.model import (
    DeadlockCount,
    Event,
    Expect,
    Finding,
    Invariant,
    Sample,
    Status,
    VariantVerdict,
    Verdict,
)
from harness.record import format as layout
from harness.record.reader import Run
from harness.record.row import ROW
from harness.record.writer import EventWriter, SampleWriter, write_json
from harness.report.html import write

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
CALM_S = 5.0
OUTCOMES = ("ok", "40P01", "57014", "pool_timeout", "cut_off")
OPERATIONS = ("craft", "view_recipe")
SLOW_QUERY = (
    "SELECT i.id, i.collection_id FROM items i\n WHERE i.owner_id = $1 AND i.burned_at IS NULL\n"
    "   AND (SELECT count(*) FROM items j WHERE j.collection_id = i.collection_id AND j.burned_at IS NULL) > $2\n"
    " ORDER BY random() LIMIT $3"
)
QUICK_QUERY = "SELECT id, collection_id FROM items WHERE owner_id = $1 AND id = ANY($2) AND burned_at IS NULL ORDER BY id FOR UPDATE"
COUNTER = "UPDATE collections SET crafted = crafted + $1 WHERE id = $2"
EDITION = "UPDATE editions SET owner_id = $1 WHERE id = $2"

Rows = NDArray[Any]


def make_experiment(
    folder: Path,
    *,
    seconds: float = 30.0,
    per_s: float = 60.0,
    variants: Sequence[str] = ("before", "after"),
    hostile: bool = False,
) -> tuple[Verdict, list[Run]]:
    """Run folders under ``folder`` and the verdict on them.

    :param seconds: length of the burst, after a calm of 5 s
    :param per_s: arrivals per second in the burst
    :param hostile: whether texts hold markup that must not work
    """
    runs = []
    for name in variants:
        own = folder / name
        own.mkdir(parents=True)
        make_run(own, name, seconds=seconds, per_s=per_s, hostile=hostile)
        runs.append(Run(own))
    return make_verdict(runs), runs


def make_run(folder: Path, variant: str, *, seconds: float, per_s: float, hostile: bool = False) -> None:
    """One run folder, in the layout of ARCHITECTURE.md."""
    rng = np.random.default_rng(7 if variant == "before" else 8)
    slow = variant == "before"
    ends_s = CALM_S + seconds
    rows = _requests(rng, slow, seconds, per_s)
    failed = np.sort(rows["finished"][rows["outcome"] == 1] / 1e9)
    write_json(folder / layout.RUN, _meta(variant, seconds, per_s, rows, hostile))
    (folder / "requests-0.rows").write_bytes(rows.tobytes())
    codes = [("operation", i, name) for i, name in enumerate(OPERATIONS)] + [
        ("outcome", i, name) for i, name in enumerate(OUTCOMES)
    ]
    (folder / "requests-0.jsonl").write_text(
        "".join(json.dumps({"kind": kind, "code": code, "name": name}) + "\n" for kind, code, name in codes)
    )
    first = rows[rows["attempt"] == 1]
    bins = np.arange(0, np.ceil(ends_s) + 1)
    offered = {
        name: np.histogram(first["intended"][first["operation"] == i] / 1e9, bins)[0].tolist()
        for i, name in enumerate(OPERATIONS)
    }
    write_json(folder / layout.OFFERED, {"step_s": 1.0, "operations": offered})
    _samples(folder, rng, rows, failed, slow, ends_s)
    _events(folder, ends_s, slow, hostile)
    _lines(folder / layout.DEADLOCKS, _deadlock_lines(rng, failed, hostile))
    _lines(folder / layout.BLOCKING, _blocking_lines(rng, slow, ends_s))
    _statements(folder, rows, slow, hostile)
    write_json(
        folder / layout.INVARIANTS,
        [
            {"name": "no item is both burned and owned", "violations": 0, "detail": ""},
            {"name": "a collection's counter equals its crafts", "violations": 0, "detail": "12 collections"},
        ],
    )
    write_json(folder / layout.FINISHED, {"status": "completed", "at_s": ends_s + 22.4, "why": ""})


def _requests(rng: np.random.Generator, slow: bool, seconds: float, per_s: float) -> Rows:
    """Arrivals of a calm and a burst, and their retries, through one queue."""
    calm_s = np.cumsum(rng.exponential(4 / per_s, int(CALM_S * per_s / 4)))
    burst_s = CALM_S + np.cumsum(rng.exponential(1 / per_s, int(seconds * per_s)))
    intended = np.concatenate([calm_s[calm_s < CALM_S], burst_s[burst_s < CALM_S + seconds]])
    count = len(intended)
    operation = (rng.random(count) < 0.55).astype(np.uint8)
    in_burst = intended >= CALM_S
    # The busier the server, the longer everything takes: what is offered beyond its capacity queues up.
    capacity = per_s * (0.72 if slow else 4.0)
    backlog_s = np.where(in_burst, np.maximum(0, (intended - CALM_S) * (per_s / capacity - 1)), 0.0)
    service = rng.lognormal(np.log(0.3 if slow else 0.004), 0.55, count) * np.where(operation == 0, 1.6, 1.0)
    service = np.where(in_burst | (not slow), service, service * 0.06)
    outcome = np.zeros(count, dtype=np.uint8)
    if slow:
        pick = rng.random(count)
        crafting = in_burst & (operation == 0)
        # A deadlock costs a second: however fast arrivals come, a server resolves but a few a second.
        outcome[crafting & (pick < min(0.22, 15 / per_s))] = 1
        outcome[in_burst & (pick > 0.9)] = 2
        outcome[in_burst & (backlog_s > 6) & (pick > 0.55) & (pick < 0.8)] = 3
        service = np.where(outcome == 1, service + 1.0, np.where(outcome == 2, 4.0 + 0.02 * pick, service))
    lag = rng.exponential(0.0004, count)
    wait = np.minimum(backlog_s, 8.0) * rng.uniform(0.75, 1.0, count) + rng.exponential(0.0002, count)
    rows = np.zeros(count, dtype=ROW)
    rows["intended"] = (intended * 1e9).astype(np.int64)
    rows["started"] = rows["intended"] + (lag * 1e9).astype(np.int64)
    rows["acquired"] = rows["started"] + (wait * 1e9).astype(np.int64)
    rows["finished"] = rows["acquired"] + (service * 1e9).astype(np.int64)
    timed_out = outcome == 3
    rows["finished"][timed_out] = rows["started"][timed_out] + 5_000_000_000
    rows["acquired"][timed_out] = layout.NOT_REACHED
    rows["arrival"], rows["operation"], rows["outcome"], rows["attempt"] = np.arange(count), operation, outcome, 1
    again = rows[(outcome == 1)].copy()
    shift = (rng.exponential(2.0, len(again)) * 1e9).astype(np.int64) + again["finished"] - again["intended"]
    for column in ("intended", "started", "acquired", "finished"):
        again[column] += shift
    again["attempt"], again["outcome"] = 2, np.where(rng.random(len(again)) < 0.3, 1, 0)
    everything = np.concatenate([rows, again])
    end = int((CALM_S + seconds + 10) * 1e9)
    everything = everything[everything["intended"] < end]
    late = everything["finished"] > end
    everything["outcome"][late] = 4
    everything["finished"][late] = end
    return everything[np.argsort(everything["finished"])]


def _samples(
    folder: Path, rng: np.random.Generator, rows: Rows, failed: NDArray[Any], slow: bool, ends_s: float
) -> None:
    """Ticks of every second from before the traffic until after it; between 12 and 15 s the activity probe got no answer."""
    writer, worker = SampleWriter(folder), SampleWriter(folder, "samples-worker-0")
    cpu = generator = harness = 0.0
    intended, acquired, finished = (rows[name] / 1e9 for name in ("intended", "acquired", "finished"))
    begun = np.sort(intended)
    done = np.sort(finished)
    waiting_from = np.sort(rows["started"][rows["acquired"] > 0] / 1e9)
    got = np.sort(acquired[rows["acquired"] > 0])
    for second in range(-2, int(ends_s) + 12):
        at_s = second + 0.003
        busy = CALM_S <= second < ends_s
        load = 0.985 if slow and busy else 0.31 if busy else 0.06
        cpu += max(0.0, load + rng.normal(0, 0.008))
        generator += 0.11 + rng.random() * 0.02
        harness += 0.03
        in_flight = int(np.searchsorted(begun, at_s) - np.searchsorted(done, at_s))
        queued = int(np.searchsorted(waiting_from, at_s) - np.searchsorted(got, at_s))
        pooled = min(60 if slow else 9, max(0, in_flight - queued))
        blocked = int(pooled * 0.6) if slow and busy else 0
        writer.append(
            "cpu",
            at_s,
            0.001,
            [
                _sample(at_s, "container_cpu_usage_seconds_total", cpu, name="postgres"),
                _sample(at_s, "flashcrowd_cpu_allotment_cores", 1, name="postgres"),
            ],
        )
        if not 12 <= second < 15:
            states = [("active", "Lock", blocked), ("active", "", pooled - blocked), ("idle", "Client", 60 - pooled)]
            groups = [
                _sample(at_s, "pg_stat_activity_count", n, state=state, wait_event_type=wait, wait_event="")
                for state, wait, n in states
                if n
            ]
            writer.append("activity", at_s, 0.004, [*groups, _sample(at_s, "pg_settings_max_connections", 70)])
            depth = min(blocked, 9)
            writer.append(
                "blocking",
                at_s,
                0.006,
                [
                    _sample(at_s, "flashcrowd_blocked_sessions", blocked),
                    _sample(at_s, "flashcrowd_block_tree_depth", depth),
                ],
            )
        deadlocks = float(np.searchsorted(failed, at_s))
        writer.append("log", at_s, 0.001, [_sample(at_s, "flashcrowd_log_deadlocks_total", deadlocks)])
        writer.append("harness", at_s, 0.001, [_sample(at_s, "flashcrowd_harness_cpu_seconds_total", harness)])
        worker.append(
            "worker",
            at_s + 0.2,
            0.0002,
            [
                _sample(at_s, "flashcrowd_worker_cpu_seconds_total", generator, worker="0"),
                _sample(at_s, "flashcrowd_worker_in_flight", in_flight, worker="0"),
                _sample(at_s, "flashcrowd_pool_waiting", queued, worker="0"),
            ],
        )
    writer.close()
    worker.close()


def _sample(at_s: float, metric: str, value: float, **labels: str) -> Sample:
    return Sample(at_s=at_s, metric=metric, value=float(value), labels=labels)


def _events(folder: Path, ends_s: float, slow: bool, hostile: bool) -> None:
    writer = EventWriter(folder)
    edges = [(0.0, "calm", "begin"), (CALM_S, "calm", "end"), (CALM_S, "burst", "begin"), (ends_s, "burst", "end")]
    for at_s, name, edge in edges:
        writer.append(Event(at_s=at_s, kind="phase", text=f"{name} {edge}s", fields={"name": name, "edge": edge}))
    if slow:
        text = HOSTILE if hostile else "no answer within 1 s: statement timeout of the probe"
        gap = {"probe": "activity", "reason": "timeout"}
        writer.append(Event(at_s=12.0, kind="gap", text=text, fields=gap))
        writer.append(Event(at_s=CALM_S + 3.2, kind="warning", text="the pool of worker 0 is used up"))
    writer.append(Event(at_s=ends_s, kind="worker", text="worker 0 done", fields={"worker": 0, "state": "done"}))
    writer.close()


def _deadlock_lines(rng: np.random.Generator, failed: NDArray[Any], hostile: bool) -> list[dict[str, Any]]:
    """A report for each 40P01: mostly two crafts that bump the same collections in another order, some of three, some on items."""
    lines = []
    for index, at_s in enumerate(failed.tolist()):
        size = 3 if index % 5 == 4 else 2
        pids = [int(pid) for pid in rng.choice(np.arange(4000, 4100), size, replace=False)]
        texts = [COUNTER.replace("$1", "1").replace("$2", str(int(rng.integers(1, 13)))) for _ in pids]
        if index % 7 == 6:
            texts[0] = EDITION.replace("$1", "77").replace("$2", str(int(rng.integers(1, 9000))))
        if hostile and index == 0:
            texts[0] = HOSTILE
        processes = [
            {
                "pid": pid,
                "mode": "ShareLock",
                "object": f"transaction {81200 + index * 4 + i}",
                "waits_for": f"ShareLock on transaction {81200 + index * 4 + i}",
                "blocked_by": pids[(i + 1) % size],
                "statement": text,
            }
            for i, (pid, text) in enumerate(zip(pids, texts, strict=True))
        ]
        lines.append(
            {
                "at_s": at_s,
                "victim_pid": pids[0],
                "processes": processes,
                "failed_statement": texts[0],
                "context": 'while updating tuple (0,14) in relation "collections"',
            }
        )
    return lines


def _blocking_lines(rng: np.random.Generator, slow: bool, ends_s: float) -> list[dict[str, Any]]:
    if not slow:
        return []

    def tree(depth: int) -> dict[str, Any]:
        children = [tree(depth - 1)] if depth > 1 else []
        children += [tree(1) for _ in range(int(rng.integers(0, 3)) if depth > 1 else 0)]
        return {
            "pid": int(rng.integers(4000, 4100)),
            "state": "active",
            "wait_event": "Lock:transactionid",
            "statement": COUNTER,
            "for_s": float(rng.uniform(0.2, 3.8)),
            "blocked": children,
        }

    return [
        {"at_s": float(s), "trees": [tree(22 if s == 20 else int(rng.integers(2, 7)))]}
        for s in range(int(CALM_S) + 1, int(ends_s))
    ]


def _statements(folder: Path, rows: Rows, slow: bool, hostile: bool) -> None:
    crafts, views = int((rows["operation"] == 0).sum()), int((rows["operation"] == 1).sum())
    heavy, light = (SLOW_QUERY, 0.162) if slow else (QUICK_QUERY, 0.00042)
    table = [(heavy, crafts, crafts * heavy_mean) for heavy, heavy_mean in ((heavy, light),)] + [
        (
            "SELECT r.id, r.needs, (SELECT count(*) FROM items WHERE owner_id = $1 AND collection_id = r.collection_id) FROM recipes r",
            views,
            views * (0.041 if slow else 0.0021),
        ),
        (COUNTER if slow else COUNTER.replace("  ", " "), crafts * 5, crafts * 5 * (0.0911 if slow else 0.00019)),
        (EDITION, crafts, crafts * (0.0021 if slow else 0.0002)),
        ("BEGIN", crafts, crafts * 2e-6),
    ]
    if hostile:
        table.append((HOSTILE, 3, 0.5))
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE s (query VARCHAR, calls BIGINT, total_exec_s DOUBLE, mean_exec_s DOUBLE, rows BIGINT,"
        " shared_blks_hit BIGINT, shared_blks_read BIGINT, temp_blks_written BIGINT, wal_bytes BIGINT)"
    )
    con.executemany(
        "INSERT INTO s VALUES (?, ?, ?, ?, ?, 1000, 10, 0, 4096)",
        [(query, calls, total, total / calls, calls) for query, calls, total in table if calls],
    )
    con.execute(f"COPY s TO '{folder / layout.STATEMENTS}' (FORMAT parquet)")
    con.close()
    (folder / layout.PLANS).mkdir()
    write_json(folder / layout.PLANS / "1.json", {"query": heavy, "generic": True, "plan": [{"Plan": _plan(slow)}]})


def _plan(slow: bool) -> dict[str, Any]:
    scan = {
        "Node Type": "Index Scan",
        "Index Name": "items_owner",
        "Relation Name": "items",
        "Alias": "i",
        "Total Cost": 18442.7,
        "Plan Rows": 30,
        "Index Cond": "(owner_id = $1)",
        "Filter": "((burned_at IS NULL) AND ((SubPlan 1) > $2))",
        "Plans": [
            {
                "Node Type": "Aggregate",
                "Subplan Name": "SubPlan 1",
                "Total Cost": 6120.4,
                "Plan Rows": 1,
                "Plans": [
                    {
                        "Node Type": "Seq Scan",
                        "Relation Name": "items",
                        "Alias": "j",
                        "Total Cost": 5990.0,
                        "Plan Rows": 51200,
                    }
                ],
            }
        ],
    }
    if slow:
        sort = {
            "Node Type": "Sort",
            "Total Cost": 18444.1,
            "Plan Rows": 30,
            "Sort Key": ["(random())"],
            "Plans": [scan],
        }
        return {"Node Type": "Limit", "Total Cost": 18443.9, "Plan Rows": 5, "Plans": [sort]}
    return {
        "Node Type": "LockRows",
        "Total Cost": 12.6,
        "Plan Rows": 5,
        "Plans": [{**scan, "Total Cost": 12.5, "Plans": []}],
    }


def _meta(variant: str, seconds: float, per_s: float, rows: Rows, hostile: bool) -> dict[str, Any]:
    first = rows[rows["attempt"] == 1]
    return {
        "format": layout.VERSION,
        "incident": "crafting-burst",
        "title": HOSTILE if hostile else "A crafting event that burned the database down",
        "story": "At 08:00 an event opened: collectors burn collectibles to craft a new one. The production database was the bottleneck for two days.",
        "source": {"title": "a public post-mortem", "date": "6–7 May 2023", "url": None},
        "variant": {
            "name": variant,
            "story": "one transaction draws at random in SQL and locks in pick order"
            if variant == "before"
            else "drawn in the client, rows locked in a fixed order, counters last",
            "expect": "symptoms" if variant == "before" else "fixed",
        },
        "symptoms": [{"name": name, "criterion": criterion, "said": said} for name, criterion, said, *_ in SYMPTOMS],
        "thresholds": [{"name": "crafting is quick", "criterion": "p99(craft) < 250ms"}],
        "open": True,
        "phases": [
            {"kind": "constant", "name": "calm", "at_s": 0.0, "for_s": CALM_S, "per_s": per_s / 4},
            {"kind": "constant", "name": "burst", "at_s": CALM_S, "for_s": seconds, "per_s": per_s},
        ],
        "ends_s": CALM_S + seconds,
        "drain_s": 10.0,
        "mix": {"craft": 0.45, "view_recipe": 0.55},
        "operations": list(OPERATIONS),
        "scheduled": {name: int((first["operation"] == i).sum()) for i, name in enumerate(OPERATIONS)},
        "application": {"pool_size": 60, "pool_wait_limit_s": 5.0, "statement_timeout_s": 4.0},
        "seed": 1,
        "scale": 1.0,
        "rate": 1.0,
        "interval_s": 1.0,
        "workers": 1,
        "origin": {"monotonic_ns": 812_345_678_901, "wall_s": 1_763_690_400.0},
        "stack": {
            "provider": "embedded",
            "postgres": {
                "version": "18.6",
                "version_num": 180006,
                "cpus": 1,
                "cores": [1],
                "max_connections": 70,
                "settings": {"shared_buffers": "256MB", "deadlock_timeout": "1s", "fsync": "on"},
                "notes": ["synchronous_commit is on, fsync goes to a local disk"],
            },
        },
        "machine": {
            "cores": 2,
            "memory_bytes": 8 * 1024**3,
            "system": "Linux 6.18",
            "python": "3.11.7",
            "load_cores": [0],
        },
        "workers_preferred": True,
        "versions": {"flashcrowd": "0.1.0", "locust": "2.47.0", "asyncpg": "0.32.0"},
        "command": "flashcrowd run crafting-burst --variant before --variant after",
    }


#: name, criterion, what was said, unit, value before, value after
SYMPTOMS: tuple[tuple[str, str, str, str, float, float], ...] = (
    ("many SQL deadlocks", "deadlocks > 5", "many SQL deadlocks", "", 0.0, 0.0),
    ("writer CPU at its limit", "postgres.cpu >= 95% for 10s", "100 % CPU on the writer", "ratio", 0.984, 0.318),
    ("high connection count", "max(postgres.connections_used) > 80%", "high connection count", "ratio", 0.857, 0.857),
    ("long API response times", "p99(craft) > 2s", "long response times", "s", 12.4, 0.0241),
    ("crafting not working", "errors(craft) > 30%", "crafting not working at all", "ratio", 0.46, 0.0),
)


def make_verdict(runs: Sequence[Run]) -> Verdict:
    """The verdict as the judge would make it, from the deadlocks and requests that the folders hold."""
    variants = []
    for run in runs:
        slow = run.meta["variant"]["expect"] == "symptoms"
        deadlocks = run.query("SELECT count(*) FROM requests WHERE outcome = '40P01'")[0][0]
        symptoms = tuple(
            _finding(
                name,
                criterion,
                unit,
                (float(deadlocks) if name.startswith("many") else before) if slow else after,
                slow,
            )
            for name, criterion, _, unit, before, after in SYMPTOMS
        )
        p99 = Finding(
            name="crafting is quick",
            criterion="p99(craft) < 250ms",
            held=True,
            value=0.0241,
            unit="s",
            worst=0.0388,
            count=9,
        )
        variants.append(
            VariantVerdict(
                variant=run.meta["variant"]["name"],
                expect=Expect.SYMPTOMS if slow else Expect.FIXED,
                valid=True,
                why_invalid=(),
                symptoms=symptoms,
                thresholds=() if slow else (p99,),
                invariants=tuple(Invariant(**item) for item in run.json(layout.INVARIANTS) or ()),
                deadlocks=DeadlockCount(client=deadlocks, log=deadlocks, counter=deadlocks, matched=deadlocks),
                status=Status.PASS,
            )
        )
    expects = {variant.expect for variant in variants}
    return Verdict(
        incident="crafting-burst",
        status=Status.PASS,
        reproduced=True if Expect.SYMPTOMS in expects else None,
        fixed=True if Expect.FIXED in expects else None,
        variants=tuple(variants),
    )


def _finding(name: str, criterion: str, unit: str, value: float, held: bool) -> Finding:
    first_s = CALM_S + 1.2 if held else None
    return Finding(
        name=name,
        criterion=criterion,
        held=held,
        value=value,
        unit=unit,
        first_s=first_s,
        worst=value * 1.04,
        count=31 if held else 0,
    )


def _lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def main() -> None:
    """Make an experiment and its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--per-s", type=float, default=60.0)
    parser.add_argument("--hostile", action="store_true")
    wanted = parser.parse_args()
    verdict, runs = make_experiment(wanted.folder, seconds=wanted.seconds, per_s=wanted.per_s, hostile=wanted.hostile)
    write(wanted.folder / "report.html", verdict, runs)
    print(wanted.folder / "report.html")


if __name__ == "__main__":
    main()
