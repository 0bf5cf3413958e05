"""How a mongod of ours is started, whichever provider starts it."""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import DefinitionError
from harness.model import MongoReplicaSet

#: What every mongod of ours is started with; an incident's own parameters come on top.
PARAMETERS = {
    # Nobody reads it here, and collecting it is work that the measurement would see.
    "diagnosticDataCollectionEnabled": "false",
    # A node that is told to stop waits 15 s for a new primary to be elected otherwise.
    "shutdownTimeoutMillisForSignaledShutdown": "100",
    # How long a secondary waits beyond a fetch's time for a primary that is silently gone: 2 s by default.
    "oplogNetworkTimeoutBufferSeconds": "1",
}
#: Enough for a run at full load; by default it is 5 % of the disk.
OPLOG_MB = 1024
FAILPOINTS = "enableTestCommands"


def options(*, data: str, log: str, port: int, cache_bytes: int, parameters: Mapping[str, str]) -> list[str]:
    """The arguments of a mongod but for where it listens and whose member it is.

    :param data: folder of its files
    :param log: its log's path; what is there is kept
    :param parameters: ``--setParameter``, on top of :data:`PARAMETERS`
    """
    chosen = ["--dbpath", data, "--port", str(port), "--logpath", log, "--logappend"]
    # The option in whole gigabytes knows nothing below a quarter of one.
    chosen += ["--wiredTigerEngineConfigString", f"cache_size={cache_bytes}", "--oplogSize", str(OPLOG_MB)]
    for name, value in {**PARAMETERS, **parameters}.items():
        chosen += ["--setParameter", f"{name}={value}"]
    return chosen


def asked_parameters(asked: MongoReplicaSet) -> dict[str, str]:
    """What a topology asks for as ``--setParameter``."""
    return {**asked.parameters, **({FAILPOINTS: "true"} if asked.failpoints else {})}


def check_parameters(asked: MongoReplicaSet) -> None:
    """Refuse what is the harness's own.

    :raises DefinitionError: a parameter is
    """
    for name, value in asked.parameters.items():
        if name == FAILPOINTS:
            raise DefinitionError(
                where="topology.mongo", field=f"parameters[{name!r}]", value=value, expected="said as failpoints=True"
            )
