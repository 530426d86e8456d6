"""Changing what is stored: edits, erasures, and taking a change set back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engram.engine.core import Core
from engram.engine.erasing import erase, erasure
from engram.engine.ingest import check_text, id_text, json_value
from engram.engine.lens import expired
from engram.engine.relations import edges_of, reversal, stood_on
from engram.engine.results import Item, Receipt
from engram.engine.surviving import ends_of_edges
from engram.engine.views import is_view
from engram.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from engram.kernel.operations import REPAIRING
from engram.kernel.protocols import Batch, Close, CloseEdge, Job, Op, PutJob, Select, SelectEdges, Supersede
from engram.kernel.record import Edge, Interval, Record
from engram.kernel.scope import Scope
from engram.kernel.triple import without_graph

__all__ = ["edit", "find", "forget", "number_of", "undo"]

_PAGE = 1000
_EXPORTS = "files written by export are copies out of reach"


def find(core: Core, id: str, scope: Scope, *, closed: bool = False) -> Record:
    """The latest version of a record in `scope`; raises `NotFound`."""
    found = core.store.select(Select(ids=(id_text(id),), closed=closed))
    if not found or not scope.covers(found[0].scope):
        raise NotFound(f"there is no record {id!r} in this scope")
    return found[0]


def edit(
    core: Core, id: str, scope: Scope, text: str | None = None, metadata: Mapping[str, Any] | None = None
) -> Receipt:
    """Open a new version; derived records that stood on the old one alone go stale and are derived again."""
    if text is None and metadata is None:
        raise InvalidInput("edit: give text, metadata or both")
    if is_view(id):
        raise InvalidInput(f"edit: {id!r} is a view over turns; edit the turns in its sources")
    old = find(core, id, scope)
    if expired(old, core.now()):
        raise NotFound(f"record {id!r} has expired; add what should stay anew")
    new_text = old.text if text is None else check_text(text, "text")
    if not new_text.strip():
        raise InvalidInput("edit: the new text is empty; use forget to erase a record")
    new_metadata = dict(old.metadata) if metadata is None else json_value(metadata, "metadata")
    if new_text == old.text and new_metadata == dict(old.metadata):
        return Receipt((Item("duplicate", id, old.origin, "nothing changed"),))
    now = max(core.now(), old.known.start or core.now())
    payload = old.payload if new_text == old.text else without_graph(old.payload)
    record = replace(old, text=new_text, metadata=new_metadata, payload=payload, known=Interval(now))
    words, vector = core.encode([record], now=True)[0]
    ops: list[Op] = [Supersede(record, old.version, words, vector)]
    items = [Item("superseded", id, old.origin, "edited")]
    if new_text != old.text:
        stale_ops, stale_items = _go_stale(core, old)
        ops.extend(stale_ops)
        items.extend(stale_items)
    committed = core.store.commit(Batch(tuple(ops)))
    return Receipt(tuple(items), str(committed.change_set), committed.jobs[0] if committed.jobs else None)


def _go_stale(core: Core, source: Record) -> tuple[list[Op], list[Item]]:
    ops: list[Op] = []
    items: list[Item] = []
    policies: set[str] = set()
    now = core.now()
    for edge in core.store.edges(SelectEdges(standing_on=(source.id,))):
        if set(edge.sources) == {source.id} and edge.made_by is not None:
            ops.append(CloseEdge(edge.id, max(now, edge.known.start or now), edge.version))
            policies.add(edge.made_by)
    for record in core.store.select(Select(derived_from=(source.id,))):
        if set(record.sources) == {source.id} and record.made_by is not None:
            ops.append(Close(record.id, record.version, max(now, record.known.start or now)))
            items.append(Item("superseded", record.id, reason="stale: its source was edited"))
            policies.add(record.made_by)
    ops.extend(ends_of_edges(core, {op.id for op in ops if isinstance(op, Close)}))
    for policy in sorted(policies):
        only, lane = (source.id,), source.scope.lane
        job = Job("", "rebuild", lane, now, policy, records=only, reads=only, priority=REPAIRING)
        ops.append(PutJob(job))
    return ops, items


def forget(core: Core, ids: Sequence[str] | None, scope: Scope, everyone: bool, dry_run: bool) -> Receipt:
    """Erase records, or a whole scope, and all that stands on them; return when the bytes are gone."""
    if ids is None:
        if not scope.named and not everyone:
            raise Forbidden(
                "forget: name user_id, agent_id or run_id, or ids; everyone=True for the whole tenant"
            )
        wanted = _all_ids(core, scope)
    else:
        if not ids:
            raise InvalidInput("forget: ids is empty; give at least one id, or a scope")
        if any(is_view(id) for id in ids):
            raise InvalidInput("forget: windows and sessions are views; forget the turns in their sources")
        wanted = [find(core, id, scope, closed=True).id for id in dict.fromkeys(ids)]
    if not wanted:
        return Receipt(purge=None if dry_run else purge(core), dry_run=dry_run, outside=(_EXPORTS,))
    if dry_run:
        return Receipt(tuple(erasure(core, wanted).items), dry_run=True, outside=(_EXPORTS,))
    items, jobs = erase(core, wanted)
    return Receipt(tuple(items), None, jobs[0] if jobs else None, purge=purge(core), outside=(_EXPORTS,))


def purge(core: Core) -> str:
    """Make the bytes of erased content leave the files: `done`, or `pending` where a reader holds them."""
    return "done" if core.store.purge() else "pending"


def _all_ids(core: Core, scope: Scope) -> list[str]:
    ids: list[str] = []
    after = 0
    while True:
        page = core.store.select(Select(scope=scope, closed=True, after=after, limit=_PAGE))
        ids.extend(record.id for record in page)
        if len(page) < _PAGE:
            return ids
        after = page[-1].arrival


def undo(core: Core, change_set: str | int, scope: Scope) -> Receipt:
    """Reverse a commit; raises `Conflict` naming the later change sets that stand on it."""
    number = number_of(change_set)
    touched = core.store.select(Select(change_set=number, history=True))
    edges = edges_of(core, number)
    missing = f"there is no change set '{number}' in this scope, it changed no records, or they were erased"
    if not touched and not edges:
        raise NotFound(missing)
    scopes = {record.scope for record in touched}
    scopes |= {edge.scope for versions in edges.values() for edge in versions}
    if not all(map(scope.covers, scopes)):
        raise NotFound(missing)
    latest = {item.id: item for item in _latest(core, touched)}
    _refuse_if_stood_on(core, touched, latest, edges, number)
    before = {record.id for record in touched if record.closed == number and record.opened != number}
    ops: list[Op] = []
    items: list[Item] = []
    for record in touched:
        op, item = _reverse(core, record, latest[record.id], before, number)
        if op is not None and item is not None:
            ops.append(op)
            items.append(item)
    ops.extend(reversal(core, edges, number))
    if not ops:
        raise Conflict(f"change set {change_set} has been taken back already")
    committed = core.store.commit(Batch(tuple(ops)))
    return Receipt(tuple(items), str(committed.change_set))


def _latest(core: Core, records: Sequence[Record]) -> list[Record]:
    return core.store.select(Select(ids=tuple({record.id: None for record in records}), closed=True))


def number_of(change_set: str | int) -> int:
    """The number of a change set. Raises `InvalidInput`."""
    try:
        number = int(change_set)
    except (TypeError, ValueError):
        number = 0
    if not 0 < number < 1 << 63:  # what was imported was opened by no change set of this store, by 0
        raise InvalidInput(f"change_set: {change_set!r:.40} is none; receipts and histories name them")
    return number


def _refuse_if_stood_on(
    core: Core,
    touched: Sequence[Record],
    latest: Mapping[str, Record],
    edges: Mapping[str, Sequence[Edge]],
    number: int,
) -> None:
    """Raise `Conflict` where later changes stand on what this change set opened, or on its text."""
    opened = [record for record in touched if record.opened == number]
    before = {record.id: record for record in touched if record.closed == number}
    later = {
        record.closed
        for record in opened
        if record.closed is not None and record.closed != number and not _stands(latest[record.id], record)
    }
    said = tuple(item.id for item in opened if item.id not in before or before[item.id].text != item.text)
    if said:
        found = core.store.select(Select(derived_from=said))
        later.update(item.opened for item in found if item.opened > number)
    fresh = [item.id for item in opened if item.id not in before and latest[item.id].current]
    later |= stood_on(core, edges, fresh, number)
    if later:
        names = ", ".join(str(item) for item in sorted(later))
        raise Conflict(
            f"change set {number} cannot be taken back: later change sets stand on it, or took it back "
            f"already: {names}; undo those first"
        )


def _stands(latest: Record, version: Record) -> bool:
    """Whether the latest version is open and says what `version` said: what came between is undone."""
    return latest.current and _said(latest) == _said(version)


def _said(record: Record) -> Record:
    bare = replace(record, known=Interval(), version=1, arrival=0, opened=0, closed=None)
    return replace(bare, strength=1.0, trust=1.0, metadata=dict(record.metadata))


def _reverse(
    core: Core, record: Record, latest: Record, before: Collection[str], number: int
) -> tuple[Op | None, Item | None]:
    """What takes one version's opening or closing back; `before` are ids with a version that it closed."""
    now = max(core.now(), latest.known.start or core.now())
    if record.opened == number:
        if record.id in before or not latest.current:
            return None, None  # the version before it, which this change set closed, is what comes back
        return Close(record.id, latest.version, now), Item(
            "superseded", record.id, record.origin, "taken back"
        )
    again = replace(record, known=Interval(now), opened=0, closed=None)
    words, vector = core.encode([again], now=True)[0]
    item = Item("superseded", record.id, record.origin, f"back to version {record.version}")
    return Supersede(again, latest.version, words, vector), item
