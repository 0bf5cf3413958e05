-- The row: what the server has counted for this database since its statistics were last reset. Times are milliseconds.
-- It lags: a session adds what it did when it goes idle, at most once a second, and at the latest when it ends.
SELECT * FROM pg_stat_database WHERE datname = current_database()
