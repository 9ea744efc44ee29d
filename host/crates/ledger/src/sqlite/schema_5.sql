-- Small texts by kind and name: jobs that came through the API, pauses, and the like.
CREATE TABLE document (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    revision BIGINT NOT NULL,
    at BIGINT NOT NULL,
    text TEXT NOT NULL,
    checksum BIGINT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

-- Events that were told, in batches by the number of their last one: one JSON object in each line.
CREATE TABLE event (
    last BIGINT NOT NULL PRIMARY KEY,
    first BIGINT NOT NULL,
    at BIGINT NOT NULL,
    text TEXT NOT NULL,
    checksum BIGINT NOT NULL
) WITHOUT ROWID;
