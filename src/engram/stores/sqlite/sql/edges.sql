-- Statements on edges. {where} stands for conditions, {order} for columns, {side} for an end.

-- name: put
INSERT INTO edges VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: versions
SELECT id, version FROM edges WHERE id IN (SELECT value FROM json_each(?))

-- name: drop
DELETE FROM edges WHERE id = ? AND version = ?

-- name: put_read
INSERT OR IGNORE INTO edge_reads (edge, version, record) VALUES (?, ?, ?)

-- name: drop_reads
DELETE FROM edge_reads WHERE edge = ? AND version = ?

-- name: open_version
SELECT sequence, version FROM edges WHERE id = ? AND closed IS NULL ORDER BY version DESC LIMIT 1

-- name: close
UPDATE edges SET sequence = ?, known_end = ?, closed = ? WHERE sequence = ?

-- name: touched
SELECT id, version FROM edges WHERE source IN (SELECT value FROM json_each(?1))
UNION SELECT id, version FROM edges WHERE target IN (SELECT value FROM json_each(?1))
UNION SELECT edge, version FROM edge_reads WHERE record IN (SELECT value FROM json_each(?1))

-- name: last
SELECT last FROM counter

-- name: edges
SELECT e.*, s.tenant, s.user_id, s.agent_id, s.run_id
FROM edges e CROSS JOIN scopes s ON s.id = e.scope
WHERE {where} ORDER BY {order} LIMIT :limit

-- name: of_one
SELECT e.*, s.tenant, s.user_id, s.agent_id, s.run_id
FROM edges e CROSS JOIN scopes s ON s.id = e.scope
WHERE e.{side} = :id AND {where} ORDER BY e.sequence DESC LIMIT :limit

-- name: span
SELECT e.*, s.tenant, s.user_id, s.agent_id, s.run_id
FROM edges e CROSS JOIN scopes s ON s.id = e.scope
WHERE e.sequence <= :upto AND {where} ORDER BY e.sequence LIMIT :limit

-- name: of_scope
SELECT e.*, s.tenant, s.user_id, s.agent_id, s.run_id
FROM (
    SELECT e.sequence AS place FROM scopes s CROSS JOIN edges e ON e.scope = s.id
    WHERE {where} ORDER BY e.sequence LIMIT :limit
) CROSS JOIN edges e ON e.sequence = place CROSS JOIN scopes s ON s.id = e.scope
ORDER BY e.sequence

-- name: where_both
(e.source IN (SELECT value FROM json_each(:touching)) OR e.target IN (SELECT value FROM json_each(:touching)))

-- name: where_out
e.source IN (SELECT value FROM json_each(:touching))

-- name: where_in
e.target IN (SELECT value FROM json_each(:touching))

-- name: where_types
e.type IN (SELECT value FROM json_each(:types))

-- name: where_makers
(e.made_by IN (SELECT value FROM json_each(:makers)) OR (:said AND e.made_by IS NULL))

-- name: where_standing
(e.id, e.version) IN (
    SELECT d.edge, d.version FROM edge_reads d WHERE d.record IN (SELECT value FROM json_each(:standing_on))
)

-- name: where_ids
e.id IN (SELECT value FROM json_each(:ids))

-- name: where_change_set
(e.opened = :change_set OR e.closed = :change_set)

-- name: where_known_at
(e.known_start IS NULL OR e.known_start <= :known_at) AND (e.known_end IS NULL OR e.known_end > :known_at)

-- name: where_open
e.closed IS NULL AND e.known_end IS NULL

-- name: where_valid_at
(e.valid_start IS NULL OR e.valid_start <= :valid_at) AND (e.valid_end IS NULL OR e.valid_end > :valid_at)

-- name: where_lasting
(e.valid_end IS NULL OR e.valid_end > :lasting)

-- name: where_behind
e.sequence > :after

-- name: where_beyond
(e.opened, e.id, e.version) > (:after_opened, :after_id, :after_version)
