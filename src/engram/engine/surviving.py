"""What a derived record keeps when some of its sources are erased: what those that stay say by themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from engram.engine.core import Core
from engram.kernel.protocols import CloseEdge, Op, SelectEdges
from engram.kernel.record import Record

__all__ = ["ends_of_edges", "grown", "kept_metadata", "supported"]

_SELF_SUPPORTING = ("fact", "entity")
_OF_TEXT = frozenset({"subject", "relation", "object", "confidence", "importance", "when", "said", "placed"})


def grown(old: Record, told: Sequence[str]) -> tuple[str, ...]:
    """The sources of a record's next version, which was written of `told`.

    Of a fact or an entity, these stand last, the new ones first: so the first new one tells where those begin
    that what is new stands on, also where some of them had told of it before.
    """
    if old.kind not in _SELF_SUPPORTING:
        return tuple(dict.fromkeys([*old.sources, *told]))
    new = [id for id in dict.fromkeys(told) if id not in old.sources]
    again = {id for id in told if id in old.sources} if new else set[str]()
    before = (id for id in old.sources if id not in again)
    return (*before, *new, *(id for id in old.sources if id in again))


def supported(versions: Sequence[Record], gone: Collection[str]) -> bool:
    """Whether sources that joined in one step, all of them surviving, give the text that stands now.

    What joined an entity with metadata, such as another name, has told of that and not of its own name. A
    fact's metadata beside its text, such as what a schema asks for, has to be told by survivors too.
    """
    last = versions[-1]
    if last.kind not in _SELF_SUPPORTING:
        return False
    told = any(
        not joined & set(gone)
        and joined <= set(last.sources)
        and version.text == last.text
        and not (version.kind == "entity" and beside)
        for version, joined, beside in _steps(versions)
        if joined
    )
    if not told or last.kind == "entity":
        return told and not _mixed(versions, set(gone))
    kept = _metadata_kept(versions, gone)
    return all(kept.get(key) == value for key, value in last.metadata.items() if key not in _OF_TEXT)


def kept_metadata(versions: Sequence[Record], gone: Collection[str]) -> Mapping[str, Any]:
    """An entity's metadata without what came with sources that are gone; another record's as it stands."""
    return _metadata_kept(versions, gone) if versions[-1].kind == "entity" else versions[-1].metadata


def _mixed(versions: Sequence[Record], gone: set[str]) -> bool:
    """Whether metadata came from survivors and others at once: which told what, only making it anew says."""
    before: Mapping[str, Any] = {}
    for version, joined, _ in _steps(versions):
        if version.metadata != before and joined & gone and joined - gone:
            return True
        before = version.metadata
    return False


def _metadata_kept(versions: Sequence[Record], gone: Collection[str]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    before: Mapping[str, Any] = {}
    for version, joined, _ in _steps(versions):
        told = not (joined or set(version.sources)) & set(gone)
        for key, value in version.metadata.items():
            old = before.get(key)
            if isinstance(value, list | tuple):
                more = [item for item in value if not isinstance(old, list | tuple) or item not in old]
                held = [item for item in kept.get(key, ()) if item in value]
                kept[key] = [*held, *(more if told else ())]
            elif value != old:
                kept = {**kept, key: value} if told else {name: kept[name] for name in kept if name != key}
        kept = {key: value for key, value in kept.items() if key in version.metadata}
        before = version.metadata
    return kept


def ends_of_edges(core: Core, closed: Collection[str]) -> Iterator[Op]:
    """The ends of derived edges that stand on nothing but records which are being closed."""
    now = core.now()
    for edge in core.store.edges(SelectEdges(standing_on=tuple(closed))) if closed else ():
        if set(edge.sources) <= set(closed) and edge.made_by is not None:
            yield CloseEdge(edge.id, max(now, edge.known.start or now), edge.version)


def _steps(versions: Sequence[Record]) -> Iterator[tuple[Record, set[str], bool]]:
    """Each version, the sources that it was written of, and whether only metadata changed besides."""
    before: Record | None = None
    for version in versions:
        known = set(before.sources if before else ())
        first = next((n for n, id in enumerate(version.sources) if id not in known), len(version.sources))
        joined = set(version.sources[first:])
        beside = before is not None and version.text == before.text and version.metadata != before.metadata
        yield version, joined, beside
        before = version
