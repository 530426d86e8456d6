-- What an engram of format 1 sends to a store. Never changed: later formats must go on to understand it.

-- name: settings
SELECT set_config('search_path', %(path)s, true), set_config('engram.tenant', '', true),
    set_config('engram.everyone', 'on', true), set_config('lock_timeout', '30000ms', true)

-- name: lock
SELECT last, erasures, pg_current_xact_id()::text FROM counter FOR UPDATE

-- name: counter
UPDATE counter SET last = %s, erasures = %s, unpurged = greatest(unpurged, %s)

-- name: put_record
INSERT INTO records (tenant, id, user_id, agent_id, run_id, user_key, run_key, origin_key, sequence, arrival,
    version, opened, closed, kind, level, origin, role, name, time, valid_start, valid_end, known_start, known_end,
    expires, strength, trust, made_by, sources, words, vector, metadata, payload, text)
VALUES (%(tenant)s, %(id)s, NULL, NULL, NULL, NULL, NULL, NULL, %(sequence)s, %(arrival)s,
    %(version)s, %(sequence)s, NULL, 'episode', 0, NULL, NULL, NULL, %(time)s, %(time)s, NULL, %(time)s, NULL,
    NULL, 1, 1, NULL, '{}', %(words)s, %(vector)s, NULL, NULL, %(text)s)

-- name: archive
INSERT INTO versions (tenant, id, user_id, agent_id, run_id, user_key, run_key, origin_key, sequence, arrival, version,
    opened, closed, kind, level, origin, role, name, time, valid_start, valid_end, known_start, known_end, expires,
    strength, trust, made_by, sources, words, vector, metadata, payload, text)
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

-- name: expunge
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

-- name: entries
SELECT r.sequence, r.arrival, r.id, r.version, r.kind, r.user_id, r.agent_id, r.run_id, r.role, r.name, r.time,
    r.valid_start, r.valid_end, coalesce(r.known_start, r.time), r.known_end, r.expires, r.strength, r.trust, r.made_by,
    (r.closed IS NOT NULL OR r.known_end IS NOT NULL)::integer,
    CASE WHEN r.closed IS NULL AND r.known_end IS NULL THEN r.words ELSE '' END,
    CASE WHEN r.closed IS NULL AND r.known_end IS NULL THEN r.vector ELSE '' END
FROM records r WHERE r.sequence > 0 AND r.tenant = %(tenant)s ORDER BY r.sequence LIMIT 5000

-- name: history
SELECT tenant, id, version, text FROM history r WHERE r.tenant = %(tenant)s ORDER BY r.arrival, r.version
