-- Which code of plugins came into force, and what of it was taken back.
CREATE TABLE generation (
    plugin TEXT NOT NULL,
    number BIGINT NOT NULL,
    digest TEXT NOT NULL,
    n_bytes BIGINT NOT NULL,
    source TEXT NOT NULL,
    since BIGINT NOT NULL,
    cause TEXT NOT NULL,
    approved BIGINT NOT NULL,
    unproven BIGINT NOT NULL,
    left_at BIGINT,
    left_because TEXT,
    checksum BIGINT NOT NULL,
    PRIMARY KEY (plugin, number)
) WITHOUT ROWID;
