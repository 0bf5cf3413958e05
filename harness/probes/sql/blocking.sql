-- A row: a session that waits for a heavyweight lock, or one that others wait for, with what it does, for how many seconds it
-- has been in its state, and the processes that block it (null for one that does not wait; 0 is a prepared transaction).
-- pg_blocking_pids() locks the whole lock table, so it is asked for those only that wait for a lock at all.
WITH waiting AS MATERIALIZED (
    SELECT pid, pg_blocking_pids(pid) AS blocked_by
    FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()
)
SELECT a.pid,
       coalesce(a.state, a.backend_type) AS state,
       coalesce(a.wait_event_type || ':' || a.wait_event, '') AS wait_event,
       left(a.query, 1000) AS statement,
       greatest(0, extract(epoch FROM clock_timestamp() - a.state_change))::float8 AS for_s,
       w.blocked_by
FROM pg_stat_activity a
LEFT JOIN waiting w USING (pid)
WHERE cardinality(w.blocked_by) > 0
   OR a.pid IN (SELECT unnest(blocked_by) FROM waiting)
