-- Each statement gives one sentence for each thing that is wrong.

-- name: sources
SELECT 'record ' || l.id || ' names the source ' || l.source
    || ', which is not there; forget the record, or restore a copy'
FROM lineage l WHERE l.what = 'record' AND NOT EXISTS (SELECT 1 FROM records r WHERE r.id = l.source)

-- name: lineage
SELECT DISTINCT 'lineage of ' || l.id || ' version ' || l.version || ', which is not there'
FROM lineage l WHERE l.what = 'record' AND NOT EXISTS (
    SELECT 1 FROM history h WHERE h.tenant = l.tenant AND h.id = l.id AND h.version = l.version
)

-- name: missing_lineage
SELECT 'record ' || h.id || ' version ' || h.version || ' has a source without a lineage row: ' || s
FROM history h, unnest(h.sources) s
WHERE NOT EXISTS (
    SELECT 1 FROM lineage l WHERE l.tenant = h.tenant AND l.what = 'record' AND l.id = h.id
        AND l.version = h.version AND l.source = s
)

-- name: extra_lineage
SELECT 'record ' || l.id || ' version ' || l.version || ' has a lineage row of ' || l.source
    || ', which is none of its sources'
FROM lineage l JOIN history h ON h.tenant = l.tenant AND h.id = l.id AND h.version = l.version
WHERE l.what = 'record' AND l.source <> ALL (h.sources)

-- name: edge_reads
SELECT 'edge ' || e.id || ' has a source without a row: ' || s FROM edges e, unnest(e.sources) s
WHERE NOT EXISTS (
    SELECT 1 FROM lineage l WHERE l.tenant = e.tenant AND l.what = 'edge' AND l.id = e.id
        AND l.version = e.version AND l.source = s
)

-- name: state_reads
SELECT 'state ' || t.name || ' of ' || t.policy || ' has read a record without a row: ' || s
FROM states t, unnest(t.reads) s
WHERE NOT EXISTS (
    SELECT 1 FROM lineage l WHERE l.tenant = t.tenant AND l.what = 'state' AND l.id = t.id AND l.source = s
)

-- name: job_reads
SELECT 'job ' || j.id || ' has read a record without a row: ' || s FROM jobs j, unnest(j.reads) s
WHERE NOT EXISTS (
    SELECT 1 FROM lineage l WHERE l.tenant = j.tenant AND l.what = 'job' AND l.id = j.id AND l.source = s
)

-- name: extra_reads
SELECT l.what || ' ' || l.id || ' has a row of ' || l.source || ', which it has not read'
FROM lineage l WHERE l.what <> 'record' AND NOT EXISTS (
    SELECT 1 FROM edges e WHERE l.what = 'edge' AND e.tenant = l.tenant AND e.id = l.id
        AND e.version = l.version AND l.source = ANY (e.sources)
    UNION ALL SELECT 1 FROM states t WHERE l.what = 'state' AND t.tenant = l.tenant AND t.id = l.id
        AND l.source = ANY (t.reads)
    UNION ALL SELECT 1 FROM jobs j WHERE l.what = 'job' AND j.tenant = l.tenant AND j.id = l.id
        AND l.source = ANY (j.reads)
)

-- name: edges
SELECT DISTINCT 'edge ' || e.id || ' touches the record ' || s
    || ', which is not there; forget the record at its other end, or restore a copy'
FROM edges e, unnest(ARRAY[e.source, e.target]) s
WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.id = s)

-- name: edge_versions
SELECT 'edge ' || id || ' has more than one open version' FROM edges
WHERE closed IS NULL AND known_end IS NULL GROUP BY tenant, id HAVING count(*) > 1

-- name: versions
SELECT 'record ' || r.id || ' is at version ' || r.version || ' but has ' || count(v.id)
    || ' older ones; restore a copy, or forget the record'
FROM records r LEFT JOIN versions v ON v.tenant = r.tenant AND v.id = r.id
GROUP BY r.tenant, r.id, r.version
HAVING count(v.id) <> r.version - 1 OR coalesce(max(v.version), 0) >= r.version

-- name: orphans
SELECT DISTINCT 'versions of ' || v.id || ' are there without a latest one; restore a copy'
FROM versions v WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.tenant = v.tenant AND r.id = v.id)

-- name: twice
SELECT 'record ' || id || ' is there in more than one tenant' FROM records GROUP BY id HAVING count(*) > 1

-- name: open_versions
SELECT 'version ' || v.version || ' of ' || v.id || ' is followed by another but was never closed'
FROM versions v WHERE v.closed IS NULL OR v.known_end IS NULL

-- name: follow
SELECT 'version ' || v.version || ' of ' || v.id || ' has another scope, arrival or origin than the latest'
FROM versions v JOIN records r ON r.tenant = v.tenant AND r.id = v.id
WHERE (r.user_id, r.agent_id, r.run_id, r.origin, r.arrival)
    IS DISTINCT FROM (v.user_id, v.agent_id, v.run_id, v.origin, v.arrival)

-- name: counter
SELECT 'the counter stands at ' || c.last || ' but a row has the number ' || h.number
FROM counter c, (
    SELECT max(greatest(sequence, arrival, opened, closed)) AS number FROM history
    UNION ALL SELECT max(greatest(sequence, opened, closed)) FROM edges
) h WHERE h.number > c.last

-- name: places
SELECT 'record ' || r.id || ' and version ' || v.version || ' of ' || v.id || ' share the sequence ' || r.sequence
FROM versions v JOIN records r ON r.tenant = v.tenant AND r.sequence = v.sequence

-- name: arrivals
SELECT 'records share the arrival ' || arrival FROM records GROUP BY arrival HAVING count(*) > 1

-- name: staged
SELECT 'an entry is staged for version ' || t.version || ' of ' || t.id || ', which is not there'
FROM staged t WHERE NOT EXISTS (
    SELECT 1 FROM history h WHERE h.tenant = t.tenant AND h.id = t.id AND h.version = t.version
)

-- name: not_indexed
SELECT 'record ' || r.id || ' is not in its tenant''s index; run engram doctor --fix'
FROM records r JOIN ann_tenants t ON t.tenant = r.tenant AND t.filled
WHERE r.closed IS NULL AND r.known_end IS NULL AND length(r.words) > 0
    AND NOT EXISTS (SELECT 1 FROM ann n WHERE n.tenant = r.tenant AND n.id = r.id)

-- name: indexed
SELECT 'record ' || n.id || ' is in its tenant''s index but not there, or closed; run engram doctor --fix'
FROM ann n JOIN ann_tenants t ON t.tenant = n.tenant AND t.filled
WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.tenant = n.tenant AND r.id = n.id AND r.closed IS NULL
    AND r.known_end IS NULL AND length(r.words) > 0)
