-- Format 3: indexes of their own for tenants with many records, from which searches take their candidates.
-- Readable by format 1.

-- The tenants that have them.
CREATE TABLE ann_tenants (
    tenant TEXT COLLATE "C" PRIMARY KEY,
    dimensions INTEGER NOT NULL,          -- of the vectors that are indexed
    filled BOOLEAN NOT NULL DEFAULT false -- whether all of the tenant's records are in `ann`
);

-- Their open records with words, as searches choose among them. With pgvector there is a column more, `vector`.
CREATE TABLE ann (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    user_key BYTEA,
    agent_id TEXT,
    run_key BYTEA,
    stream BIGINT,                -- of an episode: stands for its user, agent and run
    kind TEXT NOT NULL,
    made_by TEXT,
    time BIGINT NOT NULL,
    arrival BIGINT NOT NULL,
    ends BIGINT NOT NULL,         -- when it is true no more or expires, whichever is first
    terms INTEGER[] NOT NULL,     -- the hashes of its words and of pairs of them
    PRIMARY KEY (tenant, id)
);
CREATE INDEX ann_stream ON ann (tenant, stream, time, arrival) WHERE stream IS NOT NULL;
CREATE INDEX ann_time ON ann (tenant, time, arrival);
CREATE INDEX ann_user ON ann (tenant, user_key);
CREATE INDEX ann_kind ON ann (tenant, kind) WHERE kind <> 'episode';
DO $$
DECLARE name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['id', 'user_key', 'agent_id', 'run_key', 'made_by', 'terms'] LOOP
        EXECUTE format('ALTER TABLE ann ALTER COLUMN %I SET STATISTICS 0', name);
    END LOOP;
END $$;

-- The functions below, which are the owner's, ask for the tenant themselves: under a policy PostgreSQL uses no
-- index over arrays. Everybody else is held by the policy as ever.
ALTER TABLE ann ENABLE ROW LEVEL SECURITY;
ALTER TABLE ann_tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON ann
    USING ((SELECT sees_all()) OR tenant = (SELECT seen_tenant()))
    WITH CHECK ((SELECT sees_all()) OR tenant = (SELECT seen_tenant()));
CREATE POLICY own_tenant ON ann_tenants
    USING ((SELECT sees_all()) OR tenant = (SELECT seen_tenant()))
    WITH CHECK ((SELECT sees_all()) OR tenant = (SELECT seen_tenant()));

-- What is in the bytes of an index entry; nothing where they are of another form.
CREATE FUNCTION ann_terms(words BYTEA) RETURNS INTEGER[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ARRAY(
        SELECT get_byte(words, p) | (get_byte(words, p + 1) << 8) | (get_byte(words, p + 2) << 16)
            | (get_byte(words, p + 3) << 24)
        FROM generate_series(8, length(words) - 5, 5) p
    )
$$;
CREATE FUNCTION ann_codes(vector BYTEA, dimensions INTEGER) RETURNS INTEGER[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN length(vector) = dimensions + 4 THEN ARRAY(
        SELECT ((get_byte(vector, p) + 128) & 255) - 128 FROM generate_series(4, dimensions + 3) p
    ) END
$$;
CREATE FUNCTION ann_stream(user_id TEXT, agent_id TEXT, run_id TEXT) RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtextextended(jsonb_build_array(user_id, agent_id, run_id)::text, 0)
$$;

-- Conditions on `ann n`, as SQL: which of a tenant's entries are asked for. Digests are written as text.
CREATE FUNCTION ann_where(asked JSONB) RETURNS TEXT LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT AS $$
    SELECT format('n.tenant = %L AND n.ends > %s', asked->>'tenant', (asked->>'now')::bigint)
        || CASE WHEN asked ? 'user' THEN format(' AND n.user_key = %L::bytea', asked->>'user') ELSE '' END
        || CASE WHEN asked ? 'agent' THEN format(' AND n.agent_id = %L', asked->>'agent') ELSE '' END
        || CASE WHEN asked ? 'run' THEN format(' AND n.run_key = %L::bytea', asked->>'run') ELSE '' END
        || CASE WHEN asked ? 'exactly' THEN format(
            ' AND n.user_key IS NOT DISTINCT FROM %L::bytea AND n.agent_id IS NOT DISTINCT FROM %L'
            ' AND n.run_key IS NOT DISTINCT FROM %L::bytea',
            asked->'exactly'->>0, asked->'exactly'->>1, asked->'exactly'->>2) ELSE '' END
        || CASE WHEN asked ? 'stream'
            THEN format(' AND n.stream = %s', hashtextextended((asked->'stream')::text, 0)) ELSE '' END
        || CASE WHEN asked ? 'anybody' THEN '' ELSE
            format(' AND (n.made_by IS NULL OR n.made_by = %L)', asked->>'made_by') END
        || CASE WHEN asked ? 'kinds' THEN format(' AND n.kind = ANY (%L::text[])',
            ARRAY(SELECT jsonb_array_elements_text(asked->'kinds'))) ELSE '' END
        || CASE WHEN asked ? 'aside' THEN format(CASE WHEN (asked->>'standing')::boolean
            THEN ' AND n.made_by IS NOT NULL AND n.kind = ANY (%L::text[])'
            ELSE ' AND (n.made_by IS NULL OR n.kind <> ALL (%L::text[]))' END,
            ARRAY(SELECT jsonb_array_elements_text(asked->'aside'))) ELSE '' END
$$;
CREATE FUNCTION ann_may(asked JSONB) RETURNS BOOLEAN LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT coalesce(sees_all() OR asked->>'tenant' = seen_tenant(), false)
$$;

-- How many there are.
CREATE FUNCTION ann_count(asked JSONB) RETURNS BIGINT
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE found BIGINT;
BEGIN
    IF ann_may(asked) THEN
        EXECUTE 'SELECT count(*) FROM ann n WHERE ' || ann_where(asked) INTO found;
    END IF;
    RETURN found;
END $$;

-- Some of them, drawn evenly; `share` is the share of the table's pages that is looked at, in per cent.
CREATE FUNCTION ann_sample(asked JSONB, share REAL, k INTEGER) RETURNS TABLE (id TEXT)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF ann_may(asked) THEN
        RETURN QUERY EXECUTE 'SELECT n.id FROM ann n TABLESAMPLE SYSTEM ($1) REPEATABLE (1) WHERE '
            || ann_where(asked) || ' ORDER BY hashtextextended(n.id, 1), n.id LIMIT $2' USING share, k;
    END IF;
END $$;

-- Terms that stand in `lowest` entries of such a sample or more; in front, as NULL, how many entries it has.
CREATE FUNCTION ann_common(asked JSONB, share REAL, lowest BIGINT) RETURNS TABLE (hash INTEGER, often BIGINT)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF ann_may(asked) THEN
        RETURN QUERY EXECUTE 'WITH s AS MATERIALIZED (SELECT n.terms FROM ann n TABLESAMPLE SYSTEM ($1) '
            'REPEATABLE (1) WHERE ' || ann_where(asked) || ') SELECT NULL::integer, count(*) FROM s '
            'UNION ALL SELECT t.hash, count(*) FROM s, unnest(s.terms) AS t (hash) GROUP BY t.hash '
            'HAVING count(*) >= $2' USING share, lowest;
    END IF;
END $$;

-- In how many entries each term stands, counted up to `most`.
CREATE FUNCTION ann_often(asked JSONB, hashes INTEGER[], most INTEGER) RETURNS TABLE (hash INTEGER, often BIGINT)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off AS $$
BEGIN
    IF ann_may(asked) THEN
        RETURN QUERY EXECUTE 'SELECT t.hash, (SELECT count(*) FROM (SELECT FROM ann n WHERE '
            || ann_where(asked) || ' AND n.terms @> ARRAY[t.hash] LIMIT $2) c) FROM unnest($1) AS t (hash)'
            USING hashes, most;
    END IF;
END $$;

-- The `k` entries whose terms weigh the most; of each term `most` entries are looked at.
CREATE FUNCTION ann_matching(asked JSONB, hashes INTEGER[], weights REAL[], most INTEGER, k INTEGER)
RETURNS TABLE (id TEXT) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off AS $$
BEGIN
    IF ann_may(asked) THEN
        RETURN QUERY EXECUTE 'SELECT m.id FROM unnest($1, $2) AS t (hash, weight) CROSS JOIN LATERAL ('
            'SELECT n.id FROM ann n WHERE ' || ann_where(asked) || ' AND n.terms @> ARRAY[t.hash] LIMIT $3'
            ') m GROUP BY m.id ORDER BY sum(t.weight) DESC, m.id LIMIT $4'
            USING hashes, weights, most, k;
    END IF;
END $$;

-- Those that were told between two times, of a strength at least; in order, the last ones where `last` is given.
CREATE FUNCTION ann_told(asked JSONB, since BIGINT, until BIGINT, last BIGINT, strength DOUBLE PRECISION)
RETURNS TABLE (moment BIGINT, arrival BIGINT, id TEXT)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF ann_may(asked) THEN
        RETURN QUERY EXECUTE 'SELECT * FROM (SELECT n.time, n.arrival, n.id FROM ann n'
            || CASE WHEN strength > 0 THEN ' JOIN records r ON r.tenant = n.tenant AND r.id = n.id'
                ' AND r.strength >= $4' ELSE '' END
            || ' WHERE ' || ann_where(asked)
            || CASE WHEN since IS NULL THEN '' ELSE ' AND n.time >= $1' END
            || CASE WHEN until IS NULL THEN '' ELSE ' AND n.time < $2' END
            || CASE WHEN last IS NULL THEN '' ELSE ' ORDER BY n.time DESC, n.arrival DESC LIMIT $3' END
            || ') f ORDER BY 1, 2' USING since, until, last, strength;
    END IF;
END $$;

-- Entries of another embedder are coming: what is indexed is void.
CREATE FUNCTION ann_void() RETURNS VOID LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF sees_all() THEN
        DELETE FROM ann_tenants;
        DELETE FROM ann;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION admit(login TEXT, only_tenant TEXT DEFAULT NULL) RETURNS VOID LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM admit_to_content(login, only_tenant);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON clients TO %I', login);
    EXECUTE format('GRANT SELECT ON ann, ann_tenants TO %I', login);
END $$;
DO $$
DECLARE login TEXT;
BEGIN
    FOR login IN SELECT DISTINCT role FROM members JOIN pg_roles ON rolname = role LOOP
        EXECUTE format('GRANT SELECT ON ann, ann_tenants TO %I', login);
    END LOOP;
END $$;
