"""The primary of the replica set dies, and another member takes over."""

from dataclasses import replace

from harness.model import Constant, Expect, Kill, Step, Symptom, Traffic, Variant
from tests.incidents.saves.incident import INCIDENT as SAVES

INCIDENT = replace(
    SAVES,
    name="failover",
    title="The primary dies",
    story="Saves wait until another member is elected.",
    traffic=Traffic(phases=(Constant(name="steady", at_s=0, for_s=4, per_s=30),), mix={"save_progress": 1}),
    variants=(Variant(name="before", story="As it was.", expect=Expect.SYMPTOMS),),
    timeline=(Step(at_s=0.7, for_s=2.5, action=Kill(server="mongo-primary")),),
    symptoms=(
        Symptom(name="saves wait", criterion="max(save_progress) > 400ms", said="nothing could be saved for a while"),
        Symptom(name="a member is away", criterion="max(mongo.down) >= 1", said="the primary was gone"),
    ),
    thresholds=(),
)
