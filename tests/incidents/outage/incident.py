"""A replica takes the reads and hangs for a moment, then the writer's power fails."""

from harness.model import (
    Application,
    Constant,
    Dataset,
    Expect,
    Incident,
    Kill,
    Pause,
    PostgresServer,
    Source,
    Step,
    Symptom,
    Topology,
    Traffic,
    Variant,
)

INCIDENT = Incident(
    name="outage",
    title="The writer's power fails",
    story="A replica takes over the reads; it hangs once, and the writer goes and comes back.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(postgres=PostgresServer(replicas=1, settings={"max_connections": "40"})),
    dataset=Dataset(module="fixtures.collectibles", version=1),
    application=Application(pool_size=8, reader_pool_size=8, pool_wait_limit_s=1.0, time_limit_s=2.0),
    traffic=Traffic(phases=(Constant(name="steady", at_s=0, for_s=6, per_s=40),), mix={"look": 1, "note": 1}),
    variants=(Variant(name="before", story="As it was.", expect=Expect.SYMPTOMS),),
    timeline=(
        Step(at_s=0.4, for_s=1, action=Pause(server="postgres-replica-1")),
        Step(at_s=2, for_s=2.5, action=Kill(server="postgres")),
    ),
    symptoms=(Symptom(name="writes fail", criterion="errors(note) > 0%", said="nothing could be written"),),
    drain_s=3.0,
)
