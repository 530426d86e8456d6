-- Format 1. Times are microseconds since 1970; metadata, payloads, journals and lists of ids are JSON.
-- One counter row numbers every change; a record's rowid is the number of its last change, so that an
-- index can follow a scope by keyset, and a write touches no index for it.

CREATE TABLE counter (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    last INTEGER NOT NULL,        -- the last number given out
    erasures INTEGER NOT NULL,
    unpurged INTEGER NOT NULL     -- 1 from an erasure until its bytes are gone from the files
);

CREATE TABLE info (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- A scope's id is never used again for another: processes remember it.
CREATE TABLE scopes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,     -- JSON list of the four fields
    tenant TEXT NOT NULL,
    user_id TEXT,
    agent_id TEXT,
    run_id TEXT
);
CREATE INDEX scopes_fields ON scopes (tenant, user_id, agent_id, run_id);

-- Latest versions.
CREATE TABLE records (
    sequence INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL REFERENCES scopes (id),
    arrival INTEGER NOT NULL,
    version INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    closed INTEGER,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    level INTEGER,
    origin TEXT,
    role TEXT,
    name TEXT,
    time INTEGER NOT NULL,
    valid_start INTEGER,
    valid_end INTEGER,
    known_start INTEGER,
    known_end INTEGER,
    expires INTEGER,
    strength REAL NOT NULL,
    trust REAL NOT NULL,
    made_by TEXT,
    words BLOB NOT NULL,
    vector BLOB,
    sources TEXT,
    metadata TEXT,
    payload TEXT,
    text TEXT NOT NULL            -- last, so that reading the rest passes over no long text
);
CREATE UNIQUE INDEX records_id ON records (id);
CREATE INDEX records_scope ON records (scope, arrival);
CREATE UNIQUE INDEX records_origin ON records (scope, origin) WHERE origin IS NOT NULL;
CREATE INDEX records_made_by ON records (made_by) WHERE made_by IS NOT NULL;
CREATE INDEX records_expires ON records (expires) WHERE expires IS NOT NULL;

-- Versions that a later one has replaced; the same columns.
CREATE TABLE versions (
    sequence INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL REFERENCES scopes (id),
    arrival INTEGER NOT NULL,
    version INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    closed INTEGER,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    level INTEGER,
    origin TEXT,
    role TEXT,
    name TEXT,
    time INTEGER NOT NULL,
    valid_start INTEGER,
    valid_end INTEGER,
    known_start INTEGER,
    known_end INTEGER,
    expires INTEGER,
    strength REAL NOT NULL,
    trust REAL NOT NULL,
    made_by TEXT,
    words BLOB NOT NULL,
    vector BLOB,
    sources TEXT,
    metadata TEXT,
    payload TEXT,
    text TEXT NOT NULL
);
CREATE UNIQUE INDEX versions_id ON versions (id, version);
CREATE INDEX versions_scope ON versions (scope);

CREATE VIEW history AS SELECT * FROM records UNION ALL SELECT * FROM versions;

-- Which version of what was made from what.
CREATE TABLE lineage (
    derived TEXT NOT NULL,
    version INTEGER NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (derived, version, source)
) WITHOUT ROWID;
CREATE INDEX lineage_source ON lineage (source);

CREATE TABLE edges (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    type TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user_id TEXT,
    agent_id TEXT,
    run_id TEXT,
    valid_start INTEGER,
    valid_end INTEGER,
    known_start INTEGER,
    known_end INTEGER,
    weight REAL NOT NULL,
    made_by TEXT,
    opened INTEGER NOT NULL,
    closed INTEGER,
    sources TEXT NOT NULL,
    metadata TEXT NOT NULL
);
CREATE INDEX edges_source ON edges (source);
CREATE INDEX edges_target ON edges (target);
CREATE INDEX edges_scope ON edges (tenant, user_id, agent_id, run_id);

CREATE TABLE edge_reads (
    record TEXT NOT NULL,
    edge TEXT NOT NULL REFERENCES edges (id),
    PRIMARY KEY (edge, record)
) WITHOUT ROWID;
CREATE INDEX edge_reads_record ON edge_reads (record);

CREATE TABLE states (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,     -- JSON list of policy, the four scope fields, name
    policy TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user_id TEXT,
    agent_id TEXT,
    run_id TEXT,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    reads TEXT NOT NULL,
    value TEXT NOT NULL
);
CREATE INDEX states_scope ON states (tenant, user_id, agent_id, run_id);

CREATE TABLE state_reads (
    record TEXT NOT NULL,
    state INTEGER NOT NULL REFERENCES states (id),
    PRIMARY KEY (state, record)
) WITHOUT ROWID;
CREATE INDEX state_reads_record ON state_reads (record);

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user_id TEXT,
    agent_id TEXT,
    run_id TEXT,
    created INTEGER NOT NULL,
    policy TEXT,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    owner TEXT,
    until INTEGER,
    not_before INTEGER,
    error TEXT,
    records TEXT NOT NULL,
    reads TEXT NOT NULL,
    journal TEXT NOT NULL
);
CREATE INDEX jobs_scope ON jobs (tenant, user_id, agent_id, run_id);

CREATE TABLE job_reads (
    record TEXT NOT NULL,
    job TEXT NOT NULL REFERENCES jobs (id),
    PRIMARY KEY (job, record)
) WITHOUT ROWID;
CREATE INDEX job_reads_record ON job_reads (record);
