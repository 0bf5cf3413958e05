-- A row: a replica as the primary that feeds it knows it: what it has not told yet to have replayed, in bytes, and how long it
-- took of late until something written here was replayed there, in seconds (null while nothing is written). It tells
-- this when it gets on, and at least every ten seconds.
SELECT application_name, state,
       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 AS pg_wal_lsn_diff,
       extract(epoch FROM replay_lag)::float8 AS replay_lag
FROM pg_stat_replication
