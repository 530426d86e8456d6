"""The index of a scope, in memory: follows a store's entries and computes columns of signals."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from engram.kernel.errors import InvalidInput
from engram.kernel.protocols import Entry
from engram.operators.analysis import analyse
from engram.operators.retrieval.bm25 import Averages
from engram.operators.retrieval.candidates import Candidates, ScopeColumns, bounds, choose
from engram.operators.retrieval.codec import WordColumns, unpack_vectors, unpack_words
from engram.operators.retrieval.figures import FIGURES, LENGTHS, Figures
from engram.operators.retrieval.growing import Vectors
from engram.operators.retrieval.layout import GUARD, TOKENS, Layout
from engram.operators.retrieval.postings import Postings
from engram.operators.retrieval.query import Query
from engram.operators.retrieval.rows import Rows
from engram.operators.retrieval.signals import SIGNALS, Probe, column

__all__ = ["ScopeIndex"]

FEW = 16


class ScopeIndex:
    """Every current record of a scope, ready to be scored. Not thread-safe: hold a lock around each call.

    An erasure cannot be applied: drop the index and build another. Length statistics and document
    frequencies are those of all current records, hidden ones (`choose`) included.
    """

    def __init__(self, dimensions: int) -> None:
        self.last = 0
        self._dimensions = dimensions
        self._rows = Rows()
        self._vectors = Vectors(dimensions)
        self._postings = Postings()
        self._layout = Layout(FIGURES)
        self._figures = Figures(self._layout, self._rows, self._vectors)
        self._averages: Averages | None = None
        self._candidates: dict[tuple[int, str | None, frozenset[str]], Candidates] = {}
        self._names: list[NDArray[np.uint32]] = []

    def __len__(self) -> int:
        """Current records."""
        return int(self._rows["alive"].sum())

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, estimated."""
        parts = (self._rows, self._vectors, self._postings, self._layout)
        return sum(part.nbytes for part in parts)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Take over entries, by sequence: new records, new versions, closed ones, changed counters and vectors.

        Entries that were applied before do nothing. Raises `NeedsMigration` for words of another format or
        vectors of other dimensions.
        """
        if not entries:
            return
        fresh, dead, same = self._sort_out(list({entry.id: entry for entry in entries}.values()))
        words = unpack_words([entry.words for entry in fresh])
        units = unpack_vectors([entry.vector for entry in fresh], self._dimensions)
        self.last = max(self.last, *(entry.sequence for entry in entries))
        few = len(fresh) + len(dead) <= FEW
        for row in dead:
            self._remove(row, few)
        first = len(self._rows)
        self._append(fresh, words, units)
        if few:
            for row in range(first, len(self._rows)):
                self._insert(row)
        else:
            self._arrange()
        self._refresh(same)
        if fresh or dead:
            self._averages = None
        self._candidates.clear()
        if len(self._rows) > 2 * len(self) + 1024:
            self._compact()

    def score(
        self,
        query: Query,
        vector: NDArray[np.float32] | None,
        *,
        now: int,
        made_by: str | None = None,
        level: int = 0,
        signals: Sequence[str] = (),
        kinds: Collection[str] = (),
    ) -> ScopeColumns:
        """Columns over all candidates of a level (0 turns and derived records, 1 windows, 2 sessions).

        `vector` is the query's, [dimensions], or `None`; `now` in microseconds; `made_by` the policy whose
        derived records may be seen; `signals` empty for all. Raises `InvalidInput` for an unknown signal.
        """
        names = tuple(signals) or tuple(SIGNALS)
        if unknown := [name for name in names if name not in SIGNALS]:
            raise InvalidInput(f"no signal is called {unknown[0]!r}; there are {', '.join(SIGNALS)}")
        candidates = self._choose(level, now, made_by, frozenset(kinds))
        probe = self._probe(query, vector, candidates)
        matrix = np.empty((len(names), len(candidates)), np.float32)
        for number, name in enumerate(names):
            matrix[number] = column(name, probe)
        return ScopeColumns(
            names, matrix, self._context(query, candidates), bounds(self._layout, candidates), self._rows.ids, level
        )

    def _sort_out(self, entries: Sequence[Entry]) -> tuple[list[Entry], list[int], list[tuple[int, Entry]]]:
        """New rows to make, rows to take out, and rows to mend in place."""
        row_of = self._rows.row_of
        fresh: list[Entry] = []
        dead: list[int] = []
        same: list[tuple[int, Entry]] = []
        for entry in entries:
            row = row_of.get(entry.id)
            if row is None:
                if not entry.closed:
                    fresh.append(entry)
            elif entry.closed:
                dead.append(row)
                del row_of[entry.id]
            elif self._rows.same_place(row, entry):
                same.append((row, entry))
            else:
                dead.append(row)
                fresh.append(entry)
        return fresh, dead, same

    def _append(self, entries: list[Entry], words: WordColumns, units: NDArray[np.float32]) -> None:
        first = len(self._rows)
        self._rows.append(entries, words)
        self._vectors.append(units)
        self._layout.extend(len(entries))
        self._postings.add(words.text + first, words.hash, words.count)
        for name in list(self._rows.names)[len(self._names) :]:
            self._names.append(np.asarray(analyse(name or "").hashes, np.uint32))

    def _remove(self, row: int, few: bool) -> None:
        self._rows["alive"][row] = 0
        if few:
            position, sessions = self._layout.remove(row, self._rows)
            self._figures.windows(position - GUARD, position + 2 * GUARD)
            for session in sessions:
                self._figures.shifted(session, -self._vectors.gather(np.array([row]))[0])

    def _insert(self, row: int) -> None:
        position, session = self._layout.insert(row, self._rows)
        self._figures.windows(position - GUARD, position + GUARD + 1)
        self._figures.shifted(session, self._vectors.gather(np.array([row]))[0])

    def _arrange(self) -> None:
        positions, sessions = self._layout.arrange(self._rows)
        self._figures.windows_at(positions)
        self._figures.sessions(sessions)

    def _refresh(self, same: list[tuple[int, Entry]]) -> None:
        """Mend rows in place; a vector that came or changed changes its windows and session."""
        if not same:
            return
        hashes = self._rows["vector"]
        moved = [(row, entry.vector) for row, entry in same if hashes[row] != hash(entry.vector)]
        self._rows.update(np.array([row for row, _ in same]), [entry for _, entry in same])
        if not moved:
            return
        units = unpack_vectors([vector for _, vector in moved], self._dimensions)
        rows = np.array([row for row, _ in moved])
        positions = self._layout.position[rows]
        if len(moved) == 1:
            change = units[0] - self._vectors.gather(rows)[0]
            self._vectors[int(rows[0])] = units[0]
            self._figures.windows(int(positions[0]) - GUARD, int(positions[0]) + GUARD + 1)
            self._figures.shifted(int(self._layout.session_at[positions[0]]), change)
            return
        for row, unit in zip(rows.tolist(), units, strict=True):
            self._vectors[row] = unit
        near = (positions[:, None] + np.arange(-GUARD, GUARD + 1)).ravel()
        self._figures.windows_at(np.unique(near))
        self._figures.sessions(np.unique(self._layout.session_at[positions]))

    def _compact(self) -> None:
        """Give back the room of dead rows."""
        kept = np.flatnonzero(self._rows["alive"])
        new = np.full(len(self._rows), -1, np.int64)
        new[kept] = np.arange(len(kept))
        self._postings.renumber(new)
        self._vectors.keep(kept)
        self._layout.renumber(kept, new)
        self._rows.keep(kept)

    def _settled(self) -> Averages:
        if self._averages is None:
            turns, sessions = len(self), self._layout.sessions.size
            near = [float(self._layout.figures[place].sum(dtype=np.float64)) for place in LENGTHS]
            windows = (near[0] / max(1, turns), near[1] / max(1, turns), near[2] / max(1, turns))
            tokens = float(self._layout.weights[TOKENS].sum(dtype=np.float64))
            self._averages = Averages(turns, sessions, windows, tokens / max(1, sessions))
        return self._averages

    def _choose(self, level: int, now: int, made_by: str | None, kinds: frozenset[str]) -> Candidates:
        key = (level, made_by, kinds)
        held = self._candidates.get(key)
        if held is None or not held.since <= now < held.until:
            held = choose(self._layout, self._rows, level=level, now=now, made_by=made_by, kinds=kinds)
            self._candidates[key] = held
        return held

    def _probe(self, query: Query, vector: NDArray[np.float32] | None, candidates: Candidates) -> Probe:
        """The query at this index: who is named in it counts as a speaker, not as a term."""
        hits = [np.isin(name, query.every) for name in self._names]
        named = np.array([bool(hit.any()) for hit in hits], bool)
        spoken = [name[hit] for name, hit in zip(self._names, hits, strict=True) if hit.any()]
        terms, weights = query.hashes, query.weights
        if spoken:
            rest = ~np.isin(terms, np.concatenate(spoken))
            terms, weights = terms[rest], weights[rest]
        return Probe(
            query, vector, named, terms, weights, candidates,
            self._rows, self._layout, self._vectors, self._postings, self._settled(),
        )  # fmt: skip

    def _context(self, query: Query, candidates: Candidates) -> dict[str, float]:
        """Figures of the scope and the query: `turns`, `sessions`, `tokens` a turn, `assistant` share, cues."""
        averages = self._settled()
        role = self._rows["role"][candidates.row]
        share = float((role == self._rows.roles.get("assistant")).mean()) if len(role) else 0.0
        return {
            "turns": float(averages.turns),
            "sessions": float(averages.sessions),
            "tokens": averages.windows[0],
            "assistant": share,
            **query.cues,
        }
