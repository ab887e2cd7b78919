-- Files: what is known of them, and which executions hold them. A content is elsewhere, at its `place`.
CREATE TABLE files (
  n INTEGER PRIMARY KEY,           -- order of arrival
  sha256 TEXT NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  type TEXT NOT NULL,
  name TEXT,
  place TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,     -- kept until then, and as long as an execution holds it
  executions INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX files_unused ON files (expires_at) WHERE executions = 0;

CREATE TABLE file_holds (
  sha256 TEXT NOT NULL,
  execution_id TEXT NOT NULL,
  PRIMARY KEY (sha256, execution_id)
) WITHOUT ROWID;
CREATE INDEX file_holds_by_execution ON file_holds (execution_id);

CREATE TABLE file_bytes (total INTEGER NOT NULL);
INSERT INTO file_bytes VALUES (0);

CREATE TRIGGER file_added AFTER INSERT ON files BEGIN
  UPDATE file_bytes SET total = total + NEW.size;
END;
CREATE TRIGGER file_removed AFTER DELETE ON files BEGIN
  UPDATE file_bytes SET total = total - OLD.size;
END;
CREATE TRIGGER file_held AFTER INSERT ON file_holds BEGIN
  UPDATE files SET executions = executions + 1 WHERE sha256 = NEW.sha256;
END;
CREATE TRIGGER file_released AFTER DELETE ON file_holds BEGIN
  UPDATE files SET executions = executions - 1 WHERE sha256 = OLD.sha256;
END;
