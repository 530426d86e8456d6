-- Format 2: who commits signs, so that a client that lost its connection at a commit can ask whether it was done.
-- Readable by format 1.
-- The number of a transaction will not do: one that a crash undid is given to another.
CREATE TABLE clients (
    client UUID PRIMARY KEY,      -- of one transaction at a time
    number BIGINT NOT NULL,       -- its last attempt that was committed
    login NAME NOT NULL DEFAULT session_user,
    at TIMESTAMPTZ NOT NULL DEFAULT now()
);
ALTER TABLE clients ENABLE ROW LEVEL SECURITY;
ALTER TABLE clients FORCE ROW LEVEL SECURITY;
CREATE POLICY own_login ON clients USING (login = session_user) WITH CHECK (login = session_user);

-- Whoever is new clears away who has been silent for a month.
CREATE FUNCTION clients_leave() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM clients WHERE at < now() - interval '30 days';
    RETURN NULL;
END $$;
CREATE TRIGGER clients_leave AFTER INSERT ON clients
FOR EACH ROW WHEN (NEW.number = 1) EXECUTE FUNCTION clients_leave();

ALTER FUNCTION admit(TEXT, TEXT) RENAME TO admit_to_content;
CREATE FUNCTION admit(login TEXT, only_tenant TEXT DEFAULT NULL) RETURNS VOID LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM admit_to_content(login, only_tenant);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON clients TO %I', login);
END $$;
REVOKE ALL ON FUNCTION admit(TEXT, TEXT) FROM PUBLIC;
DO $$
DECLARE login TEXT;
BEGIN
    FOR login IN SELECT DISTINCT role FROM members JOIN pg_roles ON rolname = role LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON clients TO %I', login);
    END LOOP;
END $$;
