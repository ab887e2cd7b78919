-- How the items of a map and the passes of a repeat ended, each in the transaction of its events.
CREATE TABLE items (
  execution_id TEXT NOT NULL,
  step_id TEXT NOT NULL,
  i INTEGER NOT NULL,
  succeeded INTEGER NOT NULL,
  key TEXT,
  output TEXT,
  error TEXT,
  PRIMARY KEY (execution_id, step_id, i)
) WITHOUT ROWID;
