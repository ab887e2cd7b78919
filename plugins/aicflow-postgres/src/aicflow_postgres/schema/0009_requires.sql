-- what executions require of a worker, and which workers there are

CREATE TABLE requirements (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hash bytea NOT NULL UNIQUE,     -- of the rest
  queue text COLLATE "C" NOT NULL,
  types bytea NOT NULL,           -- a JSON array, sorted
  had_at bigint NOT NULL          -- when a live worker last had them all
) WITH (fillfactor = 50);

CREATE TABLE workers (
  id text COLLATE "C" PRIMARY KEY,
  started_at bigint NOT NULL,
  seen_at bigint NOT NULL,
  running integer NOT NULL,
  about bytea NOT NULL            -- JSON: name, host, pid, version, queues, max_running, types
) WITH (fillfactor = 50);

-- 0: the default queue and no type, or written by a version that knew of none
ALTER TABLE executions ADD COLUMN requires integer NOT NULL DEFAULT 0;
-- a worker that cannot run everything looks for each requirement by itself, however much waits of the others. One
-- number of both, so that no other index has this order, which the planner would rather walk along
CREATE INDEX executions_ready_by_requirement ON executions (((requires::bigint << 42) + n))
  WHERE status = 'queued' AND due_at >= 0 AND priority = 0 AND available_at <= created_at AND limits IS NULL;
