-- A step may wait several times, and call several children: each answer belongs to one of its waits.
-- 0 is for what earlier versions began, which told them not apart.

ALTER TABLE executions ADD COLUMN parent_call INTEGER NOT NULL DEFAULT 0;

CREATE TABLE answers_by_call (
  execution_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  call INTEGER NOT NULL,
  kind TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (execution_id, node_id, call)
) WITHOUT ROWID;
INSERT INTO answers_by_call SELECT execution_id, node_id, 0, kind, value FROM answers;
DROP TABLE answers;
ALTER TABLE answers_by_call RENAME TO answers;
