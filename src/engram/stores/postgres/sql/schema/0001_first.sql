-- Format 1: records, versions, edges, states, jobs and index entries of any number of tenants.
-- Readable by format 1.
-- Times are microseconds since 1970; metadata, payloads, journals and values are JSON, kept as text so that
-- they come back letter by letter. Every table of content begins its key with the tenant, so that it can be
-- partitioned or distributed by it; `counter`, `info`, `formats` and `members` belong to the whole store.
-- Digests (`…_key`) are BLAKE2 of ids that may be too long for an index.

-- One row numbers every change. Who commits holds it until the commit is done, so that numbers are seen in
-- their order: whoever has read up to a number misses nothing below it.
CREATE TABLE counter (
    single INTEGER PRIMARY KEY CHECK (single = 1),
    last BIGINT NOT NULL,         -- the last number given out
    erasures BIGINT NOT NULL,
    unpurged INTEGER NOT NULL     -- 1 from an erasure until its bytes are gone from the tables
);

CREATE TABLE info (key TEXT PRIMARY KEY, value TEXT NOT NULL);

-- Who may see what: a login role and a tenant, or '' for every tenant (no tenant has an empty name).
CREATE TABLE members (role TEXT NOT NULL, tenant TEXT NOT NULL, PRIMARY KEY (role, tenant));

-- Latest versions.
CREATE TABLE records (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    user_id TEXT,
    agent_id TEXT,
    run_id TEXT,
    user_key BYTEA,               -- digest of user_id
    run_key BYTEA,                -- digest of run_id
    origin_key BYTEA,             -- digest of the scope and the origin
    sequence BIGINT NOT NULL,     -- the number of its last change
    arrival BIGINT NOT NULL,
    version INTEGER NOT NULL,
    opened BIGINT NOT NULL,
    closed BIGINT,
    kind TEXT NOT NULL,
    level INTEGER,
    origin TEXT,
    role TEXT,
    name TEXT,
    time BIGINT NOT NULL,
    valid_start BIGINT,
    valid_end BIGINT,
    known_start BIGINT,
    known_end BIGINT,
    expires BIGINT,
    strength DOUBLE PRECISION NOT NULL,
    trust DOUBLE PRECISION NOT NULL,
    made_by TEXT,
    sources TEXT[] NOT NULL,
    words BYTEA NOT NULL,
    vector BYTEA,
    metadata TEXT,
    payload TEXT,
    text TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX records_id ON records (id);
CREATE INDEX records_sequence ON records (tenant, sequence);
CREATE INDEX records_user ON records (tenant, user_key, sequence);
CREATE INDEX records_run ON records (tenant, run_key, sequence) WHERE run_key IS NOT NULL;
CREATE INDEX records_user_arrival ON records (tenant, user_key, arrival);
CREATE INDEX records_arrival ON records (arrival);
CREATE UNIQUE INDEX records_origin ON records (tenant, origin_key) WHERE origin_key IS NOT NULL;
CREATE INDEX records_made_by ON records (tenant, made_by) WHERE made_by IS NOT NULL;
CREATE INDEX records_expires ON records (expires) WHERE expires IS NOT NULL;

-- Versions that a later one has replaced.
CREATE TABLE versions (LIKE records INCLUDING DEFAULTS, PRIMARY KEY (tenant, id, version));
CREATE INDEX versions_id ON versions (id, version);
CREATE INDEX versions_sequence ON versions (tenant, sequence);
CREATE INDEX versions_user ON versions (tenant, user_key, sequence);

-- Which version of what stands on which record: a record's sources, and what edges, states and jobs have read.
CREATE TABLE lineage (
    tenant TEXT COLLATE "C" NOT NULL,
    what TEXT NOT NULL,           -- record, edge, state or job
    id TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,     -- 0 where it has none
    source TEXT NOT NULL,
    PRIMARY KEY (tenant, what, id, version, source)
);
CREATE INDEX lineage_source ON lineage (source);

-- Every version of every edge.
CREATE TABLE edges (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    user_id TEXT,
    agent_id TEXT,
    run_id TEXT,
    sequence BIGINT NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    type TEXT NOT NULL,
    valid_start BIGINT,
    valid_end BIGINT,
    known_start BIGINT,
    known_end BIGINT,
    weight DOUBLE PRECISION NOT NULL,
    made_by TEXT,
    opened BIGINT NOT NULL,
    closed BIGINT,
    sources TEXT[] NOT NULL,
    metadata TEXT NOT NULL,
    PRIMARY KEY (tenant, id, version)
);
CREATE INDEX edges_id ON edges (id);
CREATE INDEX edges_source ON edges (source, sequence);
CREATE INDEX edges_target ON edges (target, sequence);
CREATE INDEX edges_sequence ON edges (tenant, sequence);

CREATE TABLE states (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,             -- digest of policy, scope and name
    policy TEXT NOT NULL,
    user_id TEXT,
    agent_id TEXT,
    run_id TEXT,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    reads TEXT[] NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE jobs (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    kind TEXT NOT NULL,
    user_id TEXT,
    agent_id TEXT,
    run_id TEXT,
    created BIGINT NOT NULL,
    policy TEXT,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    owner TEXT,
    until BIGINT,
    not_before BIGINT,
    error TEXT,
    records TEXT[] NOT NULL,
    reads TEXT[] NOT NULL,
    journal TEXT NOT NULL,
    priority INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX jobs_id ON jobs (id);
CREATE INDEX jobs_created ON jobs (created, id);

-- Index entries that are made ahead, with another embedder or analyser, until all are there.
CREATE TABLE staged (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    words BYTEA NOT NULL,
    vector BYTEA NOT NULL,
    PRIMARY KEY (tenant, id, version)
);

-- Statistics would keep copies of what is stored, where no erasure reaches them.
DO $$
DECLARE item RECORD;
BEGIN
    FOR item IN
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema()
            AND table_name IN ('records', 'versions', 'lineage', 'edges', 'states', 'jobs', 'staged')
            AND data_type IN ('text', 'bytea', 'ARRAY')
            AND column_name NOT IN ('kind', 'status', 'what', 'role', 'policy')
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET STATISTICS 0', item.table_name, item.column_name);
    END LOOP;
END $$;

CREATE VIEW history WITH (security_invoker = true) AS
    SELECT * FROM records UNION ALL SELECT * FROM versions;

-- Numbers only grow, whoever changes them.
CREATE FUNCTION counter_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.last < OLD.last OR NEW.erasures < OLD.erasures THEN
        RAISE EXCEPTION 'the counter of an engram store only grows' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER counter_grows BEFORE UPDATE ON counter FOR EACH ROW EXECUTE FUNCTION counter_grows();

-- What the present transaction may see: the settings ask, `members` decides by who logged in.
CREATE FUNCTION seen_tenant() RETURNS TEXT LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT current_setting('engram.tenant', true)
    WHERE EXISTS (
        SELECT FROM members
        WHERE role = session_user AND tenant IN ('', current_setting('engram.tenant', true))
    )
$$;
CREATE FUNCTION sees_all() RETURNS BOOLEAN LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT coalesce(current_setting('engram.everyone', true), '') = 'on'
        AND EXISTS (SELECT FROM members WHERE role = session_user AND tenant = '')
$$;
DO $$
DECLARE name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['records', 'versions', 'lineage', 'edges', 'states', 'jobs', 'staged'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY own_tenant ON %I USING ((SELECT sees_all()) OR tenant = (SELECT seen_tenant())) '
            'WITH CHECK ((SELECT sees_all()) OR tenant = (SELECT seen_tenant()))', name);
    END LOOP;
END $$;
INSERT INTO members VALUES (session_user, '');

-- Let a login role use the store, for one tenant or (NULL) for all.
CREATE FUNCTION admit(login TEXT, only_tenant TEXT DEFAULT NULL) RETURNS VOID LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), login);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON records, versions, lineage, edges, states, jobs, '
        'staged, info TO %I', login);
    EXECUTE format('GRANT SELECT, UPDATE ON counter TO %I', login);
    EXECUTE format('GRANT SELECT ON history, formats TO %I', login);
    INSERT INTO members VALUES (login, coalesce(only_tenant, '')) ON CONFLICT DO NOTHING;
END $$;
-- And no longer.
CREATE FUNCTION dismiss(login TEXT) RETURNS VOID LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM members WHERE role = login;
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', current_schema(), login);
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', current_schema(), login);
END $$;
REVOKE ALL ON FUNCTION admit(TEXT, TEXT), dismiss(TEXT) FROM PUBLIC;
