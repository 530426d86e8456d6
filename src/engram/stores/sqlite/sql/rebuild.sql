-- What the store derives from its records, made anew; `check.sql` looks for the same.

-- name: indexes
REINDEX

-- name: drop_lineage
DELETE FROM lineage

-- name: lineage
INSERT OR IGNORE INTO lineage (derived, version, source)
SELECT h.id, h.version, j.value FROM history h, json_each(h.sources) j

-- name: drop_edge_reads
DELETE FROM edge_reads

-- name: edge_reads
INSERT OR IGNORE INTO edge_reads (edge, version, record)
SELECT e.id, e.version, j.value FROM edges e, json_each(e.sources) j

-- name: drop_state_reads
DELETE FROM state_reads

-- name: state_reads
INSERT OR IGNORE INTO state_reads (record, state) SELECT j.value, s.id FROM states s, json_each(s.reads) j

-- name: drop_job_reads
DELETE FROM job_reads

-- name: job_reads
INSERT OR IGNORE INTO job_reads (record, job) SELECT j.value, b.id FROM jobs b, json_each(b.reads) j

-- name: staged
DELETE FROM staged
WHERE NOT EXISTS (SELECT 1 FROM history h WHERE h.id = staged.id AND h.version = staged.version)

-- name: scopes
DELETE FROM scopes WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.scope = scopes.id)
    AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.scope = scopes.id)
    AND NOT EXISTS (SELECT 1 FROM edges e WHERE e.scope = scopes.id)

-- name: follow
UPDATE versions SET scope = r.scope, arrival = r.arrival, origin = r.origin
FROM records r WHERE r.id = versions.id
    AND (r.scope <> versions.scope OR r.arrival <> versions.arrival OR r.origin IS NOT versions.origin)

-- name: ends
UPDATE versions SET
    closed = coalesce(versions.closed, n.opened),
    known_end = min(coalesce(versions.known_end, n.known_start), coalesce(n.known_start, versions.known_end))
FROM history n WHERE n.id = versions.id AND n.version = versions.version + 1
    AND (versions.closed IS NULL OR versions.known_end IS NULL OR versions.known_end > n.known_start)

-- name: highest
SELECT max(c.last, coalesce((
    SELECT max(max(h.sequence, h.arrival, h.opened, coalesce(h.closed, 0))) FROM history h
), 0), coalesce((SELECT max(max(e.sequence, e.opened, coalesce(e.closed, 0))) FROM edges e), 0)) FROM counter c

-- name: same_places
SELECT v.sequence FROM versions v JOIN records r ON r.sequence = v.sequence

-- name: move_version
UPDATE versions SET sequence = ? WHERE sequence = ?

-- name: same_arrivals
SELECT r.id FROM records r
WHERE EXISTS (SELECT 1 FROM records o WHERE o.arrival = r.arrival AND o.id < r.id)

-- name: move_arrival
UPDATE {table} SET arrival = ? WHERE id = ?

-- name: wrong_keys
SELECT id, tenant, user_id, agent_id, run_id FROM scopes
WHERE NOT json_valid(key) OR (
    key ->> 0 IS NOT tenant OR key ->> 1 IS NOT user_id OR key ->> 2 IS NOT agent_id OR key ->> 3 IS NOT run_id
)

-- name: set_key
UPDATE OR IGNORE scopes SET key = ? WHERE id = ?
