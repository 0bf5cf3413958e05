"""Closed loop, 20 people with a transaction of five statements: what pgbench's TPC-B-like script does."""

from harness.model import Application, Connections, Expect, Incident, Source, Traffic, Users, Variant
from tests.bench.server import DATASET, TOPOLOGY

INCIDENT = Incident(
    name="five-statements",
    title="A transaction of five statements, closed loop",
    story="Twenty people move money, again and again.",
    source=Source(title="pgbench's TPC-B-like script", date="PostgreSQL 18"),
    topology=TOPOLOGY,
    dataset=DATASET,
    application=Application(pool_size=20, connections=Connections.PER_USER),
    traffic=Traffic(phases=(Users(name="steady", at_s=0, for_s=5, users=20),), mix={"transfer": 1}),
    variants=(Variant(name="before", story="The script as it is.", expect=Expect.NOTHING),),
    symptoms=(),
)
