-- how executions ended: what is counted when somebody asks, and what is written down of hours that are over

CREATE INDEX executions_by_end ON executions (finished_at, workflow_id, status, started_at) WHERE finished_at IS NOT NULL;

CREATE TABLE ended_hours (
  hour INTEGER NOT NULL,          -- seconds since 1970
  workflow_id TEXT NOT NULL,
  status TEXT NOT NULL,
  durations TEXT NOT NULL,        -- [[group, count], …]
  PRIMARY KEY (hour, workflow_id, status)
) WITHOUT ROWID;

CREATE TABLE ended_hours_through (hour INTEGER NOT NULL);
