"""An application on two databases: crafts in PostgreSQL, progress in MongoDB, and a slow craft delays no save."""

from harness.model import (
    Application,
    Constant,
    Dataset,
    Expect,
    Incident,
    MongoClientOptions,
    MongoReplicaSet,
    PostgresServer,
    Source,
    Symptom,
    Topology,
    Traffic,
    Variant,
)

INCIDENT = Incident(
    name="two-databases",
    title="Crafts here, progress there",
    story="A pool of two connections to PostgreSQL is not enough for slow crafts; saves go to MongoDB and have their own.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(postgres=PostgresServer(settings={"max_connections": "40"}), mongo=MongoReplicaSet(members=1)),
    dataset=Dataset(
        module="tests.integration.stack.both", version=1, records=("craft",), mongo_records=("save_progress",)
    ),
    application=Application(
        pool_size=2, mongo=MongoClientOptions(pool_size=8, write_concern="majority", retry_writes=False)
    ),
    traffic=Traffic(phases=(Constant(name="steady", at_s=0, for_s=3, per_s=30),), mix={"craft": 1, "save_progress": 1}),
    variants=(Variant(name="before", story="A fifth of a second a craft.", expect=Expect.SYMPTOMS),),
    symptoms=(Symptom(name="crafts queue", criterion="max(craft.pool_wait) > 200ms", said="crafting was slow"),),
    drain_s=8.0,
)
