"""Rules that write: every operation of a batch, on two stores side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from engram.kernel.protocols import (
    Close,
    CloseEdge,
    EndJob,
    Expunge,
    Job,
    Lease,
    Mark,
    Put,
    PutEdge,
    PutInfo,
    PutJob,
    PutState,
    Rebuild,
    Reindex,
    Require,
    RequireInfo,
    Reserve,
    Select,
    SelectEdges,
    Stage,
    StateRow,
    Supersede,
    Switch,
    Unstage,
)
from engram.kernel.record import Edge, Interval, Record
from engram.kernel.scope import Scope
from engram.testing.builders import START
from engram.testing.driven import Driven
from engram.testing.strategies import (
    SCOPES,
    blobs,
    ends,
    metadata,
    moments,
    names,
    numbers,
    owners,
    payloads,
    records,
    scopes,
    texts,
)

__all__ = ["EntryRules", "RecordRules", "WorkRules"]


class RecordRules(Driven):
    """What happens to records."""

    @rule(record=records(), words=blobs, vector=st.none() | blobs, fresh=st.booleans())
    def put(self, record: Record, words: bytes, vector: bytes | None, fresh: bool) -> None:
        """Put a record, perhaps with a job."""
        job = Job("", "write", record.scope.lane, self.clock())
        self.commit(Put(record, words, vector), *([PutJob(job, fresh=True)] if fresh else []))

    @rule(batch=st.lists(records(), min_size=2, max_size=14), words=blobs, split=st.integers(0, 2))
    def put_many(self, batch: Sequence[Record], words: bytes, split: int) -> None:
        """Put many records, perhaps with the same origin, and one or two jobs of them."""
        job = Job("", "embed", SCOPES[0], self.clock())
        jobs = [PutJob(job, fresh=range(split)), PutJob(job, fresh=range(split, len(batch)))]
        self.commit(
            *(Put(record, words) for record in batch), *(jobs if split else [PutJob(job, fresh=True)])
        )

    @rule(record=records(), sources=st.lists(numbers, max_size=3))
    def derive(self, record: Record, sources: Sequence[int]) -> None:
        """Put a record made from others."""
        ids = tuple(dict.fromkeys(self.pick(number) for number in sources))
        self.commit(Require(tuple((id, None) for id in ids)), Put(replace(record, sources=ids)))

    @rule(number=numbers, change=st.sampled_from(("same", "text", "scope")))
    def put_again(self, number: int, change: str) -> None:
        """Put what is there once more, as it was, or changed."""
        record = self.latest(number)
        if record is not None:
            changes: dict[str, dict[str, Any]] = {
                "same": {},
                "text": {"text": "something else"},
                "scope": {"scope": SCOPES[3]},
            }
            self.commit(Put(replace(record, **changes[change])))

    @rule(number=numbers, text=texts, known=moments, off=st.sampled_from((0, 0, 0, 1)), words=blobs)
    def supersede(self, number: int, text: str, known: datetime, off: int, words: bytes) -> None:
        """Open a new version."""
        record = self.latest(number)
        if record is not None:
            kept = record.sources if number % 2 else ()
            sources = tuple(dict.fromkeys((*kept, self.pick(number + 1))))
            new = replace(record, text=text, known=Interval(known), sources=sources)
            self.commit(Supersede(new, record.version + off, words, None))

    @rule(count=st.integers(1, 5))
    def reserve(self, count: int) -> None:
        """Take numbers that nobody else gets."""
        self.commit(Reserve(count))

    @rule(number=numbers, at=moments, off=st.sampled_from((0, 0, 0, 1)))
    def close(self, number: int, at: datetime, off: int) -> None:
        """End a record's known time."""
        record = self.latest(number)
        self.commit(Close(self.pick(number), record.version + off if record else 1, at))

    @rule(
        number=numbers,
        version=st.sampled_from((None, 1, 2)),
        strength=st.none() | st.just(0.5),
        blob=st.none() | blobs,
    )
    def mark(self, number: int, version: int | None, strength: float | None, blob: bytes | None) -> None:
        """Set counters and vectors."""
        self.commit(
            Mark(self.pick(number), version, strength=strength, trust=strength, vector=blob, words=blob)
        )

    @rule(picks=st.lists(numbers, min_size=1, max_size=3))
    def expunge(self, picks: Sequence[int]) -> None:
        """Destroy some records."""
        self.commit(Expunge(tuple(self.pick(number) for number in picks)))
        assert self.tested.purge()

    @rule(number=numbers, record=records())
    def rebuild(self, number: int, record: Record) -> None:
        """Destroy a record and put another in its place, in one batch."""
        old = self.latest(number)
        if old is not None:
            new = replace(record, scope=old.scope, origin=old.origin)
            self.commit(Expunge((old.id,)), Put(new, b"r"))

    @rule(pairs=st.lists(st.tuples(numbers, st.sampled_from((None, 1, 2))), max_size=3))
    def require(self, pairs: Sequence[tuple[int, int | None]]) -> None:
        """Ask that records stand as they were read."""
        self.commit(Require(tuple((self.pick(number), version) for number, version in pairs)))

    @rule(record=records(), arrival=numbers, closed=st.sampled_from((None, 7)), versions=st.integers(1, 3))
    def keep(self, record: Record, arrival: int, closed: int | None, versions: int) -> None:
        """Import a record with its older versions."""
        base = replace(record, id=f"kept-{arrival}", arrival=arrival, opened=arrival)
        ops = [
            Put(
                replace(
                    base,
                    version=version,
                    text=f"{record.text} {version}",
                    known=Interval(record.known.start, START if version < versions or closed else None),
                    closed=arrival + version if version < versions else closed,
                ),
                b"k",
                keep=True,
            )
            for version in range(1, versions + 1)
        ]
        self.commit(*ops)


class EntryRules(Driven):
    """What happens to index entries, and to what a store derives."""

    @rule(number=numbers, version=st.sampled_from((1, 1, 1, 2, 3)), words=blobs, vector=blobs)
    def stage(self, number: int, version: int, words: bytes, vector: bytes) -> None:
        """Stage an entry of a version, there or not."""
        self.commit(Stage(self.pick(number), version, words, vector))

    @rule(words=blobs, vector=blobs, off=st.sampled_from((None, None, "one")), whole=st.booleans())
    def switch(self, words: bytes, vector: bytes, off: str | None, whole: bool) -> None:
        """Stage what lacks an entry, and switch; or try to without."""
        lacking = self.plain.select(Select(history=True, unstaged=True)) if whole else []
        staged = [Stage(record.id, record.version, words, vector) for record in lacking]
        facts = (("embedder", off), ("next", None))
        self.commit(*staged, Switch(facts))

    @rule(value=st.none() | texts)
    def require_info(self, value: str | None) -> None:
        """Ask that a fact stands as it was read."""
        self.commit(RequireInfo((("embedder", value),)))

    @rule(number=numbers, version=st.integers(1, 3), words=blobs, vector=st.none() | blobs)
    def reindex(self, number: int, version: int, words: bytes, vector: bytes | None) -> None:
        """Replace the entry of a version, there or not."""
        self.commit(Reindex(self.pick(number), version, words, vector))

    @rule(op=st.sampled_from((Unstage(), Rebuild())))
    def start_over(self, op: Unstage | Rebuild) -> None:
        """Forget what is staged, or rebuild."""
        self.commit(op)


class WorkRules(Driven):
    """What happens to edges, states, jobs and facts."""

    @rule(
        source=numbers,
        goal=numbers,
        scope=scopes,
        end=ends,
        over=ends,
        again=st.booleans(),
        version=st.sampled_from((1, 1, 2)),
        data=metadata,
    )
    def put_edge(
        self,
        source: int,
        goal: int,
        scope: Scope,
        end: datetime | None,
        over: datetime | None,
        again: bool,
        version: int,
        data: Any,
    ) -> None:
        """Insert or replace a version of an edge."""
        id = self.edge_ids[0] if again and self.edge_ids else f"edge-{len(self.edge_ids)}"
        self.edge_ids += [id]
        edge = Edge(
            id,
            self.pick(source),
            self.pick(goal),
            "knows" if source % 3 else "likes",
            scope,
            Interval(START, over),
            Interval(START, end),
            sources=(self.pick(source + goal),) if goal % 3 else (),
            made_by=None if source % 2 else "sum:1",
            metadata=data,
            version=version,
        )
        self.commit(PutEdge(edge))

    @rule(number=numbers, at=moments, expected=st.sampled_from((None, None, 1, 2)))
    def close_edge(self, number: int, at: datetime, expected: int | None) -> None:
        """End an edge."""
        id = self.edge_ids[number % len(self.edge_ids)] if self.edge_ids else "none"
        self.commit(CloseEdge(id, at, expected))

    @rule(number=numbers, goal=numbers, at=moments)
    def move_edge(self, number: int, goal: int, at: datetime) -> None:
        """Open a new version of an edge, with another end."""
        ids = (self.edge_ids[number % len(self.edge_ids)],) if self.edge_ids else ()
        for edge in self.plain.edges(SelectEdges(ids=ids)):
            moved = replace(edge, target=self.pick(goal), version=edge.version + 1, opened=0)
            self.commit(CloseEdge(edge.id, at, edge.version), PutEdge(replace(moved, known=Interval(at))))

    @rule(scope=scopes, name=names, value=payloads, version=st.sampled_from((1, 1, 2, 3)), read=numbers)
    def put_state(self, scope: Scope, name: str, value: Any, version: int, read: int) -> None:
        """Set a policy's state."""
        self.commit(PutState(StateRow("sum", scope, name, value, version, (self.pick(read),))))

    @rule(scope=scopes, kind=st.sampled_from(("write", "rebuild", "embed")), number=numbers, data=metadata)
    def put_job(self, scope: Scope, kind: str, number: int, data: Any) -> None:
        """Insert a job, or replace one if it is still there."""
        known = self.job_ids[number % len(self.job_ids)] if number % 3 and self.job_ids else ""
        job = Job(
            known,
            kind,
            scope,
            self.clock(),
            "sum",
            (self.pick(number),),
            error="why",
            journal=data,
            status="parked" if number % 5 == 0 else "pending",
            reads=(self.pick(number + 1),),
            priority=number % 3,
        )
        self.commit(PutJob(job, if_exists=bool(known)))

    @rule(number=numbers, owner=owners, hours=st.integers(1, 3))
    def lease(self, number: int, owner: str, hours: int) -> None:
        """Take a job."""
        id = self.job_ids[number % len(self.job_ids)] if self.job_ids else "none"
        now = self.clock()
        self.commit(Lease(id, owner, now, now + timedelta(hours=hours)))

    @rule(number=numbers, owner=st.none() | owners)
    def end_job(self, number: int, owner: str | None) -> None:
        """End a job."""
        self.commit(EndJob(self.job_ids[number % len(self.job_ids)] if self.job_ids else "none", owner))

    @rule(value=st.none() | texts)
    def put_info(self, value: str | None) -> None:
        """Set or remove a fact."""
        self.commit(PutInfo("embedder", value))

    @rule(hours=st.integers(1, 3))
    def pass_time(self, hours: int) -> None:
        """Let time pass."""
        self.clock.now += timedelta(hours=hours)

    @rule(record=records(), number=numbers)
    def fail_late(self, record: Record, number: int) -> None:
        """A batch whose last operation is refused leaves nothing behind."""
        before = self.plain.sequence()
        new = replace(record, origin=None, scope=Scope(user_id=f"never-{number}"))
        ops = (
            Put(new),
            Expunge((self.pick(number),)),
            PutInfo("analyser", "x"),
            Require((("nowhere", None),)),
        )
        assert self.commit(*ops) is None
        assert self.tested.sequence() == before
