-- The row: how many client connections to this database there are, the probes' own not counted. A session leaves this view
-- only after it has added what it did to the statistics.
SELECT count(*)
FROM pg_stat_activity
WHERE backend_type = 'client backend'
  AND datname = current_database()
  AND application_name <> 'flashcrowd-probe'
