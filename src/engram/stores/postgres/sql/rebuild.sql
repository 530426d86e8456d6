-- What the store derives from its records, made anew; `check.sql` looks for the same.

-- name: drop_lineage
DELETE FROM lineage

-- name: lineage
INSERT INTO lineage (tenant, what, id, version, source)
SELECT h.tenant, 'record', h.id, h.version, s FROM history h, unnest(h.sources) s
UNION SELECT e.tenant, 'edge', e.id, e.version, s FROM edges e, unnest(e.sources) s
UNION SELECT t.tenant, 'state', t.id, 0, s FROM states t, unnest(t.reads) s
UNION SELECT j.tenant, 'job', j.id, 0, s FROM jobs j, unnest(j.reads) s

-- name: staged
DELETE FROM staged t WHERE NOT EXISTS (
    SELECT 1 FROM history h WHERE h.tenant = t.tenant AND h.id = t.id AND h.version = t.version
)

-- name: follow
UPDATE versions v SET user_id = r.user_id, agent_id = r.agent_id, run_id = r.run_id, user_key = r.user_key,
    run_key = r.run_key, origin_key = r.origin_key, arrival = r.arrival, origin = r.origin
FROM records r WHERE r.tenant = v.tenant AND r.id = v.id
    AND (r.user_id, r.agent_id, r.run_id, r.origin, r.arrival)
        IS DISTINCT FROM (v.user_id, v.agent_id, v.run_id, v.origin, v.arrival)

-- name: ends
UPDATE versions v SET closed = coalesce(v.closed, n.opened), known_end = least(v.known_end, n.known_start)
FROM history n WHERE n.tenant = v.tenant AND n.id = v.id AND n.version = v.version + 1
    AND (v.closed IS NULL OR v.known_end IS NULL OR v.known_end > n.known_start)

-- name: highest
SELECT greatest(
    (SELECT last FROM counter),
    (SELECT max(greatest(h.sequence, h.arrival, h.opened, h.closed)) FROM history h),
    (SELECT max(greatest(e.sequence, e.opened, e.closed)) FROM edges e)
)

-- name: same_places
SELECT v.tenant, v.id, v.version FROM versions v JOIN records r ON r.tenant = v.tenant AND r.sequence = v.sequence

-- name: move_version
UPDATE versions SET sequence = %s WHERE tenant = %s AND id = %s AND version = %s

-- name: same_arrivals
SELECT r.tenant, r.id FROM records r
WHERE EXISTS (SELECT 1 FROM records o WHERE o.arrival = r.arrival AND o.id < r.id)

-- name: move_arrival
UPDATE {table} SET arrival = %s WHERE tenant = %s AND id = %s
