"""Reads go to a replica, and a second one joins while they do; every server logs every statement."""

from harness.model import (
    AddReplica,
    Application,
    Constant,
    Dataset,
    Expect,
    Incident,
    PostgresServer,
    Process,
    Source,
    Step,
    Symptom,
    Topology,
    Traffic,
    Variant,
)

INCIDENT = Incident(
    name="more-readers",
    title="One more reader",
    story="Everybody looks at the items and somebody burns one now and then; one reader is not enough.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(postgres=PostgresServer(replicas=1, settings={"max_connections": "40", "log_statement": "all"})),
    dataset=Dataset(module="fixtures.collectibles", version=1),
    application=Application(pool_size=4, reader_pool_size=6),
    traffic=Traffic(
        phases=(Constant(name="steady", at_s=0, for_s=8, per_s=60),), mix={"look": 3, "burn": 1}, process=Process.EVEN
    ),
    variants=(Variant(name="before", story="Half a hundred milliseconds a look.", expect=Expect.SYMPTOMS),),
    timeline=(Step(at_s=0.2, action=AddReplica()),),
    symptoms=(
        Symptom(name="readers follow", criterion="max(replica.lag_bytes) < 512MB", said="the readers kept up"),
        Symptom(name="readers are used", criterion="max(replica.connections) >= 1", said="the readers were used"),
        Symptom(name="nothing is cancelled", criterion="replica.conflicts == 0", said="no look was cancelled"),
    ),
    drain_s=3.0,
)
