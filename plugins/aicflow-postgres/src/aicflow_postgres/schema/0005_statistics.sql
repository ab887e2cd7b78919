-- how executions ended: what is counted when somebody asks, and what is written down of hours that are over

CREATE INDEX executions_by_end ON executions (finished_at) INCLUDE (workflow_id, status, started_at)
  WHERE finished_at IS NOT NULL;

CREATE TABLE ended_hours (
  hour bigint NOT NULL,           -- seconds since 1970
  workflow_id text COLLATE "C" NOT NULL,
  status text NOT NULL,
  durations text NOT NULL,        -- [[group, count], …]
  PRIMARY KEY (hour, workflow_id, status)
);

CREATE TABLE ended_hours_through (hour bigint NOT NULL);
