-- Statements that look at a server and at who is logged in, without changing anything.

-- name: server
SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'),
    pg_is_in_recovery()

-- name: login
SELECT session_user, r.rolsuper OR r.rolbypassrls, has_database_privilege(current_database(), 'CREATE')
FROM pg_roles r WHERE r.rolname = session_user

-- name: rights
SELECT has_schema_privilege(current_schema(), 'USAGE')
    AND bool_and(has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')),
    bool_and(pg_has_role(c.relowner, 'USAGE'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind = 'r' AND c.relname <> 'members' AND c.relname <> 'formats'
    AND c.relname <> 'counter'

-- name: seen
SELECT sees_all(), seen_tenant()

-- name: connections
SELECT current_setting('max_connections')::integer, (SELECT count(*) FROM pg_stat_activity)

-- name: standing
SELECT coalesce(extract(epoch FROM max(now() - xact_start)), 0)::double precision FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'active'
