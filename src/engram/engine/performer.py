"""What performs a policy's effects: against the store as a lens shows it, the models, the clock, the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import Any

from engram.engine.core import Core
from engram.engine.lens import Lens, ended
from engram.engine.replies import Asker, needed
from engram.engine.views import is_view
from engram.engine.watching import embedded
from engram.kernel import effects as fx
from engram.kernel.clock import from_micros, micros
from engram.kernel.drive import run
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy
from engram.kernel.protocols import AskingReranker, SelectEdges
from engram.kernel.record import Edge, Hit, Record
from engram.kernel.scope import Scope
from engram.operators.retrieval.dates import named_times
from engram.operators.retrieval.query import ask as ask_index
from engram.operators.retrieval.rerank import checked
from engram.operators.retrieval.top import top

__all__ = ["Performer"]

_FIND_LEXICAL = 0.3


@dataclass
class Performer:
    """Performs the effects of one program of `policy` in `scope`.

    `job` keys random numbers and the journal; `hidden` are ids that `Find` leaves out (a job's own
    episodes). `reads` collects the ids that the program saw, `usage` counts what model calls
    took, `depth` how many hits are wanted. `journal` maps paths to raw model replies; `save` is told
    when one is added.
    """

    core: Core
    policy: Policy
    scope: Scope
    lens: Lens
    job: str = ""
    hidden: frozenset[str] = frozenset()
    journal: dict[str, Any] = field(default_factory=dict)
    save: Callable[[], None] | None = None
    reads: set[str] = field(default_factory=set)
    usage: dict[str, float] = field(default_factory=dict)
    depth: int = 0

    def __post_init__(self) -> None:
        self.made_by = self.policy.made_by
        self.asker = Asker(self.core, self.scope, self.journal, self.usage, self.reads, self._save)

    def __call__(self, effect: fx.Effect[Any], path: str) -> Any:
        match effect:
            case fx.Score():
                return self._score(effect)
            case fx.Read():
                return self._read(effect.ids)
            case fx.Find():
                return self._find(effect)
            case fx.Facts():
                return self._facts(effect)
            case fx.Recent():
                return self._recent(effect)
            case fx.Told():
                return self._told(effect)
            case fx.Entities():
                return self._entities(effect)
            case fx.Embed():
                return embedded(self.core.watch, self.core.embedder, list(effect.texts))
            case fx.Model() | fx.Wanted() | fx.Now() | fx.Space():
                return self._given(effect)
            case fx.Ask():
                return self._ask(effect, path)
            case fx.Neighbours():
                return self._neighbours(effect)
            case fx.Similar():
                return self._similar(effect)
            case fx.PageRank():
                return self._walk(effect)
            case fx.Rank():
                return self._rank(effect, path)
            case fx.State():
                return self._state(effect.name)
            case fx.Random():
                return self._random(path)
            case fx.Task():
                return effect.call()
            case _:
                raise TypeError(f"no handler for the effect {type(effect).__name__}")

    def _given(self, effect: fx.Model | fx.Wanted | fx.Now | fx.Space) -> Any:
        """What the memory was opened with."""
        match effect:
            case fx.Model():
                return None if self.core.model is None else self.core.model.name
            case fx.Wanted():
                return self.core.schema
            case fx.Now():
                return self.core.now()
            case fx.Space():
                return self.core.embedder.name

    def _score(self, effect: fx.Score, depth: int = 0) -> fx.Columns:
        vector, parts = self.core.query_vector(effect.query)
        times = named_times(effect.query, effect.at or self.core.now())
        with self.lens.index(self.scope) as index:
            return index.score(
                ask_index(effect.query),
                vector,
                now=micros(self.lens.moment),
                made_by=self.made_by,
                level=effect.level,
                signals=effect.signals,
                kinds=effect.kinds,
                parts=parts,
                times=times,
                depth=max(depth, self.depth),
            )

    def _read(self, ids: Sequence[str]) -> list[Record]:
        found = [record for record in self.lens.records(ids) if self._visible(record)]
        for record in found:  # a view has no bytes of its own: what was read are its turns
            self.reads.update(record.sources if is_view(record.id) else (record.id,))
        return found

    def _visible(self, record: Record) -> bool:
        """Whether the program may see it: of its scope, said or its own, and no secret."""
        ours = record.made_by in (None, self.made_by) and record.kind != "secret"
        return ours and self.scope.covers(record.scope)

    def _find(self, effect: fx.Find) -> list[Hit]:
        """Nearest by cosine, with words as a lesser part; the hit's score is the cosine, cut to [0, 1]."""
        asked = fx.Score(effect.text, ("dense_turn", "bm25_turn"), kinds=effect.kinds)
        columns = self._score(asked, effect.k + len(self.hidden))
        if not len(columns):
            return []
        cosine, words = columns.signals["dense_turn"], columns.signals["bm25_turn"]
        fused = cosine + _FIND_LEXICAL * words / max(float(words.max()), 1e-9)
        hits: list[Hit] = []
        depth = effect.k + len(self.hidden)
        while True:
            order = top(fused, depth, columns.rows)
            score = dict(zip(columns.rows(order), (float(cosine[row]) for row in order), strict=True))
            hits = [
                Hit(record, min(1.0, max(0.0, score[record.id])))
                for record in self._read(list(score))
                if record.id not in self.hidden
            ]
            if len(hits) >= effect.k or depth >= len(columns):
                return hits[: effect.k]
            depth *= 4

    def _facts(self, effect: fx.Facts) -> list[Record]:
        with self.lens.index(self.scope) as index:
            ids = index.stated.ids(effect.subject, effect.relation, self.lens.records)
        return sorted(self._read(ids), key=lambda record: (record.arrival, record.id))

    def _entities(self, effect: fx.Entities) -> list[list[Record]]:
        with self.lens.index(self.scope) as index:
            ids = [index.named.ids(name, self.lens.records) for name in effect.names]
            if effect.alike:
                more = [index.alike.ids(name, self.lens.records) for name in effect.names]
                ids = [list(dict.fromkeys([*found, *near])) for found, near in zip(ids, more, strict=True)]
        found = {record.id: record for record in self._read(list(dict.fromkeys(chain(*ids))))}
        return [
            sorted(
                (found[id] for id in named if id in found and not ended(found[id], self.lens.moment)),
                key=lambda record: (record.arrival, record.id),
            )
            for named in ids
        ]

    def _recent(self, effect: fx.Recent) -> list[Record]:
        """The last turns of the scope, or those before one that have the very same scope."""
        last = None if effect.before is None else next(iter(self.lens.records([effect.before])), None)
        if effect.count < 1 or (effect.before is not None and last is None):
            return []
        found: list[Record] = []
        depth = effect.count
        while True:
            with self.lens.index(self.scope) as index:
                ids = index.recent(depth, now=micros(self.lens.moment), before=last)
            found = [record for record in self._read(ids) if last is None or record.scope == last.scope]
            if len(found) >= effect.count or len(ids) < depth:
                return found[-effect.count :]
            depth *= 4

    def _told(self, effect: fx.Told) -> list[tuple[datetime, str]]:
        start = None if effect.start is None else micros(effect.start)
        end = None if effect.end is None else micros(effect.end)
        with self.lens.index(self.scope) as index:
            found = index.told(
                (start, end),
                kinds=effect.kinds,
                now=micros(self.lens.moment),
                made_by=self.made_by,
                last=effect.last,
                strength=effect.strength,
            )
        return [(from_micros(time), id) for time, id in found]

    def _neighbours(self, effect: fx.Neighbours) -> list[Edge]:
        known = tuple(sorted(record.id for record in self._read(effect.ids)))
        asked = SelectEdges(self.scope, known, effect.direction, effect.types, makers=(None, self.made_by))
        if effect.limit is not None:
            asked = replace(asked, newest=True, limit=effect.limit)
        return self.lens.edges(asked, ended=effect.ended) if known else []

    def _similar(self, effect: fx.Similar) -> list[list[tuple[str, float]]]:
        if not effect.texts:
            return []
        vectors = embedded(self.core.watch, self.core.embedder, list(effect.texts))
        now, k = micros(self.lens.moment), max(0, effect.k)
        with self.lens.index(self.scope) as index:
            near = index.similar(
                vectors,
                k + len(self.hidden),
                now=now,
                made_by=self.made_by,
                kinds=effect.kinds,
                floor=effect.floor,
            )
        return [[pair for pair in pairs if pair[0] not in self.hidden][:k] for pairs in near]

    def _walk(self, effect: fx.PageRank) -> list[tuple[str, float]]:
        with self.lens.graph(self.scope) as graph:
            return graph.rank(
                effect.seeds,
                now=micros(self.lens.moment),
                made_by=self.made_by,
                damping=effect.damping,
                types=effect.types,
                directed=effect.directed,
                among=effect.among,
            )

    def _rank(self, effect: fx.Rank, path: str) -> list[float]:
        reranker = self.core.reranker
        if reranker is None:
            raise ConfigError(f"policy {self.policy.name!r} reranks: give Memory(reranker=…)")
        if not isinstance(reranker, AskingReranker):
            return checked(reranker.rank(effect.query, effect.texts), effect.texts)
        program = reranker.ranking(effect.query, effect.texts)
        return checked(run(program, lambda inner, place: self(inner, f"{path}/{place}")), effect.texts)

    def _state(self, name: str) -> fx.StateValue:
        rows = self.core.store.states(self.scope, self.made_by, name)
        if not rows:
            return fx.StateValue(None, 0)
        self.reads.update(rows[0].reads)  # what the state was made of stands behind what is made of it
        return fx.StateValue(rows[0].value, rows[0].version)

    def _random(self, path: str) -> float:
        key = f"{self.core.seed}/{self.job}/{path}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=7).digest(), "big") / (1 << 56)

    def _ask(self, effect: fx.Ask[Any], path: str) -> Any:
        return self.asker.ask(needed(self.core, f"policy {self.policy.name!r}"), effect, path)

    def _save(self) -> None:
        if self.save is not None:
            with self.asker.lock:  # the later of two threads keeps what the earlier one kept
                self.save()
