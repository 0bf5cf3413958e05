"""Whom we are measured against, run on the load's cores as our own workers are.

process.py            starts one, holds it to the load's cores, ends it on every path
pgbench.py            PostgreSQL's own load generator, from beside the server's program
five_statements.sql   its script for the transaction
contrib.py            Locust with the PostgreSQL user that it ships, in contrib_users.py
"""
