-- What jobs remember: one row for each key.
CREATE TABLE state (
    job TEXT NOT NULL,
    key TEXT NOT NULL,
    version BIGINT NOT NULL,
    value BLOB NOT NULL,
    checksum BIGINT NOT NULL,
    PRIMARY KEY (job, key)
) WITHOUT ROWID;

-- The greatest version that was ever kept for a job, deleted keys included.
CREATE TABLE state_version (
    job TEXT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    checksum BIGINT NOT NULL
) WITHOUT ROWID;
