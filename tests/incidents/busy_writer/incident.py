"""One statement a request, and a symptom that only the server's CPU can show."""

from harness.model import (
    Application,
    Constant,
    Dataset,
    Expect,
    Incident,
    PostgresServer,
    Process,
    Source,
    Symptom,
    Topology,
    Traffic,
    Variant,
)

INCIDENT = Incident(
    name="busy-writer",
    title="The writer is busy",
    story="Requests that cost the server's processor something.",
    source=Source(title="a test of Flashcrowd", date="2026"),
    topology=Topology(postgres=PostgresServer(settings={"max_connections": "40", "work_mem": "4096kB"})),
    dataset=Dataset(module="fixtures.collectibles", version=1),
    application=Application(pool_size=5),
    traffic=Traffic(phases=(Constant(name="steady", at_s=0, for_s=4, per_s=50),), mix={"ask": 1}, process=Process.EVEN),
    variants=(Variant(name="before", story="It counts.", expect=Expect.SYMPTOMS),),
    symptoms=(
        Symptom(name="busy", criterion="postgres.cpu > 1% for 1s", said="the writer was busy"),
        Symptom(name="answers", criterion="errors(ask) < 1%", said="it answered"),
    ),
    drain_s=2.0,
)
