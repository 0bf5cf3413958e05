"""A timeline on one server: an index goes and comes back, locks are held, a program runs, caches are emptied."""

from harness.model import (
    Application,
    Constant,
    CreateIndex,
    Dataset,
    DropIndex,
    Expect,
    FlushCache,
    Incident,
    PostgresServer,
    RunProgram,
    RunSql,
    Source,
    Step,
    Symptom,
    Threshold,
    Topology,
    Traffic,
    Variant,
)

INCIDENT = Incident(
    name="interference",
    title="Somebody works on the server while it is busy",
    story="An index is dropped, a table is locked, a program runs, the cache is cold.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(postgres=PostgresServer(settings={"max_connections": "40"})),
    dataset=Dataset(module="fixtures.collectibles", version=1),
    application=Application(pool_size=8, statement_timeout_s=5.0),
    traffic=Traffic(phases=(Constant(name="steady", at_s=0, for_s=4, per_s=40),), mix={"ask": 1}),
    variants=(
        Variant(name="before", story="Somebody interferes.", expect=Expect.SYMPTOMS),
        Variant(name="after", story="Nobody does.", expect=Expect.FIXED, timeline=()),
    ),
    timeline=(
        Step(at_s=0.2, action=FlushCache()),
        Step(at_s=0.4, for_s=0.6, action=DropIndex(name="items_of_collector")),
        Step(at_s=0.7, for_s=60, limit_s=120, action=RunProgram(arguments=("sleep", "3600"))),
        Step(
            at_s=1.6,
            for_s=1.5,
            action=RunSql(sql="BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE", keep_open=True),
        ),
        Step(
            when="max(postgres.blocked) > 0",
            action=CreateIndex(name="crafts_by_collector", on="crafts", keys=("collector_id", "crafted_at DESC")),
        ),
        Step(when="max(postgres.connections) > 30", action=FlushCache(), needed=False),
    ),
    symptoms=(
        Symptom(name="sessions wait", criterion="max(postgres.blocked) > 0", said="everything waits for the lock"),
    ),
    thresholds=(Threshold(name="all ok", criterion="errors(all) == 0"),),
    drain_s=3.0,
)
