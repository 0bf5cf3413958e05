"""One statement a request, at a steady rate: what matters is how it is generated and timed."""

from harness.model import (
    Application,
    Constant,
    Dataset,
    Expect,
    Incident,
    PostgresServer,
    Process,
    Source,
    Topology,
    Traffic,
    Variant,
)

INCIDENT = Incident(
    name="one-statement",
    title="One statement, open loop",
    story="A metronome of requests, one statement each.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(postgres=PostgresServer(settings={"max_connections": "40"})),
    dataset=Dataset(module="fixtures.collectibles", version=1),
    application=Application(pool_size=20),
    traffic=Traffic(
        phases=(Constant(name="steady", at_s=0, for_s=5, per_s=200),), mix={"ask": 1}, process=Process.EVEN
    ),
    variants=(
        Variant(name="before", story="SELECT 1.", expect=Expect.NOTHING),
        Variant(name="sleepy", story="Half a second each: the pool runs dry.", expect=Expect.NOTHING, by_default=False),
    ),
    symptoms=(),
    drain_s=2.0,
)
