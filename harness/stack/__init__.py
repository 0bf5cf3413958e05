"""The servers that a run is made against: what enters is a topology and a dataset, what leaves is an endpoint.

postgres.py   where a running PostgreSQL is and what it was given
embedded.py   the lifecycle: up, reset, logs, down
template.py   the cache of seeded clusters
server.py     one postmaster: start, wait until ready, stop
instance.py   the folder that a server lives in, and who owns it
binaries.py   which PostgreSQL
account.py    which user it runs as
cores.py      which cores the server and which the load get
port.py       which port
processes.py  which processes belong to a data folder
shared_memory.py  what a killed server leaves outside its folder
sweep.py      removes what killed runs left
"""
