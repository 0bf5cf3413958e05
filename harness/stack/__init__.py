"""The servers that a run is made against: what enters is a topology and a dataset, what leaves are endpoints.

stack.py      what every provider gives
postgres.py   where a running PostgreSQL is and what it was given
mongo.py      the same of a MongoDB replica set
replica_set.py  makes a set of running mongods
embedded/     servers as child processes
cores.py      which cores the servers and which the load get
processes.py  which processes belong to a data folder
family.py     a server's processes as one
"""
