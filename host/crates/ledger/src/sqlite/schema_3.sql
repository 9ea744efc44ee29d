-- What came with the wish for a run, where something did. It goes with the run.
CREATE TABLE payload (
    run BLOB NOT NULL PRIMARY KEY,
    text TEXT NOT NULL,
    checksum BIGINT NOT NULL
) WITHOUT ROWID;
