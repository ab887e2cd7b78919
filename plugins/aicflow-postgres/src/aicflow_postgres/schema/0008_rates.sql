-- what hosts were granted of rates, by a hash of the rate and of whose it is: [[when, how many], …]; a crash may forget it

CREATE UNLOGGED TABLE rates (key bytea PRIMARY KEY, grants text NOT NULL, until bigint NOT NULL);
