"""Closed loop, 20 clients: ours with everything recorded, against pgbench and against Locust's own user."""

from __future__ import annotations

from tests.bench import recorded
from tests.bench.bed import Bed
from tests.bench.peers import contrib, pgbench
from tests.bench.rounds import Side, interleaved
from tests.bench.row import Limit, Row, of_pairs

CLIENTS = 20
OURS, PGBENCH, CONTRIB = "ours", "pgbench", "contrib"


async def select(bed: Bed) -> list[Row]:
    """One row by its key."""
    # Locust's own statistics count whole seconds, of which the first and the last are not whole.
    contrib_s = bed.extent.side_s + 2
    sides: dict[str, Side] = {
        OURS: lambda: ours(bed, "select_by_key"),
        PGBENCH: lambda: pgbench.per_second(
            bed.stack, bed.folder, clients=CLIENTS, seconds=bed.extent.side_s, script=None
        ),
        CONTRIB: lambda: contrib.per_second(bed.stack, bed.folder, users=CLIENTS, seconds=contrib_s),
    }
    await bed.warm()
    rounds = await interleaved(bed.extent.rounds, sides, bed.say)
    figure, what = "closed-select", f"select by key, {CLIENTS} clients, closed: ours ÷"
    return [
        of_pairs(figure, f"{what} pgbench", rounds, OURS, PGBENCH, limit=Limit(comparator=">=", value=0.9), unit="/s"),
        of_pairs(
            figure,
            f"{what} locust.contrib.postgres",
            rounds,
            OURS,
            CONTRIB,
            limit=Limit(comparator=">=", value=1.6),
            unit="/s",
        ),
    ]


async def transaction(bed: Bed) -> list[Row]:
    """Five statements in a transaction; every side begins with the same tables."""

    async def our_side() -> float:
        await bed.fresh()
        return await ours(bed, "five_statements")

    async def their_side() -> float:
        await bed.fresh()
        return await pgbench.per_second(
            bed.stack, bed.folder, clients=CLIENTS, seconds=bed.extent.side_s, script=pgbench.SCRIPT
        )

    rounds = await interleaved(bed.extent.rounds, {OURS: our_side, PGBENCH: their_side}, bed.say)
    what = f"transaction of five statements, {CLIENTS} clients, closed: ours ÷ pgbench"
    limit = Limit(comparator=">=", value=0.8)
    return [of_pairs("closed-transaction", what, rounds, OURS, PGBENCH, limit=limit, unit="/s")]


async def workers(bed: Bed) -> list[Row]:
    """The same select with two workers; the server has one core, so this says what a second one adds up to that."""
    sides: dict[str, Side] = {
        "2 workers": lambda: ours(bed, "select_by_key", workers=2),
        "1 worker": lambda: ours(bed, "select_by_key"),
    }
    await bed.warm()
    rounds = await interleaved(bed.extent.rounds, sides, bed.say)
    return [of_pairs("workers", WORKERS, rounds, "2 workers", "1 worker", limit=None, unit="/s")]


WORKERS = "select by key, closed: 2 workers ÷ 1"


async def ours(bed: Bed, incident: str, *, workers: int = 1) -> float:
    """Requests finished per second in the steady middle of a run of ours, from its raw rows."""
    found, folder = bed.incident(incident)
    seconds = bed.extent.side_s
    run = await bed.run(found, folder, seconds=seconds, workers=workers)
    return recorded.finished_per_second(recorded.rows(run), recorded.middle(seconds))
