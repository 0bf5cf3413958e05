"""A service before the database that keeps every answer in memory, and crashes for it again and again."""

from harness.model import (
    Application,
    Constant,
    Dataset,
    Expect,
    Incident,
    PostgresServer,
    Service,
    Source,
    Step,
    Stop,
    Symptom,
    Threshold,
    Topology,
    Traffic,
    Variant,
)

INCIDENT = Incident(
    name="served",
    title="A service that keeps what it should forget",
    story="Every page that was asked for stays in memory, until the kernel ends the service. Nobody notices but who asked.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(
        postgres=PostgresServer(settings={"max_connections": "40"}),
        services=(
            Service(
                name="pages",
                command=("python", "-m", "served.service"),
                ready="/healthz",
                memory_bytes=128 * 1024**2,
                restart_after_s=0.3,
            ),
            Service(name="idle", command=("sleep", "600"), listens=False),
        ),
    ),
    dataset=Dataset(module="fixtures.collectibles", version=1),
    application=Application(pool_size=4),
    traffic=Traffic(phases=(Constant(name="steady", at_s=0, for_s=3, per_s=12),), mix={"fetch": 1}),
    variants=(
        Variant(name="before", story="Pages are kept.", expect=Expect.SYMPTOMS),
        Variant(name="after", story="Pages are forgotten.", expect=Expect.FIXED),
    ),
    timeline=(Step(at_s=0.5, for_s=1, action=Stop(server="idle")),),
    symptoms=(
        Symptom(name="the service crashes", criterion="service.memory_restarts >= 1", said="it ran out of memory"),
        Symptom(name="pages fail", criterion="errors(fetch) > 5%", said="failed to fetch"),
    ),
    thresholds=(
        Threshold(name="no crash", criterion="service.restarts == 0"),
        Threshold(name="it does not grow", criterion="max(service.memory) < 60%"),
    ),
    drain_s=2.0,
)
