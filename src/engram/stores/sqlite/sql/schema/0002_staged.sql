-- Format 2: index entries that are made ahead, with another embedder or analyser, until all are there.

CREATE TABLE staged (
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    words BLOB NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (id, version)
);
