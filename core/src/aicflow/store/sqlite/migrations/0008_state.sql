-- What workflows keep between executions.
CREATE TABLE state (
  workflow_id TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  version INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  expires_at INTEGER,
  PRIMARY KEY (workflow_id, key)
) WITHOUT ROWID;
