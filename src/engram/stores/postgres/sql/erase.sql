-- Statements of an erasure; each takes a list of record ids.

-- name: edges
WITH touched AS (
    SELECT tenant, id, version FROM edges WHERE source = ANY(%(ids)s)
    UNION SELECT tenant, id, version FROM edges WHERE target = ANY(%(ids)s)
    UNION SELECT tenant, id, version FROM lineage WHERE what = 'edge' AND source = ANY(%(ids)s)
), reads AS (
    DELETE FROM lineage l USING touched t
    WHERE l.tenant = t.tenant AND l.what = 'edge' AND l.id = t.id AND l.version = t.version
), gone AS (
    DELETE FROM edges e USING touched t
    WHERE e.tenant = t.tenant AND e.id = t.id AND e.version = t.version RETURNING e.id, e.version
) SELECT id, version FROM gone

-- name: jobs
WITH touched AS (SELECT DISTINCT tenant, id FROM lineage WHERE what = 'job' AND source = ANY(%(ids)s)),
reads AS (
    DELETE FROM lineage l USING touched t WHERE l.tenant = t.tenant AND l.what = 'job' AND l.id = t.id
), gone AS (
    DELETE FROM jobs j USING touched t WHERE j.tenant = t.tenant AND j.id = t.id RETURNING j.id
) SELECT id FROM gone

-- name: states
WITH touched AS (SELECT DISTINCT tenant, id FROM lineage WHERE what = 'state' AND source = ANY(%(ids)s)),
reads AS (
    DELETE FROM lineage l USING touched t WHERE l.tenant = t.tenant AND l.what = 'state' AND l.id = t.id
), gone AS (
    DELETE FROM states s USING touched t WHERE s.tenant = t.tenant AND s.id = t.id RETURNING s.id
) SELECT id FROM gone

-- name: records
WITH touched AS (SELECT tenant, id FROM records WHERE id = ANY(%(ids)s)),
reads AS (
    DELETE FROM lineage l USING touched t WHERE l.tenant = t.tenant AND l.what = 'record' AND l.id = t.id
), old AS (
    DELETE FROM versions v USING touched t WHERE v.tenant = t.tenant AND v.id = t.id
), ahead AS (
    DELETE FROM staged s USING touched t WHERE s.tenant = t.tenant AND s.id = t.id
), gone AS (
    DELETE FROM records r USING touched t WHERE r.tenant = t.tenant AND r.id = t.id RETURNING r.id
) SELECT id FROM gone

-- name: purge_state
SELECT erasures, unpurged FROM counter

-- name: purged
UPDATE counter SET unpurged = 0 WHERE erasures = %s

-- name: owned
SELECT count(*) = 0 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind = 'r' AND NOT pg_has_role(c.relowner, 'USAGE')

-- name: mark
SELECT pg_current_xact_id()::xid::text

-- name: looked_back
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
        AND greatest(age(backend_xmin), age(backend_xid)) > age(%s::text::xid)
)

-- name: beyond
SELECT coalesce(bool_and(age(c.relfrozenxid) <= age(%s::text::xid)), false) FROM pg_class c
WHERE c.oid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)

-- name: rewrite
VACUUM (FULL, ANALYZE) {table}
