"""Players' progress in MongoDB: saves of one alliance refuse each other until they no longer lock it."""

from harness.model import (
    Application,
    Constant,
    Dataset,
    Expect,
    Incident,
    MongoClientOptions,
    MongoReplicaSet,
    ReadPreference,
    Retry,
    Source,
    Symptom,
    Threshold,
    Topology,
    Traffic,
    Variant,
)

INCIDENT = Incident(
    name="saves",
    title="Saves refuse each other",
    story="Each save takes its alliance's lock, a document, and fails where another save has it.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(postgres=None, mongo=MongoReplicaSet(members=3)),
    dataset=Dataset(module="fixtures.players", version=1, records=("save_progress",)),
    application=Application(
        pool_size=8,
        pool_wait_limit_s=2.0,
        time_limit_s=5.0,
        mongo=MongoClientOptions(
            read_preference=ReadPreference.SECONDARY_PREFERRED, write_concern="majority", wtimeout_s=3.0
        ),
    ),
    traffic=Traffic(
        phases=(
            Constant(name="calm", at_s=0, for_s=1, per_s=20),
            Constant(name="burst", at_s=1, for_s=2, per_s=60),
        ),
        mix={"save_progress": 1, "view_alliance": 1},
        retry=Retry(attempts=2, after_s=0.5, operations=("save_progress",)),
    ),
    variants=(
        Variant(name="before", story="A lock document for each of four alliances.", expect=Expect.SYMPTOMS),
        Variant(name="after", story="No lock: a save is one update of one document.", expect=Expect.FIXED),
    ),
    symptoms=(
        Symptom(name="saves fail", criterion="errors(save_progress, DuplicateKey) > 0%", said="progress was lost"),
    ),
    thresholds=(Threshold(name="saves succeed", criterion="errors(save_progress) == 0%"),),
    drain_s=3.0,
)
