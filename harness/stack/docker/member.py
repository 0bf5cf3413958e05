"""A member of a replica set in a container, and how its container is made."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from pymongo.errors import PyMongoError

from harness.errors import StackError
from harness.model import MongoReplicaSet
from harness.stack import cores
from harness.stack.docker.container import Allotment, Container, Place, Plan
from harness.stack.docker.images import Image
from harness.stack.docker.mongo_login import KEY_VARIABLE, Login
from harness.stack.docker.server import DockerServer
from harness.stack.embedded.mongod import LOG as LOG_NAME
from harness.stack.logs import Logs
from harness.stack.mongo import replica_set
from harness.stack.mongo.members import Member
from harness.stack.mongo.options import asked_parameters, options
from harness.stack.stack import Role

PORT = 27017
DATA = "/data/db"  # disk of the container's own, in every image
LOG = "/flashcrowd/log"
KEY = "/flashcrowd/key"
SEEDED = "/flashcrowd/seeded"
#: Flags in the folder of its log: put the seeded files in place before it starts; start it as a member.
REFILL, IN_SET = ".refill", ".in-set"

# As root, like the image's own entrypoint, which gives everything to the server's user.
_SCRIPT = f"""
# A key counts only if nobody but the server's user may read it; the folder is that user's until files of ours are put there.
rm -f {KEY}
(umask 077; printf %s "${KEY_VARIABLE}" > {KEY})
chown --reference={DATA} {KEY}
chmod 400 {KEY}
unset {KEY_VARIABLE}
if [ -e {LOG}/{REFILL} ]; then
    find {DATA} -mindepth 1 -delete
    cp -a --sparse=always {SEEDED}/. {DATA}/
    rm {LOG}/{REFILL}
fi
if [ -e {LOG}/{IN_SET} ]; then
    set -- "$@" --replSet {replica_set.NAME}
fi
exec docker-entrypoint.sh "$@"
"""


class DockerMember(DockerServer):
    """A member; made with its container, which is not started yet."""

    def __init__(self, container: Container, allotment: Allotment, login: Login, *, port: int = PORT) -> None:
        super().__init__(container=container, role=Role.MEMBER, allotment=allotment, await_ready=self.await_answer)
        self._port, self._login = port, login
        self.logs = Logs(container.log, LOG_NAME)

    @property
    def host(self) -> str:
        """``host:port``, as members and clients reach it."""
        return f"{self.container.address}:{self._port}"

    @property
    def log_file(self) -> Path:
        """Its log, one JSON object a line."""
        return self.container.log / LOG_NAME

    @property
    def member(self) -> Member:
        """Where it is and what it was given."""
        return Member(
            name=self.name,
            host=self.container.address,
            port=self._port,
            cpus=self.allotment.cpus,
            log_file=self.log_file,
        )

    def described(self) -> dict[str, Any]:
        """What it was given, for run.json."""
        return {
            "name": self.name,
            "cpus": self.allotment.cpus,
            "memory_bytes": self.allotment.memory_bytes,
            "cores": None if self.allotment.cores is None else list(self.allotment.cores),
        }

    def launch(self) -> None:
        """Start it on a new copy of the seeded files, as a member; ends it before.

        It may use every core until :meth:`hold`: coming up is no part of what is measured.
        """
        if self.container.state()["Running"]:
            self.container.kill()
        self.undo_limits()
        self.log_file.unlink(missing_ok=True)
        for flag in (REFILL, IN_SET):
            (self.container.log / flag).touch()
        own = cores.own_cores()
        if own is not None:
            self.container.allot(len(own), own)
        self.container.start()
        self.down_on_purpose = False

    def hold(self) -> None:
        """Hold it to what it was given at first."""
        self.container.allot(self.allotment.cpus, self.allotment.cores)

    def await_answer(self) -> None:
        """Wait until it answers.

        :raises StackError: it does not
        """
        replica_set.answers(self.host, self.check_coming_up)

    def check_coming_up(self) -> None:
        """While it is awaited: nothing if it lives.

        :raises StackError: it died
        """
        if (died := self.container.how_it_died()) is not None:
            raise StackError(f"MongoDB did not come up: {died}\n{_hint(died)}")

    def stop(self) -> None:
        """Shut it down in order; what does not stop is killed.

        A mongod that is told to stop while a failpoint holds an index build can spin on a core for ever, so failpoints are
        released first.
        """
        self.down_on_purpose = True
        self.container.resume()
        with suppress(PyMongoError):  # one that does not answer is killed in the end
            replica_set.release_failpoints(self.host, **self._login.of_members())
        super().stop()


def plan_of(
    name: str,
    asked: MongoReplicaSet,
    image: Image,
    place: Place,
    allotment: Allotment,
    login: Login,
    seeded: Path | None,
    *,
    port: int = PORT,
) -> Plan:
    """How the container of a mongod is to be made.

    :param seeded: the files that it is put back to; None: it has none
    """
    # Its log is read by us, who are not its user.
    parameters = {"processUmask": "022", **asked_parameters(asked)}
    chosen = options(
        data=DATA, log=f"{LOG}/{LOG_NAME}", port=port, cache_bytes=asked.cache_bytes, parameters=parameters
    )
    binds = [(place.log(name), LOG, "rw")]
    return Plan(
        name=name,
        image=image,
        entrypoint=["/bin/sh", "-euc", _SCRIPT, "member"],
        command=["mongod", "--bind_ip_all", "--keyFile", KEY, *chosen],
        environment={"TZ": "UTC", **login.environment()},
        allotment=allotment,
        binds=binds if seeded is None else [*binds, (seeded, SEEDED, "ro")],
        volumes=[DATA],
    )


def _hint(died: str) -> str:
    if "setParameter" in died or "parsing option" in died:
        return "The server refused a parameter: see topology.mongo.parameters of the incident."
    if "want of memory" in died:
        return "Memory is short: raise topology.mongo.memory_bytes, or lower cache_bytes."
    if "No space left" in died:
        return "The disk is full: free some space where the Docker engine keeps its volumes."
    return "Run it with --stack embedded, or another image (FLASHCROWD_MONGO_IMAGE), to see whether it is the image."
