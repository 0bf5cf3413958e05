"""Open loop: people arrive by schedule and select a row by its key, through a pool of 64: what pgbench -S -R -c 64 does."""

from harness.model import Application, Constant, Expect, Incident, Source, Traffic, Variant
from tests.bench.server import DATASET, TOPOLOGY

INCIDENT = Incident(
    name="arrivals-by-key",
    title="Select by key, open loop",
    story="A thousand people a second ask for one row each, however long they wait; --rate makes it more or less.",
    source=Source(title="pgbench's select-only script at a rate", date="PostgreSQL 18"),
    topology=TOPOLOGY,
    dataset=DATASET,
    application=Application(pool_size=64),
    traffic=Traffic(phases=(Constant(name="steady", at_s=0, for_s=5, per_s=1000),), mix={"select": 1}),
    variants=(Variant(name="before", story="One statement, prepared once.", expect=Expect.NOTHING),),
    symptoms=(),
)
