"""The crafting burst: a crafting event that buried PostgreSQL under deadlocks and ORDER BY random()."""

from harness.model import (
    Application,
    Constant,
    Dataset,
    Expect,
    Incident,
    PostgresServer,
    Ramp,
    Retry,
    Source,
    Symptom,
    Threshold,
    Topology,
    Traffic,
    Variant,
)

INCIDENT = Incident(
    name="crafting-burst",
    title="A crafting event buries Postgres",
    story=(
        "At 08:00 an event opened: collectors burn five collectibles to craft a new one. The production database was the "
        "bottleneck for two days: high connection count, long query times, the writer at 100 % CPU, many SQL deadlocks, "
        "crafting not working at all. Cause: needlessly complex SQL, and a randomising function that had ended up in the "
        "database. Fix: draw the random choice outside the database, simplify the queries."
    ),
    source=Source(title="VeVe, “Soul Stone” crafting", date="6–7 May 2023"),
    topology=Topology(postgres=PostgresServer(cpus=1, settings={"max_connections": "70", "shared_buffers": "256MB"})),
    dataset=Dataset(module="fixtures.collectibles", version=1, records=("craft",)),
    application=Application(pool_size=60, pool_wait_limit_s=5.0, statement_timeout_s=3.0),
    traffic=Traffic(
        phases=(
            Constant(name="calm", at_s=0, for_s=5, per_s=8),
            Ramp(name="doors open", at_s=5, for_s=2, per_s=8, to_per_s=150),
            Constant(name="burst", at_s=7, for_s=23, per_s=150),
        ),
        mix={"craft": 1, "view_recipe": 4},
        retry=Retry(attempts=3, after_s=3.0, operations=("craft",)),
    ),
    variants=(
        Variant(
            name="before",
            story="Randomness and complex queries in the database; rows locked in the order they were drawn.",
            expect=Expect.SYMPTOMS,
        ),
        Variant(
            name="after",
            story="Random choices drawn in the application; simple queries by index; rows locked in one order, counters last.",
            expect=Expect.FIXED,
        ),
        Variant(
            name="partial",
            story="Day two: randomness moved out of the database, the complex queries still in.",
            expect=Expect.NOTHING,
            by_default=False,
        ),
    ),
    symptoms=(
        Symptom(name="many SQL deadlocks", criterion="deadlocks >= 3", said="many SQL deadlocks"),
        Symptom(
            name="writer CPU at 100 %",
            criterion="postgres.cpu >= 95% for 10s",
            said="100 % CPU on the writer node",
        ),
        Symptom(
            name="high connection count",
            criterion="max(postgres.connections_used) >= 80%",
            said="high connection count",
        ),
        Symptom(name="long query times", criterion="max(postgres.longest_statement) >= 2s", said="long query times"),
        Symptom(name="long response time", criterion="p99(craft) >= 2s", said="long API response times"),
        Symptom(name="feature not working", criterion="errors(craft) >= 50%", said="crafting not working at all"),
    ),
    drain_s=20.0,
    thresholds=(
        Threshold(name="craft answers quickly", criterion="p99(craft) < 500ms"),
        Threshold(name="crafts succeed", criterion="errors(craft) < 1%"),
        Threshold(name="no deadlock", criterion="deadlocks == 0"),
    ),
)
