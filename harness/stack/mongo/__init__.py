"""MongoDB, the same for every provider.

members.py      where the members of a replica set are
member_set.py   the members that we started: alive, their logs, what they were given
options.py      what a mongod is started with
replica_set.py  makes a set of running mongods, and asks it how it is
seeding.py      a dataset seeded into a mongod's files
"""
