"""What may be wrong with an open store, and the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from engram.engine.check import entry_problems, verify
from engram.engine.core import Core
from engram.engine.identity import identity
from engram.engine.large import LARGE
from engram.engine.progress import Progress
from engram.engine.reembed import unfinished
from engram.engine.shelf import ANN, large_scopes
from engram.engine.sweep import sweep
from engram.kernel.keeping import Finding
from engram.kernel.preselect import Beside
from engram.kernel.protocols import Embedder, Store
from engram.operators.retrieval.approximate import available

__all__ = ["agreement", "embedder_findings", "store_findings"]

_OLD = timedelta(hours=1)
_LAST = 1000
_PARTS = 16
_NAMED = 5
IMPORT = "import:"
"""How the facts begin that an import keeps while it is not finished."""


def store_findings(store: Store, now: datetime) -> Iterator[Finding]:
    """Owed work: a purge, jobs, a reembed or an import that was broken off."""
    info = store.info()
    if info.get("purge") == "pending":
        what = "bytes of what was forgotten may still be in the file"
        yield Finding("purge", "warn", what, "engram repair", "purge")
    else:
        yield Finding("purge", "ok", "nothing that was forgotten is left")
    yield from _job_findings(store, now)
    yield from _large_findings(store)
    wanted = unfinished(info)
    if wanted:
        staged, versions = int(info.get("staged", 0)), int(info["versions"])
        what = f"a reembed with {wanted['embedder']!r} stopped at {staged:,} of {versions:,}"
        yield Finding("reembed", "warn", what, "engram reembed --embedder SPEC, of that embedder, goes on")
    imports = sum(key.startswith(IMPORT) for key in info)
    if imports:
        what = f"{imports} import{'s' * (imports > 1)} of engram's own files began and did not end"
        yield Finding("import", "warn", what, "engram import FILE, of the same file, goes on")


def embedder_findings(store: Store, embedder: Embedder) -> Iterator[Finding]:
    """Whether this embedder and this engram's analyser made the store's index entries."""
    info = store.info()
    for key, value in identity(embedder).items():
        if info.get(key, value) != value:
            what = f"the store's {key} is {info[key]!r}, and it is opened with {value!r}"
            mend = (
                "engram reembed" if key == "analyser" else "give --embedder of the store, or engram reembed"
            )
            yield Finding(key, "wrong", what, mend)
            return
    wanted = unfinished(info)
    fix = "reembed" if wanted == identity(embedder) else None
    if fix:
        what = "the reembed that stopped was with this embedder"
        yield Finding("embedder", "warn", what, "engram reembed", fix)
    else:
        where = "local" if embedder.local else "remote"
        new = "" if "embedder" in info else ", which the store takes at its first use"
        yield Finding("embedder", "ok", f"{embedder.name}, {embedder.dimensions} dimensions, {where}{new}")


def agreement(core: Core, *, full: bool, progress: Progress | None = None) -> Iterator[Finding]:
    """Whether index entries agree with their texts: those of the oldest and newest versions, or `full`."""
    if full:
        report = verify(core, progress)
        wrong = [f"{problem.id or 'store'}: {problem.what}" for problem in report.problems]
        looked = f"everything that is derived of {report.checked:,} records agrees with them"
    else:
        last = core.store.sequence().last
        parts = [*islice(sweep(core.store), _PARTS)]
        parts += islice(sweep(core.store, max(0, last - _LAST)), _PARTS)
        seen = {(version.id, version.version) for part in parts for version in part.versions}
        wrong = [f"{version.id}: {what}" for part in parts for version, what in entry_problems(core, part)]
        wrong = list(dict.fromkeys(wrong))
        looked = f"the index entries of {len(seen):,} versions agree with their texts (all with --full)"
    if wrong:
        more = f" … and {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else ""
        yield Finding("index", "wrong", "; ".join(wrong[:_NAMED]) + more, "engram repair", "repair")
    else:
        yield Finding("index", "ok", looked)


def _large_findings(store: Store) -> Iterator[Finding]:
    if not isinstance(store, Beside):
        return
    found = large_scopes(store, None, LARGE)
    if found and not available():
        what = f"{len(found):,} scopes of more than {LARGE:,} records are searched exactly, which takes long"
        yield Finding("large", "warn", what, f"{ANN}; an index is then kept in {store.beside.name}")
    elif found:
        yield Finding("large", "ok", f"{len(found):,} scopes of more than {LARGE:,} records")


def _job_findings(store: Store, now: datetime) -> Iterator[Finding]:
    jobs = store.jobs()
    parked = [job for job in jobs if job.status == "parked"]
    old = [job for job in jobs if job.status == "pending" and now - job.created > _OLD]
    if parked:
        why = f", the first by: {parked[0].error}" if parked[0].error else ""
        what = f"{len(parked):,} jobs failed and are parked{why}"
        yield Finding(
            "jobs", "warn", what, f"engram jobs show {parked[0].id}, then engram jobs retry or drop"
        )
    if old:
        what = f"{len(old):,} jobs are owed since {old[0].created:%Y-%m-%d %H:%M}"
        yield Finding("jobs", "warn", what, "engram jobs wait")
    if not parked and not old:
        yield Finding("jobs", "ok", f"{len(jobs):,} owed" if jobs else "none owed")
