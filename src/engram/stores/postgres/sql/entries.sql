-- Statements on index entries: those in use, and those that are staged beside them.

-- name: put_info
INSERT INTO info (key, value) VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- name: drop_info
DELETE FROM info WHERE key = %s

-- name: reindex
UPDATE {table} SET sequence = %s, words = %s, vector = %s WHERE tenant = %s AND id = %s AND version = %s

-- name: stage
INSERT INTO staged (tenant, id, version, words, vector) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (tenant, id, version) DO UPDATE SET words = excluded.words, vector = excluded.vector

-- name: unstage
WITH gone AS (DELETE FROM staged RETURNING 1) SELECT count(*) FROM gone

-- name: lacking
SELECT min(h.id COLLATE "C") FROM history h
WHERE NOT EXISTS (
    SELECT 1 FROM staged t WHERE t.tenant = h.tenant AND t.id = h.id AND t.version = h.version
)

-- name: switch
UPDATE {table} r SET words = t.words, vector = t.vector
FROM staged t WHERE t.tenant = r.tenant AND t.id = r.id AND t.version = r.version

-- name: counts
SELECT (SELECT count(*) FROM staged), (SELECT count(*) FROM records) + (SELECT count(*) FROM versions)
