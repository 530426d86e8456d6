-- Statements of migrations, each step of which is written down in `formats`.

-- name: encoding
SELECT current_setting('server_encoding'), current_setting('server_version_num')::integer

-- name: found
SELECT to_regclass(%s) IS NOT NULL, EXISTS (
    SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r'
)

-- name: latest
SELECT number, readable_by FROM formats ORDER BY number DESC LIMIT 1

-- name: owned
SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass(%s)

-- name: hurry
SELECT set_config('lock_timeout', '2s', true)

-- name: hold
SELECT pg_try_advisory_xact_lock(hashtextextended('engram:' || %s, 0))

-- name: hold_session
SELECT pg_try_advisory_lock(hashtextextended('engram:' || %s, 0))

-- name: let_go
SELECT pg_advisory_unlock(hashtextextended('engram:' || %s, 0))

-- name: make_schema
CREATE SCHEMA IF NOT EXISTS {schema}

-- name: make_formats
CREATE TABLE IF NOT EXISTS formats (
    number INTEGER PRIMARY KEY,
    readable_by INTEGER NOT NULL,     -- the oldest format whose engram can still work with the store
    at TIMESTAMPTZ NOT NULL DEFAULT now()
)

-- name: reached
INSERT INTO formats (number, readable_by) VALUES (%s, %s)

-- name: begin_counter
INSERT INTO counter VALUES (1, 0, 0, 0)

-- name: put_fact
INSERT INTO info (key, value) VALUES (%s, %s)
