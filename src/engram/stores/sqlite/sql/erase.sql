-- Statements of an erasure; each takes a JSON list of record ids, but for the last.

-- name: lineage
DELETE FROM lineage WHERE derived IN (SELECT value FROM json_each(?))

-- name: versions
DELETE FROM versions WHERE id IN (SELECT value FROM json_each(?))

-- name: staged
DELETE FROM staged WHERE id IN (SELECT value FROM json_each(?))

-- name: records
DELETE FROM records WHERE id IN (SELECT value FROM json_each(?))

-- name: jobs_touched
SELECT DISTINCT job FROM job_reads WHERE record IN (SELECT value FROM json_each(?))

-- name: states_touched
SELECT DISTINCT state FROM state_reads WHERE record IN (SELECT value FROM json_each(?))

-- name: drop_state
DELETE FROM states WHERE id = ?

-- name: unused_scopes
DELETE FROM scopes WHERE NOT EXISTS (SELECT 1 FROM records WHERE records.scope = scopes.id)
    AND NOT EXISTS (SELECT 1 FROM edges WHERE edges.scope = scopes.id)

-- name: purge_state
SELECT erasures, unpurged FROM counter

-- name: purged
UPDATE counter SET unpurged = 0 WHERE erasures = ?
