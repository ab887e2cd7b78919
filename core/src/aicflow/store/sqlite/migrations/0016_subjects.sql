-- Whom executions are about, by keyed hash.
CREATE TABLE subjects (
  hash TEXT NOT NULL,
  execution_id TEXT NOT NULL,
  PRIMARY KEY (hash, execution_id)
) WITHOUT ROWID;
CREATE INDEX subjects_by_execution ON subjects (execution_id);
CREATE TRIGGER subject_forgotten AFTER DELETE ON executions BEGIN
  DELETE FROM subjects WHERE execution_id = OLD.id;
END;
CREATE INDEX deliveries_by_time ON deliveries (received_at);
