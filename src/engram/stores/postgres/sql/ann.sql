-- Statements on the indexes of large tenants. {types} stands for the schema of the extension vector.

-- name: extension
SELECT n.nspname::text, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'vector'

-- name: installed
SELECT default_version FROM pg_available_extensions WHERE name = 'vector'

-- name: make_extension
CREATE EXTENSION IF NOT EXISTS vector SCHEMA public

-- name: standing
SELECT c.last, c.erasures, t.dimensions, t.filled AND EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = 'ann'::regclass AND attname = 'vector' AND NOT attisdropped
) AND to_regproc('ann_holding') IS NOT NULL
FROM counter c LEFT JOIN ann_tenants t ON t.tenant = %(tenant)s

-- name: count
SELECT ann_count(%(asked)s::jsonb)

-- name: opening
SELECT avg((p.time IS NULL OR (n.run_key IS NULL AND n.time - p.time > %(pause)s::bigint))::integer)
FROM unnest(%(ids)s::text[]) AS k (id) JOIN ann n ON n.tenant = %(tenant)s AND n.id = k.id
LEFT JOIN LATERAL (
    SELECT b.time FROM ann b WHERE b.tenant = %(tenant)s AND b.stream = n.stream
        AND (b.time, b.arrival) < (n.time, n.arrival) ORDER BY b.time DESC, b.arrival DESC LIMIT 1
) p ON true

-- name: saying
SELECT avg(get_byte(r.words, 4) + get_byte(r.words, 5) * 256), avg((r.role IS NOT DISTINCT FROM 'assistant')::integer)
FROM unnest(%(ids)s::text[]) AS k (id) JOIN records r ON r.tenant = %(tenant)s AND r.id = k.id
WHERE length(r.words) >= 8

-- name: names
SELECT r.name FROM records r
WHERE {where} AND r.name IS NOT NULL AND r.closed IS NULL AND r.known_end IS NULL
GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 4000

-- name: sample
SELECT id FROM ann_sample(%(asked)s::jsonb, %(share)s::real, %(k)s::integer)

-- name: common
SELECT hash, often FROM ann_common(%(asked)s::jsonb, %(share)s::real, %(lowest)s::bigint)

-- name: often
SELECT hash, often FROM ann_often(%(asked)s::jsonb, %(hashes)s::integer[], %(most)s::integer)

-- name: matching
SELECT id, best, held FROM ann_holding(
    %(asked)s::jsonb, %(hashes)s::integer[], %(weights)s::real[], %(most)s::integer, %(k)s::integer, %(drawn)s::integer
)

-- name: told
SELECT moment, arrival, id FROM ann_told(%(asked)s::jsonb, %(since)s::bigint, %(until)s::bigint, %(last)s::bigint, %(strength)s::double precision)

-- name: breadth
SELECT set_config('hnsw.ef_search', %(ef)s, true), set_config('hnsw.iterative_scan', 'relaxed_order', true),
    set_config('hnsw.max_scan_tuples', %(most)s, true), set_config('hnsw.scan_mem_multiplier', '4', true),
    set_config('ivfflat.probes', %(probes)s, true), set_config('ivfflat.iterative_scan', 'relaxed_order', true)

-- name: nearest
SELECT id, cosine
FROM ann_nearest(%(asked)s::jsonb, %(vector)s::text, %(dimensions)s::integer, %(k)s::integer, %(few)s::boolean)

-- name: by_index
SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true),
    set_config('enable_sort', 'off', true)

-- name: around
-- LIMIT makes the database look up one after the other by key, whatever it estimates of other conditions.
WITH asked AS MATERIALIZED (
    SELECT k.place, k.reach, n.*
    FROM unnest(%(ids)s::text[], %(reach)s::integer[]) WITH ORDINALITY AS k (id, reach, place)
    CROSS JOIN LATERAL (
        SELECT n.id, n.stream, n.user_key, n.agent_id, n.run_key, n.time, n.arrival
        FROM ann n WHERE n.tenant = %(tenant)s AND n.id = k.id LIMIT 1
    ) n
), beside AS MATERIALIZED (
    SELECT place, id FROM asked
    UNION ALL SELECT a.place, p.id FROM asked a CROSS JOIN LATERAL (
        SELECT b.id FROM ann b WHERE b.tenant = %(tenant)s AND b.stream = a.stream
            AND (b.time, b.arrival) < (a.time, a.arrival)
            AND (b.user_key, b.agent_id, b.run_key) IS NOT DISTINCT FROM (a.user_key, a.agent_id, a.run_key)
        ORDER BY b.time DESC, b.arrival DESC LIMIT a.reach
    ) p
    UNION ALL SELECT a.place, p.id FROM asked a CROSS JOIN LATERAL (
        SELECT b.id FROM ann b WHERE b.tenant = %(tenant)s AND b.stream = a.stream
            AND (b.time, b.arrival) > (a.time, a.arrival)
            AND (b.user_key, b.agent_id, b.run_key) IS NOT DISTINCT FROM (a.user_key, a.agent_id, a.run_key)
        ORDER BY b.time, b.arrival LIMIT a.reach
    ) p
), wanted AS MATERIALIZED (
    SELECT id, array_agg(place::integer) AS places FROM beside GROUP BY id
)
SELECT w.places, {columns}, 0, r.words, r.vector FROM wanted w CROSS JOIN LATERAL (
    SELECT * FROM records r
    WHERE r.tenant = %(tenant)s AND r.id = w.id AND r.closed IS NULL AND r.known_end IS NULL LIMIT 1
) r WHERE {where}

-- name: void
SELECT ann_void()
