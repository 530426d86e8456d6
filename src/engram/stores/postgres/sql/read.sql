-- Statements of reading. {where} stands for conditions on the table r.

-- name: position
SELECT last, erasures FROM counter

-- name: entry_columns
r.sequence, r.arrival, r.id, r.version, r.kind, r.user_id, r.agent_id, r.run_id, r.role, r.name, r.time,
r.valid_start, r.valid_end, coalesce(r.known_start, r.time), r.known_end, r.expires, r.strength, r.trust, r.made_by

-- name: entries
SELECT {columns},
    (r.closed IS NOT NULL OR r.known_end IS NOT NULL)::integer,
    CASE WHEN r.closed IS NULL AND r.known_end IS NULL THEN r.words ELSE '' END,
    CASE WHEN r.closed IS NULL AND r.known_end IS NULL THEN r.vector ELSE '' END
FROM records r WHERE r.sequence > %(after)s AND {where} ORDER BY r.sequence LIMIT %(limit)s

-- name: history_entries
SELECT {columns}, (r.closed IS NOT NULL OR r.known_end IS NOT NULL)::integer, r.words, r.vector
FROM {table} r WHERE r.sequence > %(after)s AND {where} ORDER BY r.sequence LIMIT %(limit)s

-- name: select
SELECT {columns} FROM {table} r WHERE {where}

-- name: ordered
ORDER BY {time}r.arrival, r.version LIMIT %(limit)s

-- name: edges
SELECT r.tenant, r.id, r.version, r.user_id, r.agent_id, r.run_id, r.sequence, r.source, r.target, r.type,
    r.valid_start, r.valid_end, r.known_start, r.known_end, r.weight, r.made_by, r.opened, r.closed, r.sources,
    r.metadata
FROM edges r WHERE {where} ORDER BY {order} LIMIT %(limit)s

-- name: states
SELECT r.tenant, r.policy, r.user_id, r.agent_id, r.run_id, r.name, r.version, r.reads, r.value
FROM states r WHERE {where}

-- name: jobs
SELECT r.tenant, r.id, r.kind, r.user_id, r.agent_id, r.run_id, r.created, r.policy, r.status, r.attempts, r.owner,
    r.until, r.not_before, r.error, r.records, r.reads, r.journal, r.priority
FROM jobs r WHERE {where} ORDER BY r.created, r.id

-- name: scopes
SELECT r.tenant, r.user_id, r.agent_id, r.run_id, count(*) FILTER (WHERE r.closed IS NULL AND r.known_end IS NULL)
FROM records r WHERE {where} GROUP BY 1, 2, 3, 4

-- name: info
SELECT key, value FROM info

-- name: unpurged
SELECT unpurged FROM counter

-- name: format
SELECT max(number) FROM formats

-- name: bytes
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind = 'r'

-- name: tag
SELECT value FROM info WHERE key = 'tag'

-- name: where_tenant
r.tenant = %(tenant)s

-- name: where_user
r.user_key = %(user_key)s

-- name: where_run
r.run_key = %(run_key)s

-- name: where_agent
r.agent_id = %(agent_id)s

-- name: where_user_id
r.user_id = %(user_id)s

-- name: where_run_id
r.run_id = %(run_id)s

-- name: where_ids
r.id = ANY(%(ids)s)

-- name: where_kinds
r.kind = ANY(%(kinds)s)

-- name: where_origins
(r.tenant, r.id) IN (
    SELECT o.tenant, o.id FROM unnest(%(tenants)s::text[], %(keys)s::bytea[]) AS k (tenant, origin_key)
    JOIN records o ON o.tenant = k.tenant AND o.origin_key = k.origin_key
)

-- name: where_derived
(r.tenant, r.id, r.version) IN (
    SELECT tenant, id, version FROM lineage WHERE what = 'record' AND source = ANY(%(derived_from)s)
)

-- name: where_change_set
(r.opened = %(change_set)s OR r.closed = %(change_set)s)

-- name: where_made_by
r.made_by = %(made_by)s

-- name: where_expired
r.expires <= %(expired_by)s

-- name: where_unstaged
NOT EXISTS (SELECT 1 FROM staged t WHERE t.tenant = r.tenant AND t.id = r.id AND t.version = r.version)

-- name: where_open
r.closed IS NULL AND r.known_end IS NULL

-- name: where_after
r.arrival > %(arrival)s

-- name: where_after_time
(r.time, r.arrival) > (%(time)s::bigint, %(arrival)s::bigint)

-- name: where_both
(r.source = ANY(%(touching)s) OR r.target = ANY(%(touching)s))

-- name: where_out
r.source = ANY(%(touching)s)

-- name: where_in
r.target = ANY(%(touching)s)

-- name: where_types
r.type = ANY(%(types)s)

-- name: where_known_at
(r.known_start IS NULL OR r.known_start <= %(known_at)s) AND (r.known_end IS NULL OR r.known_end > %(known_at)s)

-- name: where_valid_at
(r.valid_start IS NULL OR r.valid_start <= %(valid_at)s) AND (r.valid_end IS NULL OR r.valid_end > %(valid_at)s)

-- name: where_lasting
(r.valid_end IS NULL OR r.valid_end > %(lasting)s)

-- name: where_behind
r.sequence > %(after)s

-- name: where_beyond
(r.opened, r.id, r.version) > (%(after_opened)s::bigint, %(after_id)s::text, %(after_version)s::integer)

-- name: where_standing
(r.tenant, r.id, r.version) IN (
    SELECT l.tenant, l.id, l.version FROM lineage l WHERE l.what = 'edge' AND l.source = ANY(%(standing_on)s)
)

-- name: where_makers
(r.made_by = ANY(%(makers)s) OR (%(said)s AND r.made_by IS NULL))

-- name: where_scope
r.tenant = %(tenant)s AND r.user_id IS NOT DISTINCT FROM %(user_id)s::text
AND r.agent_id IS NOT DISTINCT FROM %(agent_id)s::text AND r.run_id IS NOT DISTINCT FROM %(run_id)s::text

-- name: where_policy
r.policy = %(policy)s

-- name: where_name
r.name = %(name)s

-- name: where_kind
r.kind = %(kind)s
