-- Statements that make a tenant's indexes, as the owner. {types} stands for the schema of the extension vector.

-- name: due
SELECT r.tenant, count(*) FROM records r WHERE r.closed IS NULL AND r.known_end IS NULL
    AND (%(tenant)s::text IS NULL OR r.tenant = %(tenant)s)
GROUP BY 1 HAVING count(*) > %(least)s ORDER BY 1

-- name: owner
SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('ann')

-- name: room
SELECT pg_size_bytes(current_setting('effective_cache_size')) / 2

-- name: dimensions
SELECT length(vector) - 4 FROM (
    SELECT vector FROM records WHERE tenant = %(tenant)s AND length(vector) > 4 ORDER BY sequence DESC LIMIT 100
) v GROUP BY 1 ORDER BY count(*) DESC LIMIT 1

-- name: column
ALTER TABLE ann ADD COLUMN IF NOT EXISTS vector {types}.halfvec

-- name: uncounted
ALTER TABLE ann ALTER COLUMN vector SET STATISTICS 0

-- name: put
CREATE OR REPLACE FUNCTION ann_put(r records, dimensions INTEGER) RETURNS VOID
LANGUAGE sql SET search_path FROM CURRENT AS $$
    INSERT INTO ann (tenant, id, user_key, agent_id, run_key, stream, kind, made_by, time, arrival, ends, terms, vector)
    SELECT r.tenant, r.id, r.user_key, r.agent_id, r.run_key,
        CASE WHEN r.kind = 'episode' THEN ann_stream(r.user_id, r.agent_id, r.run_id) END, r.kind, r.made_by,
        r.time, r.arrival, coalesce(least(r.valid_end, r.expires), 9223372036854775807), ann_terms(r.words),
        ann_codes(r.vector, dimensions)::{types}.halfvec
    ON CONFLICT (tenant, id) DO UPDATE SET ends = excluded.ends, arrival = excluded.arrival, terms = excluded.terms,
        vector = excluded.vector
$$

-- name: follow
CREATE OR REPLACE FUNCTION ann_follow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE size INTEGER;
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM ann WHERE tenant = OLD.tenant AND id = OLD.id;
        RETURN NULL;
    END IF;
    SELECT dimensions INTO size FROM ann_tenants WHERE tenant = NEW.tenant;
    IF size IS NULL THEN
        RETURN NULL;
    ELSIF length(NEW.vector) > 0 AND length(NEW.vector) <> size + 4 THEN  -- of another embedder: all is void
        UPDATE ann_tenants SET filled = false WHERE tenant = NEW.tenant AND filled;
    END IF;
    IF NEW.closed IS NULL AND NEW.known_end IS NULL AND length(NEW.words) > 0 THEN
        PERFORM ann_put(NEW, size);
    ELSE
        DELETE FROM ann WHERE tenant = NEW.tenant AND id = NEW.id;
    END IF;
    RETURN NULL;
END $$

-- name: triggers
CREATE OR REPLACE TRIGGER ann_come AFTER INSERT OR DELETE ON records
-- The condition is true; for its sake the trigger goes together with the extension.
FOR EACH ROW WHEN (NULL::{types}.halfvec IS NULL) EXECUTE FUNCTION ann_follow()

-- name: changes
CREATE OR REPLACE TRIGGER ann_change AFTER UPDATE ON records
FOR EACH ROW WHEN (NULL::{types}.halfvec IS NULL AND
    (OLD.words, OLD.vector, OLD.closed, OLD.known_end, OLD.valid_end, OLD.expires, OLD.arrival)
    IS DISTINCT FROM (NEW.words, NEW.vector, NEW.closed, NEW.known_end, NEW.valid_end, NEW.expires, NEW.arrival)
) EXECUTE FUNCTION ann_follow()

-- name: nearest
-- Of few entries every one is looked at, and the index over vectors is left aside.
CREATE OR REPLACE FUNCTION ann_nearest(asked JSONB, near TEXT, dimensions INTEGER, k INTEGER, few BOOLEAN)
RETURNS TABLE (id TEXT, cosine DOUBLE PRECISION) LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path FROM CURRENT SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
    IF ann_may(asked) THEN
        RETURN QUERY EXECUTE format(
            CASE WHEN few THEN 'WITH n AS MATERIALIZED (SELECT n.id, n.vector FROM ann n WHERE %2$s) ' ELSE '' END
            || 'SELECT f.id, 1 - f.far FROM (SELECT n.id, n.vector::{types}.halfvec(%1$s) '
            'OPERATOR({types}.<=>) $1::{types}.halfvec(%1$s) AS far FROM '
            || CASE WHEN few THEN 'n WHERE' ELSE 'ann n WHERE %2$s AND' END
            || ' n.vector IS NOT NULL ORDER BY far LIMIT $2) f', dimensions, ann_where(asked)
        ) USING near, k;
    END IF;
END $$

-- name: settle
SELECT last FROM counter FOR UPDATE

-- name: forget
DELETE FROM ann WHERE tenant = %(tenant)s AND NOT EXISTS (
    SELECT FROM ann_tenants WHERE tenant = %(tenant)s AND dimensions = %(dimensions)s
)

-- name: register
INSERT INTO ann_tenants (tenant, dimensions) VALUES (%(tenant)s, %(dimensions)s)
ON CONFLICT (tenant) DO UPDATE SET dimensions = excluded.dimensions,
    filled = ann_tenants.filled AND ann_tenants.dimensions = excluded.dimensions

-- name: registered
SELECT filled FROM ann_tenants WHERE tenant = %(tenant)s AND dimensions = %(dimensions)s FOR KEY SHARE

-- name: fill
WITH page AS MATERIALIZED (
    SELECT * FROM records WHERE tenant = %(tenant)s AND id > %(after)s AND closed IS NULL
        AND known_end IS NULL AND length(words) > 0 ORDER BY id LIMIT %(limit)s FOR KEY SHARE
), put AS (
    INSERT INTO ann (tenant, id, user_key, agent_id, run_key, stream, kind, made_by, time, arrival, ends, terms, vector)
    SELECT tenant, id, user_key, agent_id, run_key,
        CASE WHEN kind = 'episode' THEN ann_stream(user_id, agent_id, run_id) END, kind, made_by, time, arrival,
        coalesce(least(valid_end, expires), 9223372036854775807), ann_terms(words),
        ann_codes(vector, %(dimensions)s)::{types}.halfvec
    FROM page ON CONFLICT (tenant, id) DO NOTHING
)
SELECT max(id), count(*) FROM page

-- name: filled
UPDATE ann_tenants SET filled = true WHERE tenant = %(tenant)s AND dimensions = %(dimensions)s

-- name: hold
SELECT pg_try_advisory_lock(hashtextextended('engram-ann:' || current_schema(), 0))

-- name: let_go
SELECT pg_advisory_unlock(hashtextextended('engram-ann:' || current_schema(), 0))

-- name: broken
SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = 'ann'::regclass AND NOT i.indisvalid

-- name: whole
SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = 'ann'::regclass AND i.indisvalid

-- name: filled_tenants
SELECT tenant FROM ann_tenants WHERE filled

-- name: drop_index
DROP INDEX CONCURRENTLY IF EXISTS {name}

-- name: index_terms
CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON ann USING gin (terms) WHERE tenant = {tenant}

-- name: index_vectors
CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON ann
USING hnsw ((vector::{types}.halfvec({dimensions})) {types}.halfvec_cosine_ops) WITH (ef_construction = {effort}) WHERE tenant = {tenant}

-- name: index_lists
CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON ann
USING ivfflat ((vector::{types}.halfvec({dimensions})) {types}.halfvec_cosine_ops) WITH (lists = {lists})
WHERE tenant = {tenant}

-- name: memory
SELECT set_config('maintenance_work_mem', %(memory)s, false), set_config('lock_timeout', '0', false)

-- name: rows
SELECT count(*) FROM ann WHERE tenant = %(tenant)s

-- name: analyze
ANALYZE ann
