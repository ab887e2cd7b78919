-- Instants are microseconds since 1970 UTC. JSON stands in BLOB columns as UTF-8 text, exactly as it was given.

CREATE TABLE executions (
  n INTEGER PRIMARY KEY,          -- order of acceptance
  id TEXT NOT NULL UNIQUE,
  workflow_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  available_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  last_seq INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  worker TEXT,                    -- who holds the claim
  due_at INTEGER,                 -- when anyone may claim it: a start, a wake-up, a lease's end; -1 at once; NULL never
  wake_at INTEGER,
  priority INTEGER NOT NULL,
  admitted INTEGER NOT NULL,      -- holds its slots (until it ends)
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  engine TEXT,
  trigger_kind TEXT,
  binding_id TEXT,
  rerun_of TEXT,
  parent_execution_id TEXT,
  parent_node_id TEXT,
  idempotency_scope TEXT,
  idempotency_key TEXT,
  fingerprint TEXT,
  limits TEXT,                    -- [[key, limit, when_full], …]
  trigger BLOB,                   -- without its payload when that is large; then the whole is in payloads
  input BLOB,                     -- NULL when large; then it is in payloads
  output BLOB,
  error BLOB
);

CREATE INDEX executions_by_time ON executions (created_at);
CREATE INDEX executions_by_status ON executions (status, created_at);
CREATE INDEX executions_by_workflow ON executions (workflow_id, status, created_at);
CREATE INDEX executions_by_kind ON executions (trigger_kind, created_at) WHERE trigger_kind IS NOT NULL;
CREATE INDEX executions_by_binding ON executions (binding_id, created_at) WHERE binding_id IS NOT NULL;
CREATE INDEX executions_by_rerun ON executions (rerun_of, created_at) WHERE rerun_of IS NOT NULL;
CREATE INDEX executions_by_parent ON executions (parent_execution_id, created_at) WHERE parent_execution_id IS NOT NULL;
CREATE UNIQUE INDEX executions_by_idempotency ON executions (idempotency_scope, idempotency_key)
  WHERE idempotency_key IS NOT NULL;

-- the queue: who is next, what falls due, whose slots are to be kept account of
CREATE INDEX executions_ready ON executions (priority DESC, n, due_at) WHERE status = 'queued' AND due_at IS NOT NULL;
CREATE INDEX executions_queued_due ON executions (due_at) WHERE status = 'queued' AND due_at IS NOT NULL;
CREATE INDEX executions_due ON executions (due_at) WHERE status <> 'queued' AND due_at IS NOT NULL;
CREATE INDEX executions_limited ON executions (admitted, n) WHERE limits IS NOT NULL AND finished_at IS NULL;

-- one row a batch: consecutive events, one JSON object a line. With rowids, because rows of this size would spill out
-- of an index's pages: measured, that costs a tenth of the space and of the time
CREATE TABLE events (
  execution_id TEXT NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (execution_id, first_seq)
);

-- what is too large for a row that is written again: step outputs by node id, $input, $trigger
CREATE TABLE payloads (
  execution_id TEXT NOT NULL,
  name TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (execution_id, name)
);

CREATE TABLE answers (
  execution_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (execution_id, node_id)
) WITHOUT ROWID;

CREATE TABLE fires (
  binding_id TEXT NOT NULL,
  key TEXT NOT NULL,
  execution_id TEXT,              -- NULL when the fire was skipped
  PRIMARY KEY (binding_id, key)
) WITHOUT ROWID;

CREATE TABLE deliveries (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  binding_id TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  key TEXT,
  execution_id TEXT,
  error TEXT,                     -- why it started nothing
  payload BLOB NOT NULL
);
CREATE INDEX deliveries_by_binding ON deliveries (binding_id, received_at);
CREATE INDEX deliveries_by_execution ON deliveries (execution_id);

CREATE TABLE triggers (
  binding_id TEXT PRIMARY KEY,
  paused INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;

CREATE TABLE workflows (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  folded_name TEXT NOT NULL,
  description TEXT,
  version INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  enabled INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);

CREATE INDEX workflows_by_time ON workflows (created_at);

CREATE TABLE workflow_versions (
  workflow_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (workflow_id, version)
);

CREATE TABLE api_keys (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  last_used_at INTEGER,
  revoked_at INTEGER
);

CREATE TABLE node_settings (
  type_id TEXT PRIMARY KEY,
  enabled INTEGER NOT NULL,
  default_params TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE writable (checked INTEGER NOT NULL);
INSERT INTO writable VALUES (0);
