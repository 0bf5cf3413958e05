"""Closed loop: eight regulars who ask, think a moment and ask again, each on a connection of their own, with psycopg."""

from harness.model import (
    Application,
    Connections,
    Dataset,
    Driver,
    Expect,
    Incident,
    PostgresServer,
    Source,
    Topology,
    Traffic,
    Users,
    Variant,
)

INCIDENT = Incident(
    name="regulars",
    title="Eight regulars",
    story="People who wait for their answer before they ask again.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(postgres=PostgresServer(settings={"max_connections": "40"})),
    dataset=Dataset(module="fixtures.collectibles", version=1),
    application=Application(connections=Connections.PER_USER, driver=Driver.PSYCOPG),
    traffic=Traffic(
        phases=(
            Users(name="few", at_s=0, for_s=2, users=3, think_s=0.02),
            Users(name="all", at_s=2, for_s=2, users=8, think_s=0.02),
        ),
        mix={"ask": 1},
    ),
    variants=(Variant(name="before", story="One short statement.", expect=Expect.NOTHING),),
    symptoms=(),
    drain_s=2.0,
)
