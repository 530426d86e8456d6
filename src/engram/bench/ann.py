"""Large scopes: exact search beside approximate, and beside the bare index library."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

from engram.bench.annprobe import POLICIES, SHARES
from engram.bench.figures import Figure
from engram.bench.speed import one_thread
from engram.engine.large import LARGE
from engram.kernel.errors import ConfigError, StoreError
from engram.operators.retrieval.approximate import available

__all__ = ["figures", "measure"]


def measure(
    sizes: Sequence[int],
    keep: Path | None = None,
    step: Callable[[str], object] = str,
    *,
    layout: str = "graph",
    url: str | None = None,
) -> Iterator[Figure]:
    """Figures as they come, for a scope of each size; `step` is told what is under way.

    With `keep` the stores stay in that folder, and those that are there already are used again. `layout` is
    "graph" (usearch's) or "lists" (on disk). With `url` they are on that PostgreSQL, each in a schema of its
    own, where they stay, and the indexes are pgvector's. Raises `ConfigError` without usearch, and for a url
    that names a schema where there are several sizes; `StoreError` where a measuring process fails.
    """
    if url is None and not available():
        raise ConfigError("bench ann needs usearch: pip install 'engram[ann]'")
    if url is not None and "schema=" in url and len(sizes) > 1:
        raise ConfigError("the url names a schema, which is of one size: leave it out, or give --n one")
    one_thread()
    for n in sizes:
        held = TemporaryDirectory() if keep is None else nullcontext(str(keep / str(n)))
        with held as folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            step(f"a store of {n:,} records and its index")
            more = (layout,) if url is None else (layout, _schema(url, n))
            made = _probe("make", folder, n, *more)
            step(f"{n:,} records, exactly")
            exact = _probe("exact", folder, n, *more)
            step(f"{n:,} records, approximately")
            yield from figures(n, made, exact, _probe("approximate", folder, n, *more))


def _schema(url: str, n: int) -> str:
    """The url of the store for `n` records: in the schema that `url` names, else in one of its own."""
    if "schema=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}schema=engram_bench_{n}"


def _probe(role: str, folder: str, n: int, *more: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "engram.bench.annprobe", role, folder, str(n), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StoreError(f"measuring a scope of {n:,} records failed: {last}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def figures(
    n: int, made: Mapping[str, Any], exact: Mapping[str, Any], near: Mapping[str, Any]
) -> Iterator[Figure]:
    """What the processes measured, held against each other."""
    for policy in POLICIES:
        yield Figure(f"recall@10 of exact, {policy}", n, near["recall"][policy], "share", least=0.95)
    for share in SHARES:
        yield Figure(f"recall@10, filter of {share}", n, near["recall"][share], "share")
    for policy in (*POLICIES, *SHARES):
        took, floor = near["took"][policy], median(exact["took"][policy])
        what = f"search, {policy}" if policy in POLICIES else f"filter of {policy}"
        yield Figure(what, n, median(took), "ms", "exact search", floor)
        if policy in POLICIES:
            late = quantiles(exact["took"][policy], n=20)[-1]
            yield Figure("  95 of 100 within", n, quantiles(took, n=20)[-1], "ms", "exact search", late)
            bare, signals = near.get(f"{policy}: bare"), near[f"{policy}: signals"]
            yield Figure("  signals of the candidates", n, signals, "ms")
            rest = max(0.0, median(took) - signals)
            against = "" if bare is None else "bare library's query"
            most = 5 if bare and n >= LARGE else None  # below it nobody searches this way
            yield Figure("  the rest of the search", n, rest, "ms", against, bare, most=most)
    yield Figure("first search", n, near["first"], "ms", "exact search", exact["first"])
    yield Figure("resident memory after it", n, near["resident"], "MB", "exact search", exact["resident"])
    yield Figure("the index on disk", n, made["disk"], "MB", "the store", made["store"])
    if made["seconds"]:
        yield Figure(
            "making the index", n, 1000 * made["seconds"], "ms", "exact: first search", exact["first"]
        )
        yield Figure("  memory at its peak", n, made["peak"], "MB")
