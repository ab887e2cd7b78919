-- one row for each write whose answer might be lost: whoever repeats it finds whether it was done

CREATE TABLE outcomes (mark bytea PRIMARY KEY, at bigint NOT NULL);
CREATE INDEX outcomes_by_age ON outcomes (at);
