"""The crafting burst in little: crafts deadlock on the collections' counters until they are locked in one order."""

from harness.model import (
    Application,
    Constant,
    Dataset,
    Expect,
    Incident,
    PostgresServer,
    Retry,
    Source,
    Symptom,
    Threshold,
    Topology,
    Traffic,
    Variant,
)

INCIDENT = Incident(
    name="small-burst",
    title="Crafts deadlock on two counters",
    story="Each craft locks two counters; in the order in which it drew them, two crafts wait for each other.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(postgres=PostgresServer(settings={"max_connections": "40", "deadlock_timeout": "100ms"})),
    dataset=Dataset(module="fixtures.collectibles", version=1, records=("craft",)),
    application=Application(pool_size=20, statement_timeout_s=3.0),
    traffic=Traffic(
        phases=(
            Constant(name="calm", at_s=0, for_s=1, per_s=20),
            Constant(name="burst", at_s=1, for_s=2, per_s=60),
        ),
        mix={"craft": 1, "view_recipe": 1},
        retry=Retry(attempts=2, after_s=0.5, operations=("craft",)),
    ),
    variants=(
        Variant(name="before", story="Two counters locked in the order they were drawn.", expect=Expect.SYMPTOMS),
        Variant(name="after", story="The same two, always the lower one first.", expect=Expect.FIXED),
    ),
    symptoms=(
        Symptom(name="deadlocks", criterion="deadlocks >= 1", said="deadlocks"),
        Symptom(name="crafts fail", criterion="errors(craft, 40P01) > 0%", said="crafts fail"),
    ),
    thresholds=(Threshold(name="crafts succeed", criterion="errors(craft) < 1%"),),
    drain_s=3.0,
)
