-- A row: how many client connections of this database are in one state and wait for one thing, the probes' own not counted,
-- with the age in seconds of their longest running statement and of their longest open transaction (null where there is none).
SELECT coalesce(state, '') AS state,
       coalesce(wait_event_type, '') AS wait_event_type,
       coalesce(wait_event, '') AS wait_event,
       count(*) AS connections,
       max(extract(epoch FROM clock_timestamp() - query_start)) FILTER (WHERE state = 'active')::float8 AS statement_s,
       max(extract(epoch FROM clock_timestamp() - xact_start))::float8 AS transaction_s
FROM pg_stat_activity
WHERE backend_type = 'client backend'
  AND datname = current_database()
  AND application_name <> 'flashcrowd-probe'
GROUP BY 1, 2, 3
