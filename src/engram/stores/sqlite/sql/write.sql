-- Statements of a commit. A line "-- name: x" starts statement x.

-- name: position
SELECT last, erasures FROM counter

-- name: counter
UPDATE counter SET last = ?, erasures = ?, unpurged = unpurged | ?

-- name: scope_id
SELECT id FROM scopes WHERE key = ?

-- name: put_scope
INSERT INTO scopes (key, tenant, user_id, agent_id, run_id) VALUES (?, ?, ?, ?, ?)

-- name: put_record
INSERT INTO records ({columns}) VALUES ({places})

-- name: latest
SELECT sequence, version, closed, known_end, arrival, scope, origin FROM records WHERE id = ?

-- name: owner
SELECT id FROM records WHERE scope = ? AND origin = ?

-- name: arrivals_taken
SELECT arrival FROM records WHERE arrival IN (SELECT value FROM json_each(?))

-- name: one_version
SELECT h.*, s.tenant, s.user_id, s.agent_id, s.run_id
FROM history h JOIN scopes s ON s.id = h.scope WHERE h.id = ? AND h.version = ?

-- name: archive
INSERT INTO versions
SELECT ?, scope, arrival, version, opened, coalesce(closed, ?), id, kind, level, origin, role, name, time,
    valid_start, valid_end, known_start, coalesce(known_end, ?), expires, strength, trust, made_by, words,
    vector, sources, metadata, payload, text
FROM records WHERE sequence = ?

-- name: drop_row
DELETE FROM records WHERE sequence = ?

-- name: close
UPDATE records SET sequence = ?, closed = ?, known_end = ? WHERE sequence = ?

-- name: mark
UPDATE records SET sequence = ?, strength = coalesce(?, strength), trust = coalesce(?, trust),
    words = coalesce(?, words), vector = coalesce(?, vector)
WHERE sequence = ?

-- name: put_lineage
INSERT OR IGNORE INTO lineage (derived, version, source) VALUES (?, ?, ?)

-- name: state
SELECT id, version FROM states WHERE key = ?

-- name: put_state
INSERT INTO states (key, policy, tenant, user_id, agent_id, run_id, name, version, reads, value)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: set_state
UPDATE states SET version = ?, reads = ?, value = ? WHERE id = ?

-- name: drop_state_reads
DELETE FROM state_reads WHERE state = ?

-- name: put_state_read
INSERT OR IGNORE INTO state_reads (record, state) VALUES (?, ?)

-- name: job_present
SELECT 1 FROM jobs WHERE id = ?

-- name: put_job
INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: drop_job
DELETE FROM jobs WHERE id = ?

-- name: drop_job_reads
DELETE FROM job_reads WHERE job = ?

-- name: put_job_read
INSERT OR IGNORE INTO job_reads (record, job) VALUES (?, ?)

-- name: leased_job
SELECT kind, status, owner, until, tenant, user_id, agent_id FROM jobs WHERE id = ?

-- name: rival
SELECT id FROM jobs
WHERE tenant = ? AND user_id IS ? AND agent_id IS ? AND kind IN ('write', 'rebuild')
    AND owner <> ? AND until > ?
LIMIT 1

-- name: lease
UPDATE jobs SET owner = ?, until = ? WHERE id = ?

-- name: job_owner
SELECT owner FROM jobs WHERE id = ?
