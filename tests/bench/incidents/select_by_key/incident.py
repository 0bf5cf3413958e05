"""Closed loop, 20 people who select a row by its key and do not think: what pgbench -S does."""

from harness.model import Application, Connections, Expect, Incident, Source, Traffic, Users, Variant
from tests.bench.server import DATASET, TOPOLOGY

INCIDENT = Incident(
    name="select-by-key",
    title="Select by key, closed loop",
    story="Twenty people ask for one row each, again and again.",
    source=Source(title="pgbench's select-only script", date="PostgreSQL 18"),
    topology=TOPOLOGY,
    dataset=DATASET,
    application=Application(pool_size=20, connections=Connections.PER_USER),
    traffic=Traffic(phases=(Users(name="steady", at_s=0, for_s=5, users=20),), mix={"select": 1}),
    variants=(Variant(name="before", story="One statement, prepared once.", expect=Expect.NOTHING),),
    symptoms=(),
)
