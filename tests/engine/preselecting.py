"""The plain reference of a store that preselects: exact answers, by looking at every entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from engram.kernel.preselect import Among, Census, Matching, Told
from engram.kernel.protocols import Entry
from engram.kernel.scope import Scope
from engram.operators.retrieval.codec import WordColumns, unpack_vectors, unpack_words
from engram.stores.ram.store import RamStore

NEVER = 1 << 62


class Preselecting(RamStore):
    """A store in memory that preselects; `asked` counts the calls by name."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self._kept: dict[object, tuple[object, list[Entry]]] = {}
        self._words: dict[tuple[bytes, ...], WordColumns] = {}

    def census(self, scope: Scope, among: Among) -> Census | None:
        """Figures of everything in scope."""
        self.asked["census"] += 1
        entries = self._current(scope)
        entries = [entry for entry in entries if _stands(entry, among) == among.standing]
        tokens = self._unpacked(entries).length
        return Census(
            len(entries),
            len({_stream(entry) for entry in entries}),
            float(tokens.mean()) if len(tokens) else 0.0,
            sum(entry.role == "assistant" for entry in entries) / max(1, len(entries)),
            tuple(sorted({entry.name for entry in entries if entry.name is not None})),
        )

    def often(self, scope: Scope, terms: Sequence[int], among: Among) -> list[int]:
        """How many entries hold each term."""
        self.asked["often"] += 1
        words = self._unpacked([e for e in self._current(scope) if _stands(e, among) == among.standing])
        counted = Counter(words.hash.tolist())
        return [counted[term] for term in terms]

    def nearest(
        self, scope: Scope, vectors: Sequence[Any], k: int, among: Among
    ) -> list[list[tuple[str, float]]]:
        """The nearest entries, exactly."""
        self.asked["nearest"] += 1
        entries = self._among(scope, among)
        units = unpack_vectors([entry.vector for entry in entries], len(vectors[0]))
        found = []
        for vector in vectors:
            cosines = units @ vector
            order = np.argsort(-cosines, kind="stable")[:k].tolist()
            found.append([(entries[place].id, float(cosines[place])) for place in order])
        return found

    def matching(self, scope: Scope, terms: Sequence[int], k: int, among: Among, drawn: int = 0) -> Matching:
        """Those that hold most, the rarest terms counting most."""
        self.asked["matching"] += 1
        entries = self._among(scope, among)
        words = self._unpacked(entries)
        scores = np.zeros(len(entries))
        for term in terms:
            held = words.text[words.hash == term]
            scores[held] += np.log1p(len(entries) / max(1, len(held)))
        order = np.argsort(-scores, kind="stable")[:k].tolist()
        best = [entries[place].id for place in order if scores[place] > 0]
        holding = [entry.id for entry, score in zip(entries, scores.tolist(), strict=True) if score > 0]
        step = max(1, len(holding) // max(1, drawn))
        return Matching(best, holding[::step][:drawn], len(holding), list(terms))

    def sample(self, scope: Scope, k: int, among: Among) -> list[str]:
        """Every so many-th."""
        self.asked["sample"] += 1
        entries = self._among(scope, among)
        return [entry.id for entry in entries[:: max(1, len(entries) // max(1, k))]][:k]

    def around(self, scope: Scope, ids: Sequence[str], reach: Sequence[int]) -> list[list[Entry]]:
        """Each with its neighbours in its stream."""
        self.asked["around"] += 1
        streams: dict[object, list[Entry]] = {}
        for entry in sorted(self._current(scope), key=lambda entry: (entry.time, entry.arrival)):
            streams.setdefault(_stream(entry), []).append(entry)
        place = {e.id: (stream, at) for stream in streams.values() for at, e in enumerate(stream)}
        found = [place.get(id, ([], 0)) for id in ids]
        wide = zip(found, reach, strict=True)
        return [stream[max(0, at - one) : at + one + 1] for (stream, at), one in wide]

    def told(
        self,
        scope: Scope,
        span: tuple[int | None, int | None],
        among: Among,
        last: int | None = None,
        strength: float = 0.0,
        run: tuple[str | None, str | None, str | None] | None = None,
    ) -> list[Told]:
        """When they were told."""
        self.asked["told"] += 1
        start, end = -NEVER if span[0] is None else span[0], NEVER if span[1] is None else span[1]
        found = sorted(
            Told(entry.time, entry.arrival, entry.id)
            for entry in self._among(scope, among)
            if start <= entry.time < end
            and entry.strength >= strength
            and (run is None or (entry.user_id, entry.agent_id, entry.run_id) == run)
        )
        return found if last is None else found[max(0, len(found) - last) :]

    def _current(self, scope: Scope) -> list[Entry]:
        position, kept = self.sequence(), self._kept.get(scope)
        if kept is None or kept[0] != position:
            found = self.entries(scope, limit=1 << 30)
            kept = position, [entry for entry in found if entry.words and not entry.closed]
            self._kept[scope] = kept
        return kept[1]

    def _unpacked(self, entries: Sequence[Entry]) -> WordColumns:
        blobs = tuple(entry.words for entry in entries)
        if blobs not in self._words:
            self._words[blobs] = unpack_words(blobs)
        return self._words[blobs]

    def _among(self, scope: Scope, among: Among) -> list[Entry]:
        return [
            entry
            for entry in self._current(scope)
            if (entry.valid_end or NEVER) > among.now
            and (entry.expires or NEVER) > among.now
            and entry.made_by in (None, among.made_by)
            and (not among.kinds or entry.kind in among.kinds)
            and _stands(entry, among) == among.standing
        ]


def _stands(entry: Entry, among: Among) -> bool:
    return entry.made_by is not None and entry.kind in among.aside


def _stream(entry: Entry) -> object:
    return (entry.user_id, entry.agent_id, entry.run_id) if entry.kind == "episode" else entry.id
