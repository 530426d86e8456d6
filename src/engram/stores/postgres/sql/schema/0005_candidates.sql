-- Format 5: candidates of large scopes are found by the index over terms, whoever's records are asked for.
-- Readable by format 1.

-- Conditions on `ann n`, as SQL, as before. With `loose` those on user, agent and run are written so that no index
-- over them is taken: nothing is known of how often each stands, and their indexes would seem to say it all.
CREATE OR REPLACE FUNCTION ann_where(asked JSONB) RETURNS TEXT LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT AS $$
    SELECT format('n.tenant = %L AND n.ends > %s', asked->>'tenant', (asked->>'now')::bigint)
        || CASE WHEN asked ? 'user' THEN format(' AND n.user_key %s %L::bytea', same, asked->>'user') ELSE '' END
        || CASE WHEN asked ? 'agent' THEN format(' AND n.agent_id %s %L', same, asked->>'agent') ELSE '' END
        || CASE WHEN asked ? 'run' THEN format(' AND n.run_key %s %L::bytea', same, asked->>'run') ELSE '' END
        || CASE WHEN asked ? 'exactly' THEN format(
            ' AND n.user_key IS NOT DISTINCT FROM %L::bytea AND n.agent_id IS NOT DISTINCT FROM %L'
            ' AND n.run_key IS NOT DISTINCT FROM %L::bytea',
            asked->'exactly'->>0, asked->'exactly'->>1, asked->'exactly'->>2) ELSE '' END
        || CASE WHEN asked ? 'stream'
            THEN format(' AND n.stream = %s', hashtextextended((asked->'stream')::text, 0)) ELSE '' END
        || CASE WHEN asked ? 'anybody' THEN '' ELSE
            format(' AND (n.made_by IS NULL OR n.made_by = %L)', asked->>'made_by') END
        || CASE WHEN asked ? 'kinds' THEN format(' AND n.kind = ANY (%L::text[])',
            ARRAY(SELECT jsonb_array_elements_text(asked->'kinds'))) ELSE '' END
        || CASE WHEN asked ? 'aside' THEN format(CASE WHEN (asked->>'standing')::boolean
            THEN ' AND n.made_by IS NOT NULL AND n.kind = ANY (%L::text[])'
            ELSE ' AND (n.made_by IS NULL OR n.kind <> ALL (%L::text[]))' END,
            ARRAY(SELECT jsonb_array_elements_text(asked->'aside'))) ELSE '' END
    FROM (SELECT CASE WHEN (asked->>'loose')::boolean THEN 'IS NOT DISTINCT FROM' ELSE '=' END AS same) s
$$;

-- The `k` entries whose terms weigh the most, of each term `most` entries looked at; besides them `drawn` of all that
-- hold any of the terms, drawn evenly, and in every line how many hold any.
CREATE FUNCTION ann_holding(asked JSONB, hashes INTEGER[], weights REAL[], most INTEGER, k INTEGER, drawn INTEGER)
RETURNS TABLE (id TEXT, best BOOLEAN, held BIGINT)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off AS $$
BEGIN
    IF ann_may(asked) THEN
        RETURN QUERY EXECUTE 'WITH h AS MATERIALIZED (SELECT m.id, sum(t.weight) AS weight '
            'FROM unnest($1, $2) AS t (hash, weight) CROSS JOIN LATERAL ('
            'SELECT n.id FROM ann n WHERE ' || ann_where(asked) || ' AND n.terms @> ARRAY[t.hash] LIMIT $3'
            ') m GROUP BY m.id), b AS (SELECT h.id FROM h ORDER BY h.weight DESC, h.id LIMIT $4), '
            'd AS (SELECT h.id FROM h ORDER BY hashtextextended(h.id, 2), h.id LIMIT $5) '
            'SELECT f.id, f.best, (SELECT count(*) FROM h) FROM (SELECT b.id, true AS best FROM b '
            'UNION ALL SELECT d.id, false FROM d) f'
            USING hashes, weights, most, k, drawn;
    END IF;
END $$;
