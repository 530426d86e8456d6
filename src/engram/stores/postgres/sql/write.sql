-- Statements of a commit. A line "-- name: x" starts statement x.

-- name: lock
SELECT last, erasures FROM counter FOR UPDATE

-- name: counter
UPDATE counter SET last = %s, erasures = %s, unpurged = greatest(unpurged, %s)

-- name: heads
SELECT id, tenant, user_id, agent_id, run_id, version, closed, known_end, arrival, origin
FROM records WHERE id = ANY(%s)

-- name: owners
SELECT origin_key, id, tenant, user_id, agent_id, run_id, version, closed, known_end, arrival, origin
FROM records WHERE tenant = ANY(%s) AND origin_key = ANY(%s)

-- name: arrivals_taken
SELECT arrival FROM records WHERE arrival = ANY(%s)

-- name: contents
SELECT {columns} FROM unnest(%(tenants)s::text[], %(ids)s::text[], %(versions)s::integer[]) AS k (t, i, v)
JOIN records r ON r.tenant = k.t AND r.id = k.i AND r.version = k.v
UNION ALL
SELECT {columns} FROM unnest(%(tenants)s::text[], %(ids)s::text[], %(versions)s::integer[]) AS k (t, i, v)
JOIN versions r ON r.tenant = k.t AND r.id = k.i AND r.version = k.v

-- name: facts
SELECT key, value FROM info WHERE key = ANY(%s)

-- name: edges
SELECT id, version, tenant, closed IS NULL AND known_end IS NULL FROM edges WHERE id = ANY(%s)

-- name: states
SELECT id, tenant, version FROM states WHERE id = ANY(%s)

-- name: jobs
SELECT id, tenant, kind, status, owner, until, user_id, agent_id FROM jobs WHERE id = ANY(%s)

-- name: put_record
INSERT INTO records ({columns}) VALUES ({places})

-- name: archive
INSERT INTO versions ({all})
SELECT tenant, id, user_id, agent_id, run_id, user_key, run_key, origin_key, %s, arrival, version, opened,
    coalesce(closed, %s), kind, level, origin, role, name, time, valid_start, valid_end, known_start,
    coalesce(known_end, %s), expires, strength, trust, made_by, sources, words, vector, metadata, payload, text
FROM records WHERE tenant = %s AND id = %s

-- name: drop_row
DELETE FROM records WHERE tenant = %s AND id = %s

-- name: close
UPDATE records SET sequence = %s, closed = %s, known_end = %s WHERE tenant = %s AND id = %s

-- name: mark
UPDATE records SET sequence = %s, strength = coalesce(%s, strength), trust = coalesce(%s, trust),
    words = coalesce(%s, words), vector = coalesce(%s, vector)
WHERE tenant = %s AND id = %s

-- name: put_lineage
INSERT INTO lineage (tenant, what, id, version, source)
SELECT %s, %s, %s, %s, source FROM unnest(%s::text[]) AS source ON CONFLICT DO NOTHING

-- name: drop_lineage
DELETE FROM lineage WHERE tenant = %s AND what = %s AND id = %s AND version = %s

-- name: drop_edge
DELETE FROM edges WHERE tenant = %s AND id = %s AND version = %s

-- name: put_edge
INSERT INTO edges (tenant, id, version, user_id, agent_id, run_id, sequence, source, target, type, valid_start,
    valid_end, known_start, known_end, weight, made_by, opened, closed, sources, metadata)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)

-- name: close_edge
UPDATE edges SET sequence = %s, known_end = %s, closed = %s WHERE tenant = %s AND id = %s AND version = %s

-- name: put_state
INSERT INTO states (tenant, id, policy, user_id, agent_id, run_id, name, version, reads, value)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (tenant, id) DO UPDATE SET
    version = excluded.version, reads = excluded.reads, value = excluded.value

-- name: put_job
INSERT INTO jobs (tenant, id, kind, user_id, agent_id, run_id, created, policy, status, attempts, owner, until,
    not_before, error, records, reads, journal, priority)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)

-- name: drop_job
DELETE FROM jobs WHERE tenant = %s AND id = %s

-- name: rival
SELECT id FROM jobs
WHERE tenant = %s AND user_id IS NOT DISTINCT FROM %s::text AND agent_id IS NOT DISTINCT FROM %s::text
    AND kind IN ('write', 'rebuild') AND owner <> %s AND until > %s
LIMIT 1

-- name: lease
UPDATE jobs SET owner = %s, until = %s WHERE tenant = %s AND id = %s

-- name: notify
SELECT pg_notify(%s, '')
