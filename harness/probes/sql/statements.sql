-- A row: what one normalised statement of this database has cost since the statistics were last reset, of one user, called
-- by a client or (not toplevel) from within a function. Times are milliseconds.
SELECT s.* FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()
