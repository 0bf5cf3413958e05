"""Real servers as child processes of the harness; made by :meth:`EmbeddedStack.up`.

stack.py      the lifecycle: up, reset, logs, down
template.py   how a PostgreSQL cluster is seeded
postgres.py   the primary with its replicas
replica.py    how the server of a replica is made
node.py       one PostgreSQL as the timeline acts upon it
child.py      what the timeline does to both alike
server.py     one postmaster: start, wait until ready, stop
mongo.py      the replica set of MongoDB
member.py     one member of it as the timeline acts upon it
mongod.py     one mongod: start it, see whether it lives, end it
mongo_template.py  how a member's files are seeded
mongod_program.py  which mongod
service.py    an instance of a service
instance.py   the folder that a server lives in, and who owns it
binaries.py   which PostgreSQL
account.py    which user it runs as
port.py       which port
shared_memory.py  what a killed server leaves outside its folder
sweep.py      removes what killed runs left
"""

from harness.stack.embedded.stack import EmbeddedStack

__all__ = ["EmbeddedStack"]
