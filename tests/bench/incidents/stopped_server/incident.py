"""Open loop at 500 a second, during which the bench stops the server for some seconds.

The burst before opens the pool's connections: else the server would have to start a process for each when it goes on,
which takes it some 100 ms that no schedule predicts.
"""

from harness.model import Application, Constant, Expect, Incident, Source, Traffic, Variant
from tests.bench.server import DATASET, TOPOLOGY

INCIDENT = Incident(
    name="stopped-server",
    title="The server stands still",
    story="Five hundred people a second ask for one row each; for some seconds nobody gets an answer.",
    source=Source(title="pgbench's select-only script at a rate", date="PostgreSQL 18"),
    topology=TOPOLOGY,
    dataset=DATASET,
    application=Application(pool_size=16),
    traffic=Traffic(
        phases=(
            Constant(name="connect", at_s=0, for_s=1, per_s=5000),
            Constant(name="steady", at_s=1, for_s=24, per_s=500),
        ),
        mix={"select": 1},
    ),
    variants=(Variant(name="before", story="One statement, prepared once.", expect=Expect.NOTHING),),
    symptoms=(),
)
