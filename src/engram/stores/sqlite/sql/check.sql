-- Each statement gives one sentence for each thing that is wrong.

-- name: sources
SELECT 'record ' || l.derived || ' names the source ' || l.source
    || ', which is not there; forget the record, or restore a copy'
FROM lineage l WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.id = l.source)

-- name: lineage
SELECT DISTINCT 'lineage of ' || l.derived || ' version ' || l.version || ', which is not there'
FROM lineage l WHERE NOT EXISTS (SELECT 1 FROM history h WHERE h.id = l.derived AND h.version = l.version)

-- name: missing_lineage
SELECT 'record ' || h.id || ' version ' || h.version || ' has a source without a lineage row: ' || j.value
FROM history h, json_each(h.sources) j
WHERE NOT EXISTS (
    SELECT 1 FROM lineage l WHERE l.derived = h.id AND l.version = h.version AND l.source = j.value
)

-- name: extra_lineage
SELECT 'record ' || l.derived || ' version ' || l.version || ' has a lineage row of ' || l.source
    || ', which is none of its sources'
FROM lineage l JOIN history h ON h.id = l.derived AND h.version = l.version
WHERE NOT EXISTS (SELECT 1 FROM json_each(h.sources) j WHERE j.value = l.source)

-- name: edge_reads
SELECT 'edge ' || e.id || ' has a source without a row: ' || j.value FROM edges e, json_each(e.sources) j
WHERE NOT EXISTS (
    SELECT 1 FROM edge_reads d WHERE d.edge = e.id AND d.version = e.version AND d.record = j.value
)

-- name: extra_edge_reads
SELECT 'edge ' || d.edge || ' has a row of ' || d.record || ', which is none of its sources'
FROM edge_reads d WHERE NOT EXISTS (
    SELECT 1 FROM edges e, json_each(e.sources) j
    WHERE e.id = d.edge AND e.version = d.version AND j.value = d.record
)

-- name: state_reads
SELECT 'state ' || s.key || ' has read a record without a row: ' || j.value
FROM states s, json_each(s.reads) j
WHERE NOT EXISTS (SELECT 1 FROM state_reads d WHERE d.state = s.id AND d.record = j.value)

-- name: extra_state_reads
SELECT 'state ' || s.key || ' has a row of ' || d.record || ', which it has not read'
FROM state_reads d JOIN states s ON s.id = d.state
WHERE NOT EXISTS (SELECT 1 FROM json_each(s.reads) j WHERE j.value = d.record)

-- name: job_reads
SELECT 'job ' || b.id || ' has read a record without a row: ' || j.value FROM jobs b, json_each(b.reads) j
WHERE NOT EXISTS (SELECT 1 FROM job_reads d WHERE d.job = b.id AND d.record = j.value)

-- name: extra_job_reads
SELECT 'job ' || d.job || ' has a row of ' || d.record || ', which it has not read'
FROM job_reads d JOIN jobs b ON b.id = d.job
WHERE NOT EXISTS (SELECT 1 FROM json_each(b.reads) j WHERE j.value = d.record)

-- name: edges
SELECT 'edge ' || e.id || ' touches the record ' || j.value
    || ', which is not there; forget the record at its other end, or restore a copy'
FROM edges e, json_each(json_array(e.source, e.target)) j
WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.id = j.value)

-- name: versions
SELECT 'record ' || r.id || ' is at version ' || r.version || ' but has ' || count(v.id)
    || ' older ones; restore a copy, or forget the record'
FROM records r LEFT JOIN versions v ON v.id = r.id
GROUP BY r.id
HAVING count(v.id) <> r.version - 1 OR coalesce(max(v.version), 0) >= r.version

-- name: orphans
SELECT DISTINCT 'versions of ' || v.id || ' are there without a latest one; restore a copy'
FROM versions v WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.id = v.id)

-- name: open_versions
SELECT 'version ' || v.version || ' of ' || v.id || ' is followed by another but was never closed'
FROM versions v WHERE v.closed IS NULL OR v.known_end IS NULL

-- name: follow
SELECT 'version ' || v.version || ' of ' || v.id || ' has another scope, arrival or origin than the latest'
FROM versions v JOIN records r ON r.id = v.id
WHERE r.scope <> v.scope OR r.arrival <> v.arrival OR r.origin IS NOT v.origin

-- name: counter
SELECT 'the counter stands at ' || c.last || ' but a row has the number ' || h.number
FROM counter c, (
    SELECT max(max(sequence, arrival, opened, coalesce(closed, 0))) AS number FROM history
    UNION ALL SELECT max(max(sequence, opened, coalesce(closed, 0))) FROM edges
) h WHERE h.number > c.last

-- name: places
SELECT 'record ' || r.id || ' and version ' || v.version || ' of ' || v.id || ' share the sequence ' || r.sequence
FROM versions v JOIN records r ON r.sequence = v.sequence

-- name: arrivals
SELECT 'records share the arrival ' || arrival FROM records GROUP BY arrival HAVING count(*) > 1

-- name: scopes
SELECT 'scope ' || s.id || ' is there without a record or an edge'
FROM scopes s WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.scope = s.id)
    AND NOT EXISTS (SELECT 1 FROM edges e WHERE e.scope = s.id)

-- name: keys
SELECT 'scope ' || s.id || ' is filed under another key than its own'
FROM scopes s WHERE NOT json_valid(s.key) OR (
    s.key ->> 0 IS NOT s.tenant OR s.key ->> 1 IS NOT s.user_id
    OR s.key ->> 2 IS NOT s.agent_id OR s.key ->> 3 IS NOT s.run_id
)

-- name: staged
SELECT 'an entry is staged for version ' || t.version || ' of ' || t.id || ', which is not there'
FROM staged t WHERE NOT EXISTS (SELECT 1 FROM history h WHERE h.id = t.id AND h.version = t.version)
