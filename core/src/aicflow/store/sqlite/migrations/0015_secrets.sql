-- Secrets. A value is sealed with a key of its own, which is wrapped by the key that kek_id names.
CREATE TABLE secrets (
  name TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  description TEXT,
  workflows TEXT NOT NULL,          -- JSON: ids of the workflows that may use it
  labels TEXT NOT NULL,             -- JSON: labels of workflows that may use it
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  last_used_at INTEGER,
  kek_id TEXT NOT NULL,
  wrapped_key BLOB NOT NULL,
  nonce BLOB NOT NULL,
  ciphertext BLOB NOT NULL
) WITHOUT ROWID;
