-- Runs that have not ended: few, and changed often.
CREATE TABLE open (
    id BLOB NOT NULL PRIMARY KEY,
    job TEXT NOT NULL,
    slot BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    cause TEXT NOT NULL,
    n_attempts BIGINT NOT NULL,
    n_interrupted BIGINT NOT NULL,
    retry_at BIGINT,
    checksum BIGINT NOT NULL,
    claimed_at BIGINT,
    claimed_copy BIGINT
) WITHOUT ROWID;

-- Runs that have ended: many, and never changed.
CREATE TABLE run (
    id BLOB NOT NULL PRIMARY KEY,
    job TEXT NOT NULL,
    slot BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    cause TEXT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT NOT NULL,
    duration_ns BIGINT NOT NULL,
    n_attempts BIGINT NOT NULL,
    code TEXT NOT NULL,
    message TEXT,
    cpu_ns BIGINT NOT NULL,
    memory_bytes BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    digest BLOB,
    extra TEXT,
    checksum BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX run_by_slot ON run (slot, job, id);
CREATE INDEX run_by_job ON run (job, slot, id);

-- Attempts after which another one followed.
CREATE TABLE attempt (
    run BLOB NOT NULL,
    number BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT NOT NULL,
    duration_ns BIGINT NOT NULL,
    n_attempts BIGINT NOT NULL,
    code TEXT NOT NULL,
    message TEXT,
    cpu_ns BIGINT NOT NULL,
    memory_bytes BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    digest BLOB,
    extra TEXT,
    checksum BIGINT NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;

-- What an attempt returned and wrote, where it did. Attempt 0 is the last one.
CREATE TABLE part (
    run BLOB NOT NULL,
    attempt BIGINT NOT NULL,
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    n_bytes BIGINT NOT NULL,
    n_bytes_dropped BIGINT NOT NULL,
    checksum BIGINT NOT NULL,
    PRIMARY KEY (run, attempt, name)
) WITHOUT ROWID;

-- What an attempt logged. Attempt 0 is the last one.
CREATE TABLE log (
    run BLOB NOT NULL,
    attempt BIGINT NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    fields TEXT,
    checksum BIGINT NOT NULL,
    PRIMARY KEY (run, attempt, number)
) WITHOUT ROWID;

-- Slots that became no run. An empty `run` means that there was none.
CREATE TABLE skip (
    last BIGINT NOT NULL,
    job TEXT NOT NULL,
    first BIGINT NOT NULL,
    run BLOB NOT NULL,
    reason TEXT NOT NULL,
    count BIGINT NOT NULL,
    at BIGINT NOT NULL,
    by_run BLOB,
    checksum BIGINT NOT NULL,
    PRIMARY KEY (last, job, first, run, reason)
) WITHOUT ROWID;
CREATE INDEX skip_by_job ON skip (job, last, first, run, reason);

-- What is known of a job beside its definition.
CREATE TABLE job (
    id TEXT NOT NULL PRIMARY KEY,
    first_seen BIGINT NOT NULL,
    decided_until BIGINT NOT NULL,
    paused BIGINT NOT NULL,
    paused_in_manifest BIGINT NOT NULL,
    trigger_hash BIGINT NOT NULL,
    removed_at BIGINT,
    checksum BIGINT NOT NULL
) WITHOUT ROWID;

-- When the last run of a job ended, and the slot of its last success.
CREATE TABLE last (
    job TEXT NOT NULL PRIMARY KEY,
    job_checksum BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    success_at BIGINT,
    checksum BIGINT NOT NULL
) WITHOUT ROWID;

-- Every slot of every job that is not paused is decided up to here: one row.
CREATE TABLE watermark (
    id BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    checksum BIGINT NOT NULL
) WITHOUT ROWID;
