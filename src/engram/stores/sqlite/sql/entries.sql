-- Statements on index entries: those in use, and those that are staged beside them.

-- name: fact
SELECT value FROM info WHERE key = ?

-- name: put_info
INSERT INTO info (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- name: drop_info
DELETE FROM info WHERE key = ?

-- name: place_latest
SELECT sequence FROM records WHERE id = ? AND version = ?

-- name: place_older
SELECT sequence FROM versions WHERE id = ? AND version = ?

-- name: reindex
UPDATE {table} SET sequence = ?, words = ?, vector = ? WHERE sequence = ?

-- name: stage
INSERT OR REPLACE INTO staged (id, version, words, vector) VALUES (?, ?, ?, ?)

-- name: unstage
DELETE FROM staged

-- name: lacking
SELECT min(h.id) FROM history h
WHERE NOT EXISTS (SELECT 1 FROM staged t WHERE t.id = h.id AND t.version = h.version)

-- name: switch
UPDATE {table} SET words = t.words, vector = t.vector
FROM staged t WHERE t.id = {table}.id AND t.version = {table}.version

-- name: counts
SELECT (SELECT count(*) FROM staged), (SELECT count(*) FROM records) + (SELECT count(*) FROM versions)
