-- Whether the output of an item held a secret, so that it cannot be taken over into another execution.
ALTER TABLE items ADD COLUMN masked INTEGER NOT NULL DEFAULT 0;
