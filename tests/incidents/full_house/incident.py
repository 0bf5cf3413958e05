"""More connections than the server has: who comes too late is refused."""

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
    name="full-house",
    title="A pool larger than the server",
    story="The application may open 40 connections, the server takes 20 less those that are reserved.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(
        postgres=PostgresServer(settings={"max_connections": "20", "superuser_reserved_connections": "6"})
    ),
    dataset=Dataset(module="fixtures.collectibles", version=1),
    application=Application(pool_size=40),
    traffic=Traffic(phases=(Constant(name="steady", at_s=0, for_s=4, per_s=60),), mix={"ask": 1}, process=Process.EVEN),
    variants=(Variant(name="before", story="Half a second a request.", expect=Expect.NOTHING),),
    symptoms=(),
    drain_s=3.0,
)
