-- Statements of reading. {pattern} and {where} stand for conditions, {after} for a condition on the place.

-- name: position
SELECT last, erasures FROM counter

-- name: entry_columns
r.sequence, r.arrival, r.id, r.version, r.kind, s.user_id, s.agent_id, s.run_id, r.role, r.name, r.time,
r.valid_start, r.valid_end, coalesce(r.known_start, r.time), r.known_end, r.expires, r.strength, r.trust, r.made_by

-- name: entries_span
SELECT {columns},
    r.closed IS NOT NULL OR r.known_end IS NOT NULL,
    iif(r.closed IS NULL AND r.known_end IS NULL, r.words, x''),
    iif(r.closed IS NULL AND r.known_end IS NULL, r.vector, x'')
FROM records r CROSS JOIN scopes s ON s.id = r.scope
WHERE r.sequence > :after AND r.sequence <= :upto AND {pattern}
ORDER BY r.sequence LIMIT :limit

-- name: entries_scope
SELECT {columns},
    r.closed IS NOT NULL OR r.known_end IS NOT NULL,
    iif(r.closed IS NULL AND r.known_end IS NULL, r.words, x''),
    iif(r.closed IS NULL AND r.known_end IS NULL, r.vector, x'')
FROM (
    SELECT i.sequence AS place FROM scopes s CROSS JOIN records i ON i.scope = s.id
    WHERE {pattern} AND i.sequence > :after ORDER BY i.sequence LIMIT :limit
) CROSS JOIN records r ON r.sequence = place CROSS JOIN scopes s ON s.id = r.scope
ORDER BY r.sequence

-- name: history_span
SELECT {columns},
    r.closed IS NOT NULL OR r.known_end IS NOT NULL, r.words, r.vector
FROM {table} r CROSS JOIN scopes s ON s.id = r.scope
WHERE r.sequence > :after AND r.sequence <= :upto AND {pattern}
ORDER BY r.sequence LIMIT :limit

-- name: history_scope
SELECT {columns},
    r.closed IS NOT NULL OR r.known_end IS NOT NULL, r.words, r.vector
FROM (
    SELECT i.sequence AS place FROM scopes s CROSS JOIN {table} i ON i.scope = s.id
    WHERE {pattern} AND i.sequence > :after ORDER BY i.sequence LIMIT :limit
) CROSS JOIN {table} r ON r.sequence = place CROSS JOIN scopes s ON s.id = r.scope
ORDER BY r.sequence

-- name: select
SELECT r.*, s.tenant, s.user_id, s.agent_id, s.run_id
FROM {table} r JOIN scopes s ON s.id = r.scope
WHERE {where}

-- name: ordered
 ORDER BY {time}r.arrival, r.version LIMIT :limit

-- name: scope_ids
SELECT s.id FROM scopes s WHERE {pattern} LIMIT 2

-- name: places
SELECT i.sequence FROM records i
WHERE i.scope IN (SELECT s.id FROM scopes s WHERE {pattern}) AND i.arrival > :arrival
ORDER BY i.arrival

-- name: places_one
SELECT i.sequence FROM records i WHERE i.scope = :only AND i.arrival > :arrival ORDER BY i.arrival

-- name: where_places
r.sequence IN (SELECT value FROM json_each(:places))

-- name: states
SELECT policy, tenant, user_id, agent_id, run_id, name, version, reads, value FROM states s WHERE {where}

-- name: jobs
SELECT * FROM jobs s WHERE {where} ORDER BY created, id

-- name: scopes
SELECT tenant, user_id, agent_id, run_id,
    (SELECT count(*) FROM records r WHERE r.scope = s.id AND r.closed IS NULL AND r.known_end IS NULL)
FROM scopes s WHERE {where} AND EXISTS (SELECT 1 FROM records r WHERE r.scope = s.id)

-- name: info
SELECT key, value FROM info

-- name: unpurged
SELECT unpurged FROM counter

-- name: where_ids
r.id IN (SELECT value FROM json_each(:ids))

-- name: where_scope
r.scope IN (SELECT s.id FROM scopes s WHERE {pattern})

-- name: where_kinds
r.kind IN (SELECT value FROM json_each(:kinds))

-- name: where_origins
r.id IN (
    SELECT i.id FROM json_each(:origins) j CROSS JOIN scopes s ON s.key = j.value ->> 0
    CROSS JOIN records i ON i.scope = s.id AND i.origin = j.value ->> 1
)

-- name: where_derived
(r.id, r.version) IN (SELECT derived, version FROM lineage WHERE source IN (SELECT value FROM json_each(:derived_from)))

-- name: where_change_set
:change_set IN (r.opened, r.closed)

-- name: where_made_by
r.made_by = :made_by

-- name: where_expired
r.expires <= :expired_by

-- name: where_unstaged
NOT EXISTS (SELECT 1 FROM staged t WHERE t.id = r.id AND t.version = r.version)

-- name: where_open
r.closed IS NULL AND r.known_end IS NULL

-- name: where_after
r.arrival > :arrival

-- name: where_after_time
(r.time, r.arrival) > (:time, :arrival)

-- name: where_policy
s.tenant = :tenant AND s.user_id IS :user_id AND s.agent_id IS :agent_id AND s.run_id IS :run_id
AND s.policy = :policy

-- name: where_name
s.name = :name

-- name: where_kind
s.kind = :kind

-- name: where_job_ids
s.id IN (SELECT value FROM json_each(:ids))

-- name: tag
SELECT value FROM info WHERE key = 'tag'
