"""Off the hot path: pending jobs, expired records, purges, the policy's tending, and what there is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from engram.engine.check import REEMBED
from engram.engine.compile import Compiled, compile_changes
from engram.engine.core import Core
from engram.engine.erasing import erase
from engram.engine.jobs import is_ours
from engram.engine.performer import Performer
from engram.engine.reembed import unfinished
from engram.engine.results import Item, Receipt
from engram.engine.revise import purge
from engram.engine.shelf import ANN, large_scopes
from engram.engine.spending import spent
from engram.engine.turns import Shift
from engram.engine.waking import Bell
from engram.kernel.changes import Changes, Erase, Merge, Retire
from engram.kernel.clock import micros
from engram.kernel.effects import Task, Under
from engram.kernel.errors import Conflict
from engram.kernel.protocols import Batch, Committed, Job, Op, Select
from engram.kernel.record import new_id
from engram.kernel.scope import Scope
from engram.operators.retrieval.approximate import available

__all__ = ["scopes", "stats", "tend", "wait"]

MAX_RETIRED_SHARE = 0.5
_SMALL_SCOPE = 10
_TRIES = 5


async def wait(core: Core, timeout: float | None) -> bool:  # noqa: ASYNC109 - the face's own
    """Run or wait for pending jobs until none is left; False where some are parked, foreign or time is up."""
    deadline = None if timeout is None else time.monotonic() + timeout
    shift, bell = Shift(core), Bell(core.waking)
    try:
        return await _emptied(core, shift, bell, deadline)
    finally:
        bell.close()


async def _emptied(core: Core, shift: Shift, bell: Bell, deadline: float | None) -> bool:
    while True:
        if (deadline is None or time.monotonic() <= deadline) and await shift.one() is not None:
            continue
        jobs: list[Job] = await Task.of(core.store.jobs)
        ours = [job for job in jobs if job.status == "pending" and is_ours(core, job)]
        if not ours:
            return not jobs
        if deadline is not None:
            left = deadline - time.monotonic()
            now = core.now()
            first = min((job.not_before or now) - now for job in ours).total_seconds()
            if left < 0 or first > left:
                return False  # such as a budget's next day
        await Task.of(bell.wait, 0.05)


async def tend(core: Core, scope: Scope, patience: float = 60.0) -> Receipt:
    """Erase what has expired, finish pending work and purges, and let the policy tend each lane in scope.

    For pending work it takes at most `patience` seconds. The files of large scopes, or the indexes of
    large tenants, are made, or made anew.

    What the policy decides for all lanes is one change set; where the memory changed meanwhile, the policy
    tends it again. Raises `Conflict` where it would take too much.
    """
    items = list(await Task.of(_erase_expired, core, scope))
    if patience > 0:
        await wait(core, patience)
    usage: dict[str, float] = {}
    committed = None
    for attempt in range(_TRIES if core.policy.tends else 0):
        try:
            made, committed = await _tended(core, scope, usage)
        except _Moved as moved:
            if attempt == _TRIES - 1:
                raise Conflict(f"the memory changed {_TRIES} times while it was tended: {moved}") from moved
            continue
        items += made
        break
    erased = any(item.event == "erased" for item in items)
    owed = erased or (await Task.of(core.store.info)).get("purge") == "pending"
    state = await Task.of(purge, core) if owed else None
    await Task.of(core.maker.tend, large_scopes(core.store, scope, core.large))
    if core.indexing is not None:
        await Task.of(core.indexing.index, scope.tenant, core.large)
    return Receipt(tuple(items), str(committed.change_set) if committed else None, usage=usage, purge=state)


class _Moved(Exception):
    """What the policy's tending stands on has changed meanwhile: it is to be done again."""


async def _tended(core: Core, scope: Scope, usage: dict[str, float]) -> tuple[list[Item], Committed | None]:
    """What the policy decides for every lane in scope, as one change set. Raises `_Moved`."""
    items: list[Item] = []
    ops: list[Op] = []
    lanes = dict.fromkeys(found.lane for found, _ in await Task.of(core.store.scopes, scope))
    base = new_id(micros(core.now()) // 1000, (await Task.of(core.store.sequence)).last, 0)
    for number, lane in enumerate(lanes):
        key = f"{base}.{number}"
        performer = Performer(core, core.policy, lane, core.present, job=key, usage=usage)
        changes = await Under(core.policy.tend(lane), core.driven(performer))
        if not changes:
            continue
        await Task.of(_check_share, core, lane, changes)
        try:
            compiled: Compiled = await Task.of(
                compile_changes, core, core.policy, lane, changes, key, frozenset(performer.reads)
            )
        except Conflict as conflict:
            raise _Moved(str(conflict)) from conflict
        items.extend(compiled.items)
        ops.extend(compiled.ops)
    try:
        return items, await Task.of(core.store.commit, Batch(tuple(ops))) if ops else None
    except Conflict as conflict:
        raise _Moved(str(conflict)) from conflict


def _check_share(core: Core, lane: Scope, changes: Changes) -> None:
    """Stop a step that would take away too much of a scope at once."""
    ends = sum(
        len(change.others) if isinstance(change, Merge) else isinstance(change, Retire | Erase)
        for change in changes
    )
    total = sum(count for _, count in core.store.scopes(lane))
    if total >= _SMALL_SCOPE and ends > MAX_RETIRED_SHARE * total:
        raise Conflict(
            f"tend stopped: policy {core.policy.name!r} would end {ends} of {total} records in {lane}; "
            "nothing was changed. Look at its parameters, or forget the records yourself"
        )


def _erase_expired(core: Core, scope: Scope) -> list[Item]:
    found = core.store.select(Select(scope=scope, expired_by=core.now(), closed=True))
    if not found:
        return []
    return erase(core, [record.id for record in found])[0]


def scopes(core: Core, pattern: Scope | None) -> list[dict[str, Any]]:
    """Every scope in `pattern` that holds records, with their number."""
    return [{**scope.to_dict(), "records": count} for scope, count in core.store.scopes(pattern)]


def stats(core: Core, scope: Scope | None) -> dict[str, Any]:
    """Counts and sizes: records, scopes, jobs, bytes on disk and in the cache, who made the entries.

    `reembed` is there while one is not finished, `large` where there are large scopes.
    """
    info = dict(core.store.info())
    counted = core.store.scopes(scope)
    jobs = core.store.jobs(scope)
    return {
        "records": sum(count for _, count in counted),
        "scopes": len(counted),
        "jobs": {
            "pending": sum(job.status == "pending" for job in jobs),
            "parked": sum(job.status == "parked" for job in jobs),
        },
        "usage": spent(core, scope),
        "bytes": int(info.get("bytes", 0)),
        "cache_bytes": core.cache.nbytes,
        "policy": core.policy.made_by,
        "embedder": info.get("embedder"),
        "dimensions": int(info.get("dimensions", 0)),
        "analyser": info.get("analyser"),
        "format": info.get("format"),
        "created": info.get("created"),
        "purge": info.get("purge", "done"),
        **({"reembed": _under_way(info)} if REEMBED in info else {}),
        **_large(core, scope),
    }


def _large(core: Core, scope: Scope | None) -> dict[str, Any]:
    """How many large scopes there are, how many have an index in a file, and what that takes."""
    shelf = core.maker.shelf
    found = large_scopes(core.store, scope, core.large)
    if not found or not shelf.possible:
        return {}
    files = shelf.files
    mine = {path.name for path in map(shelf.path, found) if path is not None and path.name in files}
    needs = {} if available() else {"needs": ANN}
    size = sum(files.values()) if scope is None else sum(files[name] for name in mine)
    return {"large": {"scopes": len(found), "indexed": len(mine), "bytes": size, **needs}}


def _under_way(info: Mapping[str, str]) -> dict[str, Any]:
    """How far a reembed has come that is not finished."""
    wanted = unfinished(info)
    return {"embedder": wanted["embedder"], "staged": int(info.get("staged", 0)), "of": int(info["versions"])}
