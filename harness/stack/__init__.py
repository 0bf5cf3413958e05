"""The servers that a run is made against: what enters is a topology and a dataset, what leaves are endpoints.

stack.py      what every provider gives; started.py: what is the same for those that start servers
choose.py     which provider; standing.py: stacks that are kept; sweep.py: what was left
connect.py    the addresses of a stack, for the load and for people
embedded/     servers as child processes; docker/: in containers; external/: one's own
postgres/     what is the same wherever a PostgreSQL runs; mongo/, services/: the same of these
recipe.py     what seeded data is made of; cache.py: the copies that are kept by it
cores.py      which cores the servers and which the load get; shares.py: of a topology's servers, which
processes.py  which processes belong to a data folder; family.py: a server's processes as one
logs.py       what a server logged since a mark
"""
