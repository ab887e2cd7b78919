-- Instants are microseconds since 1970 UTC. JSON stands in bytea columns as UTF-8 text, exactly as it was given.

CREATE TABLE executions (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- order of acceptance
  id text COLLATE "C" NOT NULL UNIQUE,
  workflow_id text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  status text NOT NULL,
  created_at bigint NOT NULL,
  available_at bigint NOT NULL,
  started_at bigint,
  finished_at bigint,
  last_seq integer NOT NULL,
  epoch integer NOT NULL,
  worker text,                    -- who holds the claim
  due_at bigint,                  -- when anyone may claim it: a start, a wake-up, a lease's end; -1 at once; NULL never
  wake_at bigint,
  priority integer NOT NULL,
  admitted boolean NOT NULL,      -- holds its slots (until it ends)
  cancel_requested boolean NOT NULL DEFAULT false,
  engine text,
  trigger_kind text NOT NULL,
  binding_id text COLLATE "C",
  rerun_of text COLLATE "C",
  parent_execution_id text COLLATE "C",
  parent_node_id text,
  parent_call integer NOT NULL DEFAULT 0,
  idempotency_key bytea,
  limits text,                    -- [[key, limit, when_full], …]
  trigger bytea NOT NULL,         -- without its payload when that is large; then the whole is in payloads
  input bytea,                    -- NULL when large; then it is in payloads
  output bytea,                   -- NULL when large; then it is in payloads
  error bytea,
  announce boolean NOT NULL DEFAULT false  -- ended, and other workflows that wait for that are not started yet
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- lists. None has `status` or `due_at`, which change: what only notes progress then stays on its page (HOT)
CREATE INDEX executions_by_time ON executions (created_at, n);
CREATE INDEX executions_by_workflow ON executions (workflow_id, created_at, n);
CREATE INDEX executions_by_kind ON executions (trigger_kind, created_at, n) WHERE trigger_kind <> 'api';
CREATE INDEX executions_by_binding ON executions (binding_id, created_at, n) WHERE binding_id IS NOT NULL;
CREATE INDEX executions_by_rerun ON executions (rerun_of, created_at, n) WHERE rerun_of IS NOT NULL;
CREATE INDEX executions_by_parent ON executions (parent_execution_id, created_at, n)
  WHERE parent_execution_id IS NOT NULL;
-- what has not ended is few, what has not succeeded is what people look for
CREATE INDEX executions_active ON executions (status, created_at, n) WHERE finished_at IS NULL;
CREATE INDEX executions_unsuccessful ON executions (status, created_at, n) WHERE status IN ('failed', 'cancelled');
CREATE INDEX executions_unsuccessful_by_workflow ON executions (workflow_id, status, created_at, n)
  WHERE status IN ('failed', 'cancelled');
CREATE INDEX executions_unsuccessful_by_kind ON executions (trigger_kind, status, created_at, n)
  WHERE status IN ('failed', 'cancelled') AND trigger_kind <> 'api';
CREATE INDEX executions_unsuccessful_by_binding ON executions (binding_id, status, created_at, n)
  WHERE status IN ('failed', 'cancelled') AND binding_id IS NOT NULL;
CREATE INDEX executions_by_workflow_and_kind ON executions (workflow_id, trigger_kind, created_at, n)
  WHERE trigger_kind <> 'api';
-- which of them go together, without which the planner expects some of each everywhere
CREATE STATISTICS executions_together (mcv) ON workflow_id, status, trigger_kind FROM executions;

-- the queue: who is next, what falls due, whose slots are to be kept account of
CREATE INDEX executions_ready ON executions (n)
  WHERE status = 'queued' AND due_at >= 0 AND priority = 0 AND available_at <= created_at AND limits IS NULL;
CREATE INDEX executions_special ON executions (priority DESC, n)
  WHERE status = 'queued' AND due_at >= 0 AND (priority <> 0 OR available_at > created_at OR limits IS NOT NULL);
CREATE INDEX executions_again ON executions (n) WHERE status = 'queued' AND due_at = -1;
CREATE INDEX executions_due ON executions (due_at, n) WHERE status <> 'queued' AND due_at IS NOT NULL;
CREATE INDEX executions_queued_due ON executions (due_at) WHERE status = 'queued' AND due_at IS NOT NULL;
CREATE INDEX executions_limited ON executions (workflow_id, n) WHERE limits IS NOT NULL AND finished_at IS NULL;

CREATE INDEX executions_announced ON executions (finished_at, id) WHERE announce;

-- whom executions are about, by keyed hash
CREATE TABLE subjects (
  hash text COLLATE "C" NOT NULL,
  execution_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (hash, execution_id)
);
CREATE INDEX subjects_by_execution ON subjects (execution_id);

-- whether a text stands in a value, in any case of ASCII letters: `escape` writes all other octets as digits
CREATE FUNCTION says(value bytea, wanted bytea) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT strpos(lower(encode(value, 'escape')), lower(encode(wanted, 'escape'))) > 0
$$;

-- What grows with the executions is kept by weeks, which are ranges of their ids: a partition is made ahead for each,
-- and retention drops it whole. The default partitions have what was kept of dropped weeks.

-- one row a batch: consecutive events, one JSON object a line
CREATE TABLE events (
  execution_id text COLLATE "C" NOT NULL,
  first_seq integer NOT NULL,
  last_seq integer NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (execution_id, first_seq)
) PARTITION BY RANGE (execution_id);
CREATE TABLE events_rest PARTITION OF events DEFAULT;

-- large values are kept once, by their SHA-256; what no payload has any more goes with the next round of retention
CREATE TABLE contents (hash bytea PRIMARY KEY, body bytea NOT NULL);

-- what is too large for a row that is written again: step outputs by node id, $input, $trigger, $output
CREATE TABLE payloads (
  execution_id text COLLATE "C" NOT NULL,
  name text NOT NULL,
  body bytea,
  hash bytea REFERENCES contents,
  PRIMARY KEY (execution_id, name),
  CHECK ((body IS NULL) <> (hash IS NULL))
) PARTITION BY RANGE (execution_id);
CREATE TABLE payloads_rest PARTITION OF payloads DEFAULT;
CREATE INDEX payloads_by_hash ON payloads (hash) WHERE hash IS NOT NULL;
CREATE VIEW stored AS
  SELECT p.execution_id, p.name, coalesce(p.body, c.body) AS body FROM payloads AS p LEFT JOIN contents AS c USING (hash);

-- how the items of a map and the passes of a repeat ended
CREATE TABLE items (
  execution_id text COLLATE "C" NOT NULL,
  step_id text COLLATE "C" NOT NULL,
  i integer NOT NULL,
  succeeded boolean NOT NULL,
  key bytea,
  output bytea,
  error bytea,
  masked boolean NOT NULL,
  PRIMARY KEY (execution_id, step_id, i)
) PARTITION BY RANGE (execution_id);
CREATE TABLE items_rest PARTITION OF items DEFAULT;

-- weeks that retention is about to drop: what it has removed of them is there until then
CREATE TABLE closing_weeks (first text COLLATE "C" PRIMARY KEY, past text COLLATE "C" NOT NULL);

CREATE TABLE answers (
  execution_id text COLLATE "C" NOT NULL,
  node_id text NOT NULL,
  call integer NOT NULL,
  kind text NOT NULL,
  value bytea NOT NULL,
  PRIMARY KEY (execution_id, node_id, call)
);

-- who changes the slots of a workflow holds its row; others then know whether they must read its line again
CREATE TABLE slot_books (workflow_id text COLLATE "C" PRIMARY KEY, mark bigint NOT NULL);

CREATE TABLE idempotency_keys (
  scope text NOT NULL,
  key bytea NOT NULL,               -- bytea: text cannot hold every character that JSON can
  fingerprint text NOT NULL,
  result text NOT NULL,           -- the id of what was made
  used_at bigint NOT NULL,
  owner text COLLATE "C",         -- the execution that the key belongs to, if any
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (used_at) WHERE owner IS NULL;
CREATE INDEX idempotency_keys_by_owner ON idempotency_keys (owner) WHERE owner IS NOT NULL;

CREATE TABLE fires (
  binding_id text COLLATE "C" NOT NULL,
  key bytea NOT NULL,               -- bytea: text cannot hold every character that JSON can
  execution_id text,              -- NULL when the fire was skipped
  fired_at bigint NOT NULL,
  PRIMARY KEY (binding_id, key)
);
CREATE INDEX fires_by_time ON fires (fired_at);

CREATE TABLE deliveries (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL UNIQUE,
  binding_id text COLLATE "C" NOT NULL,
  received_at bigint NOT NULL,
  key bytea,
  execution_id text COLLATE "C",
  error bytea,                    -- why it started nothing
  payload bytea NOT NULL
);
CREATE INDEX deliveries_by_time ON deliveries (received_at);
CREATE INDEX deliveries_by_binding ON deliveries (binding_id, received_at, n);
CREATE INDEX deliveries_by_execution ON deliveries (execution_id);
CREATE INDEX deliveries_refused ON deliveries (received_at) WHERE execution_id IS NULL;

CREATE TABLE triggers (
  binding_id text COLLATE "C" PRIMARY KEY,
  paused boolean NOT NULL DEFAULT false,
  state bytea NOT NULL DEFAULT '{}'
);

-- documents are bytea too: jsonb would lose the order of keys, refuse \u0000 and rewrite numbers
CREATE TABLE workflows (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text COLLATE "C" NOT NULL UNIQUE,
  name bytea NOT NULL,
  folded_name bytea NOT NULL,
  description bytea,
  labels bytea NOT NULL,
  version integer NOT NULL,
  revision integer NOT NULL,
  enabled boolean NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL
);
CREATE INDEX workflows_by_time ON workflows (created_at, n);
CREATE TABLE workflow_labels (
  workflow_id text COLLATE "C" NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
  name text COLLATE "C" NOT NULL,
  value bytea NOT NULL,
  PRIMARY KEY (workflow_id, name)
);
CREATE INDEX workflow_labels_by_value ON workflow_labels (name, value);

CREATE TABLE workflow_versions (
  workflow_id text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  created_at bigint NOT NULL,
  document bytea NOT NULL,
  PRIMARY KEY (workflow_id, version)
);

CREATE TABLE api_keys (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL UNIQUE,
  name text NOT NULL,
  hash text NOT NULL UNIQUE,
  scopes text NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint,
  last_used_at bigint,
  revoked_at bigint,
  previous_expires_at bigint,
  previous_hash text UNIQUE,
  limits bytea NOT NULL           -- [workflow ids, labels, networks]
);
CREATE TABLE tickets (hash text PRIMARY KEY, owner bytea NOT NULL, expires_at bigint NOT NULL);
CREATE INDEX tickets_expiry ON tickets (expires_at);

CREATE TABLE node_settings (type_id text COLLATE "C" PRIMARY KEY, enabled boolean NOT NULL, default_params bytea NOT NULL);

-- what workflows keep between executions
CREATE TABLE state (
  workflow_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  value bytea NOT NULL,
  version integer NOT NULL,
  updated_at bigint NOT NULL,
  expires_at bigint,
  PRIMARY KEY (workflow_id, key)
) WITH (fillfactor = 70);
CREATE INDEX state_expiry ON state (workflow_id, expires_at) WHERE expires_at IS NOT NULL;

-- events from outside, the waits for them, and which wait received which. `body` is what a wait is answered with
CREATE TABLE sent_events (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id bytea NOT NULL UNIQUE,
  name text COLLATE "C" NOT NULL,
  key bytea,
  received_at bigint NOT NULL,
  expires_at bigint NOT NULL,     -- waits that begin before find it
  received integer NOT NULL DEFAULT 0,
  done boolean NOT NULL DEFAULT false,  -- whether triggers have seen it
  body bytea NOT NULL
);
CREATE INDEX sent_events_by_key ON sent_events (name, key, n);
CREATE INDEX sent_events_pending ON sent_events (n) WHERE NOT done;
CREATE INDEX sent_events_by_time ON sent_events (received_at);

CREATE TABLE subscriptions (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  execution_id text COLLATE "C" NOT NULL,
  node_id text NOT NULL,
  call integer NOT NULL,
  name text COLLATE "C" NOT NULL,
  key bytea,           -- NULL: whatever the event's is
  since bigint NOT NULL,
  UNIQUE (execution_id, node_id, call)
);
CREATE INDEX subscriptions_by_key ON subscriptions (name, key);

CREATE TABLE receipts (
  execution_id text COLLATE "C" NOT NULL,
  event bigint NOT NULL,
  node_id text NOT NULL,
  call integer NOT NULL,
  PRIMARY KEY (execution_id, event)
);
CREATE INDEX receipts_by_event ON receipts (event);

-- the chain of audit entries. `hash` is the SHA-256 of the hash before it and the body, from which the rest is read
CREATE TABLE audit (
  seq bigint PRIMARY KEY,
  hash bytea NOT NULL,
  body text NOT NULL,
  personal bytea,                 -- a JSON object of what the body holds as keyed hashes
  actor bytea NOT NULL,
  action text NOT NULL,
  targets bytea[] NOT NULL,
  at text COLLATE "C" NOT NULL
);
CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_action ON audit (action, seq);
CREATE INDEX audit_by_time ON audit (at);

-- files: what is known of them, and which executions hold them. A content is elsewhere, at its `place`
CREATE TABLE files (
  n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sha256 text COLLATE "C" NOT NULL UNIQUE,
  size bigint NOT NULL,
  type bytea NOT NULL,
  name bytea,
  place text NOT NULL UNIQUE,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL,     -- kept until then, and as long as an execution holds it
  executions integer NOT NULL DEFAULT 0
);
CREATE INDEX files_unused ON files (expires_at) WHERE executions = 0;
CREATE TABLE file_holds (
  sha256 text COLLATE "C" NOT NULL,
  execution_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (sha256, execution_id)
);
CREATE INDEX file_holds_by_execution ON file_holds (execution_id);

-- secrets. A value is sealed with a key of its own, which is wrapped by the key that kek_id names
CREATE TABLE secrets (
  name text COLLATE "C" PRIMARY KEY,
  version integer NOT NULL,
  description bytea,
  workflows bytea NOT NULL,       -- JSON: ids of the workflows that may use it
  labels bytea NOT NULL,          -- JSON: labels of workflows that may use it
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  last_used_at bigint,
  kek_id text NOT NULL,
  wrapped_key bytea NOT NULL,
  nonce bytea NOT NULL,
  ciphertext bytea NOT NULL
);

CREATE TABLE writable (checked bigint NOT NULL);
INSERT INTO writable VALUES (0);
