-- Each statement gives one sentence for each thing that is wrong.

-- name: sources
SELECT 'record ' || l.derived || ' names the source ' || l.source || ', which is not there'
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

-- name: edges
SELECT 'edge ' || e.id || ' touches the record ' || j.value || ', which is not there'
FROM edges e, json_each(json_array(e.source, e.target)) j
WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.id = j.value)

-- name: versions
SELECT 'record ' || r.id || ' is at version ' || r.version || ' but has ' || count(v.id) || ' older ones'
FROM records r LEFT JOIN versions v ON v.id = r.id
GROUP BY r.id
HAVING count(v.id) <> r.version - 1 OR coalesce(max(v.version), 0) >= r.version

-- name: orphans
SELECT DISTINCT 'versions of ' || v.id || ' are there without a latest one'
FROM versions v WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.id = v.id)

-- name: open_versions
SELECT 'version ' || v.version || ' of ' || v.id || ' is followed by another but was never closed'
FROM versions v WHERE v.closed IS NULL OR v.known_end IS NULL

-- name: counter
SELECT 'the counter stands at ' || c.last || ' but a row has the number ' || h.sequence
FROM counter c, history h WHERE h.sequence > c.last

-- name: arrivals
SELECT 'records share the arrival ' || arrival FROM records GROUP BY arrival HAVING count(*) > 1

-- name: scopes
SELECT 'scope ' || s.id || ' is there without a record'
FROM scopes s WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.scope = s.id)
