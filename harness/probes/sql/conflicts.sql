-- The row: statements of this database that a replica has cancelled because they held replay up, by reason, since its statistics
-- were last reset.
SELECT c.*, d.conflicts FROM pg_stat_database_conflicts c JOIN pg_stat_database d USING (datid)
WHERE c.datname = current_database()
