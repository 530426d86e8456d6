"""An index as arrays and facts, to be kept in a file, and made of them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval.arrays import Broken, Laid, laid
from engram.operators.retrieval.figures import Figures
from engram.operators.retrieval.growing import CHUNK, Table, Vectors
from engram.operators.retrieval.ids import Ids, Places, hashed, packed
from engram.operators.retrieval.index import ScopeIndex
from engram.operators.retrieval.layout import Layout
from engram.operators.retrieval.postings import Postings
from engram.operators.retrieval.rows import Rows

__all__ = ["frozen", "thawed"]

Arrays = Mapping[str, NDArray[Any]]


def frozen(index: ScopeIndex, prefix: str = "") -> tuple[dict[str, Any], dict[str, Laid]]:
    """The facts and arrays of an index that is settled; their names begin with `prefix`."""
    rows, layout, vectors, postings, figures = index.parts()
    tables = {**rows.tables(), **layout.tables()}
    words = packed(list(rows.ids))
    alive = np.flatnonzero(rows["alive"])
    keys = hashed(words[alive])
    order = np.argsort(keys, kind="stable")
    serials = np.array(sorted(figures.long_sums), np.int64)
    sums = [figures.long_sums[serial].astype("<f4") for serial in serials.tolist()]
    arrays = {
        **{name: laid(table) for name, table in tables.items()},
        **{f"run{place}": laid(run) for place, run in enumerate(postings.runs)},
        "ids": laid(words),
        "keys": laid(keys[order]),
        "homes": laid(alive[order].astype(np.int32)),
        "serials": laid(serials),
        "sums": laid(np.array(sums, "<f4").reshape(len(sums), vectors.dimensions)),
        **_vectors(vectors),
    }
    facts = {
        "rows": rows.facts(),
        "sizes": {name: table.size for name, table in tables.items()},
        "vectors": vectors.size,
        "runs": len(postings.runs),
        "last": index.last,
    }
    return facts, {prefix + name: array for name, array in arrays.items()}


def _vectors(vectors: Vectors) -> dict[str, Laid]:
    room = (vectors.size // CHUNK + 1) * CHUNK
    codes: list[tuple[int, NDArray[Any]]] = []
    scales: list[tuple[int, NDArray[Any]]] = []
    for number, (code, scale) in enumerate(vectors.blocks()):
        codes.append((number * CHUNK * vectors.dimensions, code.copy()))
        scales.append((number * CHUNK, scale.copy()))
    return {
        "codes": Laid("|i1", (room, vectors.dimensions), codes),
        "scales": Laid("<f4", (room,), scales),
    }


def thawed(index: ScopeIndex, facts: Mapping[str, Any], arrays: Arrays, prefix: str = "") -> None:
    """Put what `frozen` gave into an empty index.

    Raises `Broken` where parts are missing or do not fit each other.
    """
    try:
        _thaw(index, facts, {name[len(prefix) :]: arrays[name] for name in arrays if name.startswith(prefix)})
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Broken(f"it lacks something: {error}") from error


def _thaw(index: ScopeIndex, facts: Mapping[str, Any], arrays: Arrays) -> None:
    tables = {name: Table.over(arrays[name], size) for name, size in facts["sizes"].items()}
    ids = Ids(arrays["ids"])
    places = Places(ids, arrays["keys"], arrays["homes"], arrays["ids"].shape[1])
    rows = Rows.over(facts["rows"], tables, ids, places)
    layout = Layout.over(tables)
    vectors = Vectors.over(arrays["codes"], arrays["scales"], facts["vectors"])
    sums = dict(zip(arrays["serials"].tolist(), arrays["sums"].astype(np.float64), strict=True))
    if not len(ids) == vectors.size == tables["wide"].size == tables["position"].size:
        raise Broken("its parts are of different lengths")
    postings = Postings([arrays[f"run{place}"] for place in range(facts["runs"])])
    index.take(rows, layout, vectors, postings, Figures(layout, rows, vectors, sums), facts["last"])
