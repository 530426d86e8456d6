"""Messages from files of other programs: many scopes, in batches, what is there already passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from engram.engine.core import Core
from engram.engine.ingest import Draft, draft
from engram.engine.progress import Progress
from engram.engine.results import OTHER, Imported, Left
from engram.formats.base import Incoming, Skipped
from engram.formats.source import Source
from engram.kernel.clock import parse_time
from engram.kernel.errors import Conflict, InvalidInput
from engram.kernel.protocols import Batch, Job, Op, Put, PutJob, Select
from engram.kernel.record import Interval, Record
from engram.kernel.scope import Scope

__all__ = ["ImportRequest", "Tally", "take_in"]

BATCH = 1000
_BATCH_TEXT = 8 << 20  # characters: so a batch of long texts stays small
_EXAMPLES = 100
_REASONS = 100
_TRIES = 5
_TAKEN = "another content is stored under its id: the first one stays; forget that record to have this one"
_EMPTY = "no text"
_CALLS = ("tool_calls", "tool_call_id", "function_call")
Key = tuple[Scope, str]
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """The arguments of one import. `ids` go before what the file says; `on_skip` is told of all left out."""

    ids: Mapping[str, str]
    infer: bool = True
    dry_run: bool = False
    progress: Progress | None = None
    on_skip: Callable[[Left], None] | None = None


@dataclass
class Tally:
    """What an import has come to so far."""

    format: str
    request: ImportRequest
    stored: int = 0
    duplicate: int = 0
    skipped: int = 0
    failed: int = 0
    jobs: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    examples: list[Left] = field(default_factory=list)
    change_sets: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def leave(self, place: str, reason: str, *, failed: bool = False) -> None:
        """Count something that is not taken."""
        left = Left(place, reason, failed)
        self.skipped += 1
        self.failed += failed
        kind = left.kind if left.kind in self.reasons or len(self.reasons) < _REASONS else OTHER
        self.reasons[kind] = self.reasons.get(kind, 0) + 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(left)
        if self.request.on_skip is not None:
            self.request.on_skip(left)

    def report(self) -> Imported:
        """The result."""
        notes = [f"{note} ({count:,} messages)" for note, count in self.notes.items()]
        if self.jobs:
            owed = "1 job is" if self.jobs == 1 else f"{self.jobs:,} jobs are"
            notes.append(f"{owed} owed: what is derived follows with wait() or tend(), or engram jobs wait")
        return Imported(
            self.format,
            stored=self.stored,
            duplicate=self.duplicate,
            skipped=self.skipped,
            failed=self.failed,
            reasons=dict(sorted(self.reasons.items(), key=lambda item: -item[1])),
            examples=tuple(self.examples),
            jobs=self.jobs,
            change_sets=tuple(self.change_sets),
            notes=tuple(notes),
            dry_run=self.request.dry_run,
        )


def take_in(
    core: Core, format: str, items: Iterable[Incoming | Skipped], source: Source, request: ImportRequest
) -> Imported:
    """Store what a format gives, about 1,000 messages a transaction; an import that was killed can go on.

    What has the id and the text of something stored is a duplicate. A message that cannot be taken is left
    out, the others go in. Raises `InvalidInput` where the file is broken, once all before it is stored.
    """
    intake = _Intake(core, request, Tally(format, request))
    try:
        for number, item in enumerate(items, 1):
            if intake.take(item) or number % BATCH == 0:
                intake.told(source)
    except InvalidInput as error:
        intake.flush()
        there = intake.tally.stored + intake.tally.duplicate
        if not there or request.dry_run:
            raise
        raise InvalidInput(
            f"{error}; the {there:,} messages before it are stored: mend the file and import it again, "
            "what is there is not doubled"
        ) from error
    intake.flush()
    intake.told(source)
    return intake.tally.report()


class _Intake:
    """An import under way."""

    def __init__(self, core: Core, request: ImportRequest, tally: Tally) -> None:
        self.core, self.request, self.tally = core, request, tally
        self._waiting: list[tuple[str, Draft]] = []
        self._text = 0
        self._scopes: dict[tuple[str | None, ...], Scope] = {}
        self._now = core.now()

    def told(self, source: Source) -> None:
        """Tell how far reading has come."""
        if self.request.progress is not None:
            self.request.progress(source.bytes_read, source.total_bytes)

    def take(self, item: Incoming | Skipped) -> bool:
        """Look at one thing of the file; batches are stored as they fill, and whether one was now."""
        if isinstance(item, Skipped):
            self.tally.leave(item.place, item.reason, failed=item.lost)
            return False
        try:
            made = self._draft(item)
        except InvalidInput as error:
            self.tally.leave(item.place, str(error), failed=True)
            return False
        if not made.record.text.strip() and not any(item.message.get(key) for key in _CALLS):
            self.tally.leave(item.place, _EMPTY)
            return False
        self._waiting.append((item.place, made))
        self._text += len(made.record.text)
        full = len(self._waiting) >= BATCH or self._text >= _BATCH_TEXT
        if full:
            self.flush()
        return full

    def flush(self) -> None:
        """Store what waits."""
        batch, self._waiting, self._text = self._waiting, [], 0
        for left in range(_TRIES if batch else 0, 0, -1):
            new, lost, known = self._sorted_out(batch)
            try:
                committed = [] if self.request.dry_run else self._store([made.record for made in new])
            except Conflict:  # another process stores the same
                if left == 1:
                    raise
                continue
            for place in lost:
                self.tally.leave(place, _TAKEN, failed=True)
            self.tally.stored += len(new) - sum(committed)
            self.tally.duplicate += known + sum(committed)
            for made in new:
                if made.note:
                    self.tally.notes[made.note] = self.tally.notes.get(made.note, 0) + 1
            break
        self._now = self.core.now()

    def _draft(self, item: Incoming) -> Draft:
        made = draft(item.message, self._scope(item), self._now, item.kind)
        if item.valid is None and item.known is None:
            return made
        record = made.record
        valid = record.valid if item.valid is None else _interval(item.valid, "valid")
        known = record.known if item.known is None else _interval(item.known, "known")
        return replace(made, record=replace(record, valid=valid, known=known))

    def _scope(self, item: Incoming) -> Scope:
        """Where it belongs: what the caller names, then what the file says, then user `default`."""
        key = (item.user_id, item.agent_id, item.run_id)
        scope = self._scopes.get(key)
        if scope is None:
            of_file = {"user_id": item.user_id, "agent_id": item.agent_id, "run_id": item.run_id}
            named = {**{name: id for name, id in of_file.items() if id is not None}, **self.request.ids}
            if not named.keys() & {"user_id", "agent_id"}:
                named["user_id"] = "default"
            scope = Scope.of(**named)
            if len(self._scopes) >= BATCH:
                self._scopes.clear()
            self._scopes[key] = scope
        return scope

    def _sorted_out(self, batch: Sequence[tuple[str, Draft]]) -> tuple[list[Draft], list[str], int]:
        """What of it is new, the places of what has an id that other content has, how many are there."""
        keys = {key: None for _, made in batch if (key := _key(made.record)) is not None}
        said: dict[Key, list[Record]] = {}
        for record in self.core.store.select(Select(origins=tuple(keys), history=True)) if keys else ():
            said.setdefault((record.scope, record.origin or ""), []).append(record)
        new: list[Draft] = []
        lost: list[str] = []
        known = 0
        for place, made in batch:
            key = _key(made.record)
            there = said.get(key, ()) if key is not None else ()
            if not there:
                new.append(made)
                if key is not None:
                    said[key] = [made.record]
            elif any(_same(record, made.record) for record in there):
                known += 1
            else:
                lost.append(place)
        return new, lost, known

    def _store(self, records: Sequence[Record]) -> Sequence[bool]:
        """Commit new records with their entries and the jobs that follow; which were there after all."""
        if not records:
            return ()
        derives = self.request.infer and any(map(self.core.policy.wants, records))
        if derives or not self.core.embedder.local:
            records = _grouped(records)
        entries = self.core.encode(records)
        ops: list[Op] = [
            Put(record, words, vector) for record, (words, vector) in zip(records, entries, strict=True)
        ]
        ops.extend(self._jobs(records, derives=derives))
        committed = self.core.store.commit(Batch(tuple(ops)))
        self.tally.jobs += len(committed.jobs)
        if committed.change_set:
            self.tally.change_sets.append(str(committed.change_set))
        return committed.duplicates

    def _jobs(self, records: Sequence[Record], *, derives: bool) -> Iterator[PutJob]:
        """The jobs that groups of records leave: a run's (or lane's) for the policy, a lane's for vectors."""
        policy, now = self.core.policy.made_by, self.core.now()
        by_run = self.core.policy.by_run
        groups = [_run(record) if by_run else (record.scope.lane, True) for record in records]
        for (scope, _), places in _spans(groups) if derives else ():
            if any(self.core.policy.wants(records[place]) for place in places):
                yield PutJob(Job("", "write", scope.lane, now, policy=policy), fresh=places)
        if not self.core.embedder.local:
            for lane, places in _spans([record.scope.lane for record in records]):
                yield PutJob(Job("", "embed", lane, now), fresh=places)


def _key(record: Record) -> Key | None:
    return None if record.origin is None else (record.scope, record.origin)


def _same(there: Record, record: Record) -> bool:
    """Whether a message is the stored one: what a file says around its words may change from copy to copy."""
    return (there.kind, there.text) == (record.kind, record.text)


def _run(record: Record) -> tuple[Scope, bool]:
    """Its scope, and whether it was said."""
    return record.scope, record.kind == "episode"


def _grouped(records: Sequence[Record]) -> list[Record]:
    """The records of a lane together, in it those of a run, each in the order of their first."""
    lanes: dict[Scope, dict[tuple[Scope, bool], list[Record]]] = {}
    for record in records:
        lanes.setdefault(record.scope.lane, {}).setdefault(_run(record), []).append(record)
    return [record for runs in lanes.values() for group in runs.values() for record in group]


def _spans(keys: Sequence[K]) -> Iterator[tuple[K, range]]:
    """Stretches of equal keys."""
    start = 0
    for place in range(1, len(keys) + 1):
        if place == len(keys) or keys[place] != keys[start]:
            yield keys[start], range(start, place)
            start = place


def _interval(given: tuple[str | None, str | None], name: str) -> Interval:
    start, end = (None if moment is None else _moment(moment, name) for moment in given)
    if start is not None and end is not None and end < start:
        raise InvalidInput(f"{name}: ends ({end}) before it starts ({start})")
    return Interval(start, end)


def _moment(value: str, name: str) -> datetime:
    return parse_time(value, name)[0]
