"""The primary of a replica set dies under load and comes back: with the driver's second try and without."""

from harness.model import (
    Application,
    Constant,
    Dataset,
    Expect,
    Incident,
    Kill,
    MongoClientOptions,
    MongoReplicaSet,
    Process,
    Source,
    Step,
    Symptom,
    Topology,
    Traffic,
    Variant,
)

INCIDENT = Incident(
    name="next-primary",
    title="The primary dies",
    story="A member is lost; those who are in the middle of something are told so, the others wait for the next primary.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(postgres=None, mongo=MongoReplicaSet(members=3)),
    dataset=Dataset(module="fixtures.players", version=1, records=("save_progress",)),
    application=Application(
        pool_size=20,
        mongo=MongoClientOptions(
            write_concern="majority", server_selection_timeout_s=8.0, retry_writes=False, retry_reads=False
        ),
    ),
    traffic=Traffic(
        phases=(
            Constant(name="calm", at_s=0, for_s=2, per_s=30),
            Constant(name="failover", at_s=2, for_s=4, per_s=30),
        ),
        mix={"save_progress": 5, "rank": 1},
        process=Process.EVEN,
    ),
    variants=(Variant(name="before", story="Every error is the application's.", expect=Expect.SYMPTOMS),),
    timeline=(Step(at_s=2, for_s=3, action=Kill(server="mongo-primary")),),
    symptoms=(
        Symptom(name="answers are lost", criterion="errors(all, connection_lost) > 0%", said="requests failed"),
        Symptom(name="not for ever", criterion="count(all, no_server) == 0", said="it recovered by itself"),
    ),
    drain_s=8.0,
)
