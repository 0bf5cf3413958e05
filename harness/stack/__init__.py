"""The servers that a run is made against: what enters is a topology and a dataset, what leaves are endpoints.

stack.py      what every provider gives
postgres.py   where a running PostgreSQL is and what it was given
mongo.py      the same of a MongoDB replica set
replica_set.py  makes a set of running mongods
node.py       a PostgreSQL that we started, as resets and replicas need it
logs.py       what a server logged since a mark
replica.py    a streaming replica; replicas.py: all of a primary
replicated.py  primary and replicas: what is asked of them, and their reset
service.py    services: where their instances are, what is in their environment, what befell them
service_set.py  all of a stack's; service_instance.py: one, with its supervisor; readiness.py: whether it is ready
embedded/     servers as child processes; docker/: in containers; external/: one's own
cores.py      which cores the servers and which the load get
processes.py  which processes belong to a data folder
family.py     a server's processes as one
"""
