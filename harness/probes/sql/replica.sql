-- The row: how far a replica is, read on it: up to where it has received and replayed the log, in bytes from its beginning; how
-- old in seconds the newest commit is that it has replayed, by the primary's clock (null where it has replayed none since it
-- started); whether replay is held; how many client connections it has, the probes' own not counted (null for a role that is
-- not shown what others do).
SELECT (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::bigint AS received,
       (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint AS replayed,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS newest_s,
       pg_is_wal_replay_paused() AS paused,
       CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN (
           SELECT count(*) FROM pg_stat_activity
           WHERE backend_type = 'client backend' AND datname = current_database() AND application_name <> 'flashcrowd-probe'
       ) END AS connections
