"""The nouns of Flashcrowd, and nothing else: this package imports nothing else of ours.

All are frozen, slotted and keyword-only; copies are derived with :func:`dataclasses.replace`. Times are seconds, sizes
bytes, shares ratios; ``None`` means not measured or not declared, never 0.

system.py    declared: servers, services, dataset, application
traffic.py   declared: phases of arrivals, retries
timeline.py  declared: what is done to the servers meanwhile
incident.py  declared: incident, variants, symptoms, thresholds, criteria
observed.py  what a run leaves: samples, events, outcomes of requests
judged.py    findings, invariants, verdicts
"""

from harness.model.incident import Comparator, Criterion, Expect, Incident, Source, Symptom, Threshold, Variant
from harness.model.judged import DeadlockCount, Finding, Invariant, Status, VariantVerdict, Verdict
from harness.model.observed import Event, Labels, Outcome, Sample
from harness.model.system import (
    Application,
    Connections,
    Dataset,
    Driver,
    MongoClientOptions,
    MongoReplicaSet,
    PostgresServer,
    ReadPreference,
    Service,
    Topology,
)
from harness.model.timeline import (
    Action,
    AddReplica,
    CreateIndex,
    CreateMongoIndex,
    CutOff,
    DropIndex,
    DropMongoIndex,
    Failpoint,
    FlushCache,
    Kill,
    Pause,
    RunCommand,
    RunProgram,
    RunSql,
    SetCpus,
    Step,
    Stop,
)
from harness.model.traffic import Constant, OpenPhase, Phase, Process, Ramp, Retry, Spike, Traffic, Users

__all__ = [
    "Action",
    "AddReplica",
    "Application",
    "Comparator",
    "Connections",
    "Constant",
    "CreateIndex",
    "CreateMongoIndex",
    "Criterion",
    "CutOff",
    "Dataset",
    "DeadlockCount",
    "Driver",
    "DropIndex",
    "DropMongoIndex",
    "Event",
    "Expect",
    "Failpoint",
    "Finding",
    "FlushCache",
    "Incident",
    "Invariant",
    "Kill",
    "Labels",
    "MongoClientOptions",
    "MongoReplicaSet",
    "OpenPhase",
    "Outcome",
    "Pause",
    "Phase",
    "PostgresServer",
    "Process",
    "Ramp",
    "ReadPreference",
    "Retry",
    "RunCommand",
    "RunProgram",
    "RunSql",
    "Sample",
    "Service",
    "SetCpus",
    "Source",
    "Spike",
    "Status",
    "Step",
    "Stop",
    "Symptom",
    "Threshold",
    "Topology",
    "Traffic",
    "Users",
    "Variant",
    "VariantVerdict",
    "Verdict",
]
