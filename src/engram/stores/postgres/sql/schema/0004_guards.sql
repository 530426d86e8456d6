-- Format 4: a role of one tenant keeps off what is everybody's: facts, numbers, and ids of others.
-- Readable by format 1.

-- Whether who logged in serves every tenant.
CREATE FUNCTION serves_all() RETURNS BOOLEAN LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    RETURN EXISTS (SELECT FROM members WHERE role = session_user AND tenant = '');
END $$;

-- Facts are read by roles of one tenant as far as they need them. Keys of the service, and whatever else may be
-- written down there, are not theirs; nor can they change what concerns everybody.
CREATE FUNCTION fact_of_seen(key TEXT) RETURNS BOOLEAN LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT key LIKE 'import:%' OR key LIKE 'tended:%' OR key LIKE 'copy:%'
        AND substr(key, length(split_part(key, ':', 2)) + 7) = seen_tenant()
$$;
ALTER TABLE info ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_all ON info USING ((SELECT serves_all())) WITH CHECK ((SELECT serves_all()));
CREATE POLICY by_one ON info USING (fact_of_seen(key)) WITH CHECK (fact_of_seen(key));
CREATE POLICY known ON info FOR SELECT USING (
    key IN ('created', 'tag', 'analyser', 'embedder', 'dimensions', 'reembed') OR key LIKE 'route:%'
);
CREATE POLICY first ON info FOR INSERT WITH CHECK (key IN ('analyser', 'embedder', 'dimensions'));

-- Numbers only grow. A role of one tenant cannot use them up, nor call an erasure purged.
CREATE OR REPLACE FUNCTION counter_grows() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.last < OLD.last OR NEW.erasures < OLD.erasures THEN
        RAISE EXCEPTION 'the counter of an engram store only grows' USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.unpurged < OLD.unpurged OR NEW.last > OLD.last + (1::bigint << 40)
        OR NEW.erasures > OLD.erasures + (1::bigint << 50)) AND NOT serves_all() THEN
        RAISE EXCEPTION 'a role of one tenant may not do that to the counter'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

-- An id belongs to one tenant. The function, which is the owner's, looks at all of them; in such a function alone
-- is the present user another one than who logged in.
DO $$
DECLARE name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['records', 'edges', 'states', 'jobs'] LOOP
        EXECUTE format('CREATE POLICY keeper ON %I FOR SELECT TO %I USING (session_user <> current_user)',
            name, current_user);
    END LOOP;
END $$;
CREATE FUNCTION id_is_free(what TEXT, wanted TEXT, for_tenant TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    RETURN NOT CASE what
        WHEN 'records' THEN EXISTS (SELECT FROM records WHERE id = wanted AND tenant <> for_tenant)
        WHEN 'edges' THEN EXISTS (SELECT FROM edges WHERE id = wanted AND tenant <> for_tenant)
        WHEN 'states' THEN EXISTS (SELECT FROM states WHERE id = wanted AND tenant <> for_tenant)
        WHEN 'jobs' THEN EXISTS (SELECT FROM jobs WHERE id = wanted AND tenant <> for_tenant)
    END;
END $$;
DO $$
DECLARE item RECORD;
BEGIN
    FOR item IN SELECT * FROM (VALUES ('records', 'records'), ('versions', 'records'), ('edges', 'edges'),
        ('states', 'states'), ('jobs', 'jobs')) AS t (name, ids), (VALUES ('INSERT'), ('UPDATE')) AS c (command)
    LOOP
        EXECUTE format('CREATE POLICY %I ON %I AS RESTRICTIVE FOR %s '
            'WITH CHECK ((SELECT serves_all()) OR id_is_free(%L, id, tenant))',
            'free_' || lower(item.command), item.name, item.command, item.ids);
    END LOOP;
END $$;

-- A role that was dropped before it was dismissed leaves a line, which another one of its name would come into.
CREATE OR REPLACE FUNCTION dismiss(login TEXT) RETURNS VOID LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM members WHERE role = login;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', current_schema(), login);
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', current_schema(), login);
    END IF;
END $$;
