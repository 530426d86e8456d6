-- What a transaction says about itself: before anything else, and as the last thing.

-- name: settings
SELECT set_config('search_path', %(path)s, %(local)s),
    set_config('engram.tenant', %(tenant)s, %(local)s),
    set_config('engram.everyone', %(everyone)s, %(local)s),
    set_config('lock_timeout', %(wait)s, %(local)s),
    set_config('idle_in_transaction_session_timeout', '120s', %(local)s),
    CASE WHEN %(synchronous)s THEN set_config('synchronous_commit', 'on', %(local)s) END

-- name: sign
INSERT INTO clients (client, number) VALUES (%s::uuid, %s)
ON CONFLICT (client) DO UPDATE SET number = excluded.number, at = now()

-- name: settle
SELECT last FROM counter FOR UPDATE

-- name: signed
SELECT number FROM clients WHERE client = %s::uuid
