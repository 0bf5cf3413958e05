"""PostgreSQL, the same for every provider.

endpoint.py    where a running one is and what it was given; settings.py: what it is started with, and says of itself
seeding.py     a dataset seeded into a template database, and resets as copies of it
node.py        one that we started, as resets and replicas need it
replica.py     a streaming replica; replicas.py: all of a primary; replicated.py: primary and replicas, and their reset
"""
