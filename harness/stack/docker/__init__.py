"""Real servers in containers of a Docker engine; made by :meth:`harness.stack.docker.stack.DockerStack.up`.

stack.py      the lifecycle: up, reset, logs, down
postgres.py   the PostgreSQL of a stack: primary and replicas
replica.py    how the server of a replica is made
cluster.py    a dataset seeded once, kept as an archive of the data folder
node.py       one PostgreSQL
session.py    sessions of its superuser
mongo.py      the replica set of a stack
member.py     one mongod
mongo_login.py  the key and the password of a stack's replica set
mongo_files.py  a dataset seeded once, kept as a mongod's files
service.py    an instance of a service
server.py     a server as the timeline acts upon it
container.py  one container: create, start, how it died, remove
disks.py      where containers keep their data
network.py    a network of a stack's own
engine.py     which engine, and whether it answers
labels.py     whose a container is
guard.py      removes what is left when this process is killed (janitor.py is its child)
sweep.py      removes what killed runs left
images.py     which images the servers run from; makes those that need no registry
recipes.py    what goes into the images that are made here
rootfs.py     the minimal system below them, collected from this machine's programs
"""
