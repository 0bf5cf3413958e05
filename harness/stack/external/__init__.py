"""One's own servers, loaded where a marker allows it; made by :meth:`harness.stack.external.stack.ExternalStack.up`.

stack.py      the lifecycle: check, seed, reset, leave
addresses.py  where they are: environment or file
dsn.py        a DSN that both drivers read alike
marker.py     what says that a database may be destroyed
postgres.py   one PostgreSQL and its replicas
objects.py    what a database holds
seeding.py    the dataset in it, with a record of what was made
watch.py      what came while a run was under way, and is that run's
copies.py     the seeded copy beside it, where one may be kept
privileges.py what the role may not do, and which GRANT would change it
mongo.py      one MongoDB replica set; mongo_uri.py and mongo_marker.py are its address and its marker
services.py   services that are there already
exporters.py  who knows their CPU
session.py    sessions for administration
server.py     a server as the timeline meets it
"""
