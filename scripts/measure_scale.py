"""What `engram bench ann --url` does not say of one tenant of N records on PostgreSQL.

    python scripts/measure_scale.py postgresql://localhost/scratch [--rows 100000] [--texts words]

Disk by part, pgvector alone by how much of the tenant is asked about, and turns of words drawn one by one.
Fills the store at the url with made-up turns (what is there stays), in sessions of 20; of the users, one has
0.1 % of the sessions, one 1 %, one 10 % and one the rest. Makes the tenant's indexes, then asks: pgvector
alone as engram asks it, engram over candidates, and engram over everything in memory, which is the exact
answer. Prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from engram import Memory
from engram.bench import many
from engram.bench.texts import SESSION, questions, turns
from engram.engine.core import Core
from engram.kernel.clock import micros
from engram.kernel.preselect import Among
from engram.kernel.protocols import Batch, Put
from engram.kernel.record import Interval, Record
from engram.kernel.scope import Scope
from engram.stores.postgres import ann_build
from engram.stores.postgres.connection import Link, connect
from engram.stores.postgres.rows import digest
from engram.stores.postgres.store import PostgresStore
from engram.stores.postgres.target import Target, target_of

_BATCH, _K, _NEAR, _FEW = 2000, 10, 150, 20
_EXACT = """
SELECT id, vector::public.halfvec({size}) OPERATOR(public.<=>) %(vector)s::public.halfvec({size}) AS far
FROM ann WHERE tenant = %(tenant)s AND vector IS NOT NULL"""
_USERS = {"u0": 0.001, "u1": 0.01, "u2": 0.1}
_PARTS = """
SELECT CASE WHEN c.relname LIKE 'ann_v_%' THEN 'hnsw' WHEN c.relname LIKE 'ann_t_%' THEN 'gin'
    WHEN c.relname LIKE 'ann%' THEN CASE c.relkind WHEN 'i' THEN 'ann, b-trees' ELSE 'ann, rows' END
    WHEN c.relname LIKE 'records%' THEN CASE c.relkind WHEN 'i' THEN 'records, b-trees'
    ELSE 'records, rows' END ELSE 'rest' END, sum(pg_relation_size(c.oid)
    + CASE WHEN c.reltoastrelid <> 0 THEN pg_total_relation_size(c.reltoastrelid) ELSE 0 END)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'i') GROUP BY 1 ORDER BY 1
"""


def _say(**figures: object) -> None:
    print(json.dumps(figures), flush=True)


def _resident() -> float:
    """Memory of this process, MB."""
    status = Path("/proc/self/status").read_text()
    return round(int(status.partition("VmRSS:")[2].split()[0]) / 1024)


def _user(number: int) -> str:
    """Whose session a turn is in."""
    drawn = random.Random(number // SESSION).random()  # noqa: S311 - the same on every run
    for name, share in _USERS.items():
        if drawn < share:
            return name
        drawn -= share
    return "u3"


def _records(texts: str, tenant: str, first: int, count: int) -> Iterator[Record]:
    """Turns whose words are drawn one by one, or in sessions about few topics (`bench.many`)."""
    if texts == "topics":
        for number in range(first, first + count, SESSION):
            yield from many.records(number, SESSION, Scope(tenant, _user(number)))
        return
    for number, turn in enumerate(turns(count, start=first), first):
        said, scope = datetime.fromisoformat(turn["time"]), Scope(tenant, _user(number))
        told = Interval(said)
        yield Record(
            "", "episode", turn["content"], scope, said, told, told, level=0, role="user", name=turn["name"]
        )


def _fill(core: Core, texts: str, tenant: str, rows: int) -> None:
    held = sum(count for scope, count in core.store.scopes() if scope.tenant == tenant)
    start = time.perf_counter()
    for first in range(held, rows, _BATCH):
        records = list(_records(texts, tenant, first, min(_BATCH, rows - first)))
        entries = core.encode(records, now=True)
        core.store.commit(Batch(tuple(Put(r, *e) for r, e in zip(records, entries, strict=True))))
    if held < rows:
        _say(filled=rows - held, seconds=round(time.perf_counter() - start))


def _index(target: Target, tenant: str, effort: int | None) -> None:
    with connect(target) as link:
        start = time.perf_counter()
        rows = ann_build.build(link, tenant, effort=effort)
        _say(indexed=rows, seconds=round(time.perf_counter() - start), effort=effort)
        parts = link.execute(_PARTS.encode()).fetchall()
        _say(mb={name: round(size / 1e6, 1) for name, size in parts})


def _cpu(link: Link) -> float:
    """Seconds of processor time that this process and the server's for this database have had so far."""
    rows = link.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()").fetchall()
    ticks = 0
    for (pid,) in rows:
        stat = Path(f"/proc/{pid}/stat")
        ticks += sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13])) if stat.exists() else 0
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _timed(link: Link, asked: Sequence[Any], ask: Callable[[Any], Any]) -> tuple[list[Any], dict[str, float]]:
    """The answers and their times; the first question, which may make things, is left out of these."""
    start = time.perf_counter()
    ask(asked[0])
    first, times, found, before = time.perf_counter() - start, [], [], _cpu(link)
    for question in asked:
        start = time.perf_counter()
        found.append(ask(question))
        times.append(time.perf_counter() - start)
    return found, {
        "first_s": round(first, 2),
        "cpu_ms": round(1000 * (_cpu(link) - before) / len(asked), 2),
        "median_ms": round(1000 * statistics.median(times), 2),
        "p95_ms": round(1000 * statistics.quantiles(times, n=20)[-1], 2),
    }


def _search(
    link: Link, memory: Memory, tenant: str, asked: list[str], above: int
) -> tuple[list[set[str]], dict[str, float]]:
    """The hits of each question, with scopes of more than `above` records preselected."""
    memory._bound.core.larges.above = above  # noqa: SLF001 - to measure both ways with one store
    found, figures = _timed(link, asked, lambda text: memory.search(text, tenant=tenant, everyone=True, k=_K))
    return [{hit.id for hit in hits} for hits in found], {**figures, "resident_mb": _resident()}


def _overlap(found: Sequence[set[str]], exact: Sequence[set[str]]) -> float:
    wanted = sum(len(one) for one in exact)
    return round(sum(len(one & other) for one, other in zip(found, exact, strict=True)) / max(1, wanted), 3)


def _bare(core: Core, target: Target, tenant: str, asked: list[str]) -> None:
    """What pgvector finds alone, by scope; against the exact answer, which reads every row of the scope."""
    store = PostgresStore(target)
    vectors = list(core.embedder.embed(asked))
    among = Among(micros(core.now()))
    with closing(store), connect(target) as link:
        for user in (None, "u2", "u1", "u0"):
            scope = Scope(tenant, user)
            near, figures = _timed(link, vectors, partial(_near, store, scope, among))
            exact, slow = _timed(link, vectors[:_FEW], partial(_exactly, link, scope))
            share = "all" if user is None else f"{100 * _USERS[user]:g} %"
            _say(
                pgvector=share,
                recall_10=_overlap(near[:_FEW], exact),
                **figures,
                exact={"cpu_ms": slow["cpu_ms"], "median_ms": slow["median_ms"]},
            )


def _near(store: PostgresStore, scope: Scope, among: Among, vector: Any) -> set[str]:
    """The nearest ids, as engram asks for more of them."""
    return {id for id, _ in store.nearest(scope, [vector], _NEAR, among)[0][:_K]}


def _exactly(link: Link, scope: Scope, vector: Any) -> set[str]:
    """The nearest ids, without an index."""
    link.execute("SELECT set_config('enable_indexscan', 'off', false)")
    user = digest(scope.user_id)
    of_user = "" if user is None else " AND user_key = %(user)s"
    statement = f"{_EXACT.replace('{size}', str(len(vector)))}{of_user} ORDER BY far LIMIT 10"
    values = {"tenant": scope.tenant, "user": user, "vector": str([round(float(x), 7) for x in vector])}
    return {row[0] for row in link.execute(statement.encode(), values).fetchall()}


def main() -> None:
    """Fill, index, ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--effort", type=int, help="HNSW's ef_construction")
    parser.add_argument("--texts", choices=("topics", "words"), default="topics")
    parser.add_argument("--tenant", default="scale")
    parser.add_argument("--policy", default="fusion")
    given = parser.parse_args()
    asked = (many.asked if given.texts == "topics" else questions)(given.queries, given.rows)
    with closing(Memory(given.url, policy=given.policy)) as memory, connect(target_of(given.url)) as link:
        core = memory._bound.core  # noqa: SLF001
        _fill(core, given.texts, given.tenant, given.rows)
        target = target_of(given.url)
        _index(target, given.tenant, given.effort)
        _bare(core, target, given.tenant, asked)
        found, figures = _search(link, memory, given.tenant, asked, 0)
        _say(preselected=given.policy, **figures)
        gc.collect()
        exact, figures = _search(link, memory, given.tenant, asked[: max(20, given.queries // 5)], 1 << 60)
        _say(in_memory=given.policy, **figures, recall_10_of_preselected=_overlap(found[: len(exact)], exact))


if __name__ == "__main__":
    main()
