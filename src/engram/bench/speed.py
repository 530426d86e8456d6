"""Speed and size against floors measured in the same run, one BLAS thread, each store in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from engram.bench.figures import Figure
from engram.config import DEFAULT_POLICY, load_policy
from engram.kernel.errors import StoreError

__all__ = ["SIZES", "measure", "one_thread"]

SIZES = (1_000, 10_000, 100_000)
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_OPENINGS = 3
_STARTS = 11


def measure(
    sizes: Sequence[int], policy: str | None = None, step: Callable[[str], object] = str
) -> Iterator[Figure]:
    """Figures as they come, for a store of each size, then without a store; `step` is told what is under way.

    Raises `ConfigError` for an unknown policy, `StoreError` where a measuring process fails.
    """
    name = policy or DEFAULT_POLICY
    load_policy(name)
    one_thread()
    first: Mapping[str, float] | None = None
    for n in sizes:
        step(f"a store of {n:,} records")
        with TemporaryDirectory() as folder:
            found = _probe("store", folder, name, n)
            opened = [_probe("open", folder, name, n) for _ in range(_OPENINGS)]
        yield from _figures(n, found, opened)
        if first is None:
            first = found
        elif n >= 100_000:
            against = f"single add at {sizes[0]:,}"
            yield Figure("single add", n, found["add"], "ms", against, first["add"], most=2)
    step("starting Python")
    yield _import_time()


def one_thread() -> None:
    """Have the processes that are started from here use one thread for products of matrices."""
    for variable in _THREADS:
        os.putenv(variable, "1")  # they import numpy after it is set


def _probe(role: str, folder: str, policy: str, n: int) -> dict[str, float]:
    command = [sys.executable, "-m", "engram.bench.probe", role, folder, policy, str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StoreError(f"measuring a store of {n:,} records failed: {last}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _figures(n: int, found: Mapping[str, float], opened: Sequence[Mapping[str, float]]) -> Iterator[Figure]:
    big, large = n >= 10_000, n >= 100_000
    insert, plain = found["bare_insert"], found["search"]
    yield Figure("single add", n, found["add"], "ms", "bare insert + commit", insert, most=30)
    yield Figure("bulk add", n, found["bulk"], "/s", "bare insert + commit", 1000 / insert, least=0.1)
    yield Figure("bulk add", n, found["bulk"], "/s", "bare bulk insert", found["bare_bulk"])
    for shape, name in (("import_short", "import, 20 a chat"), ("import_long", "import, one chat")):
        yield Figure(name, n, found[shape], "/s", "bulk add", found["bulk"], least=0.5)
    most = (5 if large else 15) if big else None
    yield Figure("search, k=10", n, plain, "ms", "dot product, top-k", found["dot"], most=most)
    yield Figure("  after an add", n, found["search_after_add"], "ms", "plain search", plain, most=3)
    yield Figure("  after another's add", n, found["search_after_other"], "ms", "plain search", plain, most=3)
    limit = (4000 if large else 300) if big else None
    yield Figure("first search", n, _median(opened, "first_search"), "ms", most=limit)
    yield Figure("resident memory", n, _median(opened, "resident"), "MB", most=330 if large else None)
    yield Figure("  at its peak", n, _median(opened, "peak"), "MB")


def _median(opened: Sequence[Mapping[str, float]], key: str) -> float:
    return median(item[key] for item in opened)


def _import_time() -> Figure:
    """`import engram` above a bare Python, in ms: the difference of medians of starts taken in turns."""
    bare: list[float] = []
    with_engram: list[float] = []
    for _ in range(_STARTS):
        bare.append(_start("pass"))
        with_engram.append(_start("import engram"))
    return Figure("import engram", 0, median(with_engram) - median(bare), "ms", "above bare Python", most=100)


def _start(code: str) -> float:
    start = perf_counter()
    arguments: list[Any] = [sys.executable, "-c", code]
    subprocess.run(arguments, check=True)
    return 1000 * (perf_counter() - start)
