-- Format 5: edges have versions, and numbers by which a graph in memory follows them.

CREATE TABLE edge_versions (
    sequence INTEGER PRIMARY KEY,  -- the number of its last change
    scope INTEGER NOT NULL REFERENCES scopes (id),
    version INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    closed INTEGER,
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    type TEXT NOT NULL,
    valid_start INTEGER,
    valid_end INTEGER,
    known_start INTEGER,
    known_end INTEGER,
    weight REAL NOT NULL,
    made_by TEXT,
    sources TEXT,
    metadata TEXT
);

INSERT INTO scopes (key, tenant, user_id, agent_id, run_id)
SELECT DISTINCT json_array(e.tenant, e.user_id, e.agent_id, e.run_id), e.tenant, e.user_id, e.agent_id, e.run_id
FROM edges e WHERE NOT EXISTS (
    SELECT 1 FROM scopes s WHERE s.tenant = e.tenant AND s.user_id IS e.user_id
        AND s.agent_id IS e.agent_id AND s.run_id IS e.run_id
);

INSERT INTO edge_versions
SELECT (SELECT last FROM counter) + row_number() OVER (ORDER BY e.opened, e.id), s.id, 1, e.opened, e.closed,
    e.id, e.source, e.target, e.type, e.valid_start, e.valid_end, e.known_start, e.known_end, e.weight,
    e.made_by, nullif(e.sources, '[]'), nullif(e.metadata, '{}')
FROM edges e JOIN scopes s ON s.tenant = e.tenant AND s.user_id IS e.user_id
    AND s.agent_id IS e.agent_id AND s.run_id IS e.run_id;

UPDATE counter SET last = last + (SELECT count(*) FROM edge_versions);

DROP TABLE edge_reads;
DROP TABLE edges;
ALTER TABLE edge_versions RENAME TO edges;

CREATE UNIQUE INDEX edges_id ON edges (id, version);
CREATE INDEX edges_source ON edges (source);
CREATE INDEX edges_target ON edges (target);
CREATE INDEX edges_scope ON edges (scope);
CREATE INDEX edges_opened ON edges (opened);
CREATE INDEX edges_closed ON edges (closed) WHERE closed IS NOT NULL;

CREATE TABLE edge_reads (
    edge TEXT NOT NULL,
    version INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (edge, version, record)
) WITHOUT ROWID;
CREATE INDEX edge_reads_record ON edge_reads (record);

INSERT OR IGNORE INTO edge_reads (edge, version, record)
SELECT e.id, e.version, j.value FROM edges e, json_each(e.sources) j;
