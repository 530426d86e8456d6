"""Filtered nearest neighbours in pgvector: recall and time at several selectivities, by index and scan.

    python scripts/measure_pgvector.py postgresql://localhost/scratch [--rows 1000000] [--queries 200]

Embeds made-up turns with the default embedder into a table of its own (`measure_pgvector`, dropped at the
end unless --keep), each in one of a thousand groups, and asks for the ten nearest of all of them, and of
10 %, 1 % and 0.1 % of the groups. Exact answers are float32 products. The role must be able to use pgvector.
Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from engram.bench.texts import questions, turns
from engram.models.static import StaticEmbedder

_TABLE = "measure_pgvector"
_BATCH = 10_000
_GROUPS = 1000
_SHARES = {"all": _GROUPS, "10 %": 100, "1 %": 10, "0.1 %": 1}
_K = 10
_EFS = (40, 100, 200, 400)
Link = psycopg.Connection[tuple[Any, ...]]
Floats = NDArray[np.float32]


def _sql(text: str) -> bytes:
    """SQL that is put together here of nothing but names and numbers."""
    return text.encode()


def _say(**figures: object) -> None:
    print(json.dumps(figures), flush=True)


def _fill(link: Link, rows: int, dimensions: int) -> tuple[Floats, NDArray[np.int16]]:
    """Make the table; its vectors, float32 [rows, dimensions], and their groups."""
    embedder = StaticEmbedder()
    groups = np.random.default_rng(7).integers(0, _GROUPS, rows).astype(np.int16)
    vectors = np.zeros((rows, dimensions), np.float32)
    link.execute(_sql(f"DROP TABLE IF EXISTS {_TABLE}"))
    link.execute(_sql(f"CREATE TABLE {_TABLE} (id INTEGER, grp SMALLINT, half halfvec({dimensions}))"))
    for first in range(0, rows, _BATCH):
        texts = [turn["content"] for turn in turns(min(_BATCH, rows - first), start=first)]
        vectors[first : first + len(texts)] = embedder.embed(texts)
        with link.cursor().copy(_sql(f"COPY {_TABLE} FROM STDIN")) as copy:
            for number, row in enumerate(vectors[first : first + len(texts)], first):
                copy.write_row((number, int(groups[number]), str(row.round(6).tolist())))
    link.execute(_sql(f"CREATE INDEX {_TABLE}_grp ON {_TABLE} (grp)"))
    link.execute(_sql(f"VACUUM ANALYZE {_TABLE}"))
    return vectors, groups


def _size(link: Link, name: str) -> float:
    row = link.execute("SELECT pg_relation_size(%s::regclass)", (name,)).fetchone()
    return round((row[0] if row else 0) / 1e6, 1)


def _index(link: Link, name: str, expression: str, where: str = "") -> None:
    start = time.perf_counter()
    link.execute(_sql(f"CREATE INDEX {_TABLE}_{name} ON {_TABLE} USING hnsw ({expression}) {where}"))
    seconds = round(time.perf_counter() - start, 1)
    _say(index=name, build_s=seconds, mb=_size(link, f"{_TABLE}_{name}"), table_mb=_size(link, _TABLE))


def _exact(vectors: Floats, groups: NDArray[np.int16], asked: Floats, first: int) -> list[set[int]]:
    """The ten nearest rows of each question among the groups below `first`."""
    rows = np.flatnonzero(groups < first)
    found = []
    for vector in asked:
        products = vectors @ vector if len(rows) == len(vectors) else vectors[rows] @ vector
        found.append(set(rows[np.argpartition(-products, _K)[:_K]].tolist()))
    return found


def _ask(link: Link, order: str, where: str, asked: list[str], truth: list[set[int]]) -> dict[str, object]:
    times, hits = [], 0
    statement = _sql(f"SELECT id FROM {_TABLE} {where} ORDER BY {order} LIMIT {_K}")  # noqa: S608
    for vector, wanted in zip(asked, truth, strict=True):
        start = time.perf_counter()
        found = link.execute(statement, (vector,)).fetchall()
        times.append(time.perf_counter() - start)
        hits += len(wanted & {row[0] for row in found})
    return {
        "recall": round(hits / _K / len(asked), 3),
        "median_ms": round(1000 * statistics.median(times), 2),
        "p95_ms": round(1000 * statistics.quantiles(times, n=20)[-1], 2),
    }


def _ways(dimensions: int) -> Iterator[tuple[str, str, list[str]]]:
    """Each way to ask: its name, what to order by, and the settings."""
    half = f"half <=> %s::halfvec({dimensions})"
    for ef in _EFS:
        off = [f"hnsw.ef_search = {ef}", "hnsw.iterative_scan = off"]
        yield f"halfvec, ef {ef}", half, off
    for scan in ("strict_order", "relaxed_order"):
        for most in (20_000, 200_000):
            settings = [
                "hnsw.ef_search = 100",
                f"hnsw.iterative_scan = {scan}",
                f"hnsw.max_scan_tuples = {most}",
                "hnsw.scan_mem_multiplier = 4",
            ]
            yield f"halfvec, ef 100, {scan}, at most {most}", half, settings


def main() -> None:
    """Fill, index, ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--keep", action="store_true", help="leave the table")
    given = parser.parse_args()
    embedder = StaticEmbedder()
    with psycopg.connect(given.url, autocommit=True) as link:
        link.execute("CREATE EXTENSION IF NOT EXISTS vector")
        link.execute("SET maintenance_work_mem = '2GB'")
        link.execute("SET plan_cache_mode = force_custom_plan")
        vectors, groups = _fill(link, given.rows, embedder.dimensions)
        _say(rows=given.rows, dimensions=embedder.dimensions, table_mb=_size(link, _TABLE))
        embedded = embedder.embed(questions(given.queries, given.rows))
        asked = [str(row.round(6).tolist()) for row in embedded]
        truths = {name: _exact(vectors, groups, embedded, first) for name, first in _SHARES.items()}
        _measure(link, embedder.dimensions, asked, truths)
        if not given.keep:
            link.execute(_sql(f"DROP TABLE {_TABLE}"))


def _measure(link: Link, dimensions: int, asked: list[str], truths: dict[str, list[set[int]]]) -> None:
    half = f"half <=> %s::halfvec({dimensions})"
    link.execute("SET enable_indexscan = on")
    for name, first in _SHARES.items():
        if first < _GROUPS:
            figures = _ask(link, half, f"WHERE grp < {first}", asked, truths[name])
            _say(share=name, way="no index: every row of the share", **figures)
    _index(link, "half", "half halfvec_cosine_ops")
    link.execute("SET enable_bitmapscan = off")
    link.execute("SET enable_seqscan = off")
    link.execute("SET enable_sort = off")
    for name, first in _SHARES.items():
        where = f"WHERE grp < {first}" if first < _GROUPS else ""
        for way, order, settings in _ways(dimensions):
            for setting in settings:
                link.execute(_sql(f"SET {setting}"))
            _say(share=name, way=way, **_ask(link, order, where, asked, truths[name]))
    link.execute(_sql(f"DROP INDEX {_TABLE}_half"))
    link.execute("SET hnsw.iterative_scan = off")
    for name, first in list(_SHARES.items())[1:]:
        _index(link, f"part{first}", "half halfvec_cosine_ops", f"WHERE grp < {first}")
        for ef in _EFS:
            link.execute(_sql(f"SET hnsw.ef_search = {ef}"))
            figures = _ask(link, half, f"WHERE grp < {first}", asked, truths[name])
            _say(share=name, way=f"an index of its own, ef {ef}", **figures)
    full = f"(half::vector({dimensions}))"
    _index(link, "full", f"{full} vector_cosine_ops")
    for ef in _EFS:
        link.execute(_sql(f"SET hnsw.ef_search = {ef}"))
        order = f"{full} <=> %s::vector({dimensions})"
        _say(share="all", way=f"vector, ef {ef}", **_ask(link, order, "", asked, truths["all"]))


if __name__ == "__main__":
    main()
