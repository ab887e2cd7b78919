-- Events from outside, the waits for them, and which wait received which. `body` is what a wait is answered with.
CREATE TABLE sent_events (
  n INTEGER PRIMARY KEY,          -- order of arrival
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  key TEXT,
  received_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,    -- waits that begin before find it
  received INTEGER NOT NULL DEFAULT 0,
  done INTEGER NOT NULL DEFAULT 0, -- whether triggers have seen it
  body BLOB NOT NULL
);
CREATE INDEX sent_events_by_key ON sent_events (name, key);
CREATE INDEX sent_events_pending ON sent_events (n) WHERE NOT done;
CREATE INDEX sent_events_by_time ON sent_events (received_at);

CREATE TABLE subscriptions (
  n INTEGER PRIMARY KEY,
  execution_id TEXT NOT NULL,
  node_id TEXT NOT NULL,
  call INTEGER NOT NULL,
  name TEXT NOT NULL,
  key TEXT,                       -- NULL: whatever the event's is
  since INTEGER NOT NULL,
  UNIQUE (execution_id, node_id, call)
);
CREATE INDEX subscriptions_by_key ON subscriptions (name, key);

CREATE TABLE receipts (
  execution_id TEXT NOT NULL,
  event INTEGER NOT NULL,
  node_id TEXT NOT NULL,
  call INTEGER NOT NULL,
  PRIMARY KEY (execution_id, event)
) WITHOUT ROWID;
CREATE INDEX receipts_by_event ON receipts (event);
