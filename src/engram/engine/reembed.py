"""Giving a store to another embedder: entries made beside those in use, then one switch to all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from engram.engine.check import REEMBED, agrees
from engram.engine.core import Core
from engram.engine.progress import Progress
from engram.engine.results import Problem, Report
from engram.engine.sweep import sweep
from engram.kernel.errors import Conflict, ModelError, ModelUnavailable
from engram.kernel.protocols import Batch, Op, PutInfo, RequireInfo, Stage, Switch, Unstage
from engram.kernel.record import Record
from engram.operators.retrieval.codec import encode

__all__ = ["reembed", "unfinished"]

_SAMPLE = 1000
_SWITCHES = 200
_TAKEN = "another reembed has taken this store over; run 'engram reembed' again where that is not meant"


class _Finished(Exception):
    """Another run with the same embedder has made the switch."""


def unfinished(info: Mapping[str, str]) -> dict[str, str]:
    """Analyser, embedder and dimensions of a reembed that was begun and not finished, if there is one."""
    found: dict[str, str] = json.loads(info.get(REEMBED, "{}"))
    return found


def reembed(core: Core, progress: Progress | None = None) -> Report:
    """Write the entries of all versions anew with this core's embedder and analyser, and switch to them.

    Until the switch every process searches and adds as before. A run that was broken off goes on where it
    stopped; one with another embedder begins anew. `progress` counts versions as they are written, then
    again as they are proved: words and the presence of a vector for all, and the vectors of about 1,000
    by making them again where the embedder is local. `mended` is the number of versions.

    Raises `ModelUnavailable` where the embedder fails, and `Conflict` where another reembed takes over or
    the store is never at rest; what is written is kept then.
    """
    mine = json.dumps(core.identity, sort_keys=True)
    _begin(core, mine)
    try:
        _stage(core, mine, 0, progress)
        _switch(core, mine, progress)
    except _Finished:
        pass
    except ModelError as error:
        info = core.store.info()
        raise ModelUnavailable(
            f"{error}; {int(info.get('staged', 0)):,} of {int(info['versions']):,} entries are written and "
            "kept: run 'engram reembed' again to go on"
        ) from error
    core.forget_memos()
    return _proved(core, progress)


def _begin(core: Core, mine: str) -> None:
    """Note whose entries are staged from here on; those of anyone else are dropped."""
    present = core.store.info().get(REEMBED)
    if present != mine:
        core.store.commit(Batch((RequireInfo(((REEMBED, present),)), Unstage(), PutInfo(REEMBED, mine))))


def _stage(core: Core, mine: str, since: int, progress: Progress | None) -> None:
    """Stage what has no staged entry among the versions that changed behind `since`."""
    info = core.store.info()
    done, total = int(info.get("staged", 0)), int(info["versions"])
    if progress is not None:
        progress(done, total)
    for part in sweep(core.store, since, unstaged=True):
        done += _stage_part(core, mine, part.versions)
        if progress is not None:
            progress(done, max(done, total))


def _stage_part(core: Core, mine: str, wanted: Sequence[Record]) -> int:
    if wanted:
        made = core.encode(wanted, now=True)
        ops = [
            Stage(version.id, version.version, words, vector or b"")
            for version, (words, vector) in zip(wanted, made, strict=True)
        ]
        _commit(core, mine, *ops)
    return len(wanted)


def _commit(core: Core, mine: str, *ops: Op) -> bool:
    """Commit while the reembed is ours; False where something lacks its entry.

    Raises `_Finished` where another run has finished it, and `Conflict` where another has taken over.
    """
    try:
        core.store.commit(Batch((RequireInfo(((REEMBED, mine),)), *ops)))
    except Conflict as error:
        info = core.store.info()
        if info.get(REEMBED) == mine:
            return False
        if REEMBED not in info and core.identity.items() <= info.items():
            raise _Finished from error
        raise Conflict(_TAKEN) from error
    return True


def _switch(core: Core, mine: str, progress: Progress | None) -> None:
    """Catch up with what has come since, until the switch finds nothing lacking."""
    since = 0
    facts = (*core.identity.items(), (REEMBED, None))
    for _ in range(_SWITCHES):
        position = core.store.sequence()
        if _commit(core, mine, Switch(facts)):
            return
        _stage(core, mine, since, progress)
        since = position.last
    raise Conflict(
        f"records are added faster than they can be embedded: {_SWITCHES} attempts to switch came too late; "
        "stop what adds, and run 'engram reembed' again: what is written is kept"
    )


def _proved(core: Core, progress: Progress | None) -> Report:
    """Compare what the store holds now with the texts."""
    total = int(core.store.info()["versions"])
    every = max(1, total // _SAMPLE)
    problems: list[Problem] = []
    checked = done = 0
    for number, part in enumerate(sweep(core.store)):
        again = core.embedder.local and number % every == 0
        made = core.encode(part.versions) if again else encode([version.indexed for version in part.versions])
        for version, (words, vector) in zip(part.versions, made, strict=True):
            entry = part.entries[version.id, version.version]
            if not agrees(entry, words, vector, core.embedder.dimensions):
                problems.append(Problem("the index entry does not agree with the text", version.id))
        checked += sum(version.version == 1 for version in part.versions)
        done += len(part.versions)
        if progress is not None:
            progress(done, max(done, total))
    core.check_same()
    return Report(checked, tuple(problems), done)
