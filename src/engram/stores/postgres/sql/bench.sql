-- What `engram bench ann` asks a database besides.

-- name: backends
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'

-- name: by_index
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_sort', 'off', true), set_config('search_path', current_setting('search_path') || ', public', true)

-- name: nearest
SELECT id FROM ann WHERE tenant = %s AND vector IS NOT NULL
ORDER BY vector::halfvec({dimensions}) <=> %s::halfvec({dimensions}) LIMIT %s

-- name: sizes
SELECT coalesce(sum(pg_total_relation_size(c.oid)) FILTER (WHERE c.relname LIKE 'ann%'), 0)::bigint,
    coalesce(sum(pg_total_relation_size(c.oid)) FILTER (WHERE c.relname NOT LIKE 'ann%'), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind = 'r'
