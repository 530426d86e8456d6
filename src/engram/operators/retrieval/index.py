"""The index of a scope, in memory: follows a store's entries and computes columns of signals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engram.kernel.errors import InvalidInput
from engram.kernel.protocols import Entry
from engram.kernel.record import Record
from engram.operators.retrieval.bm25 import Averages, rarity
from engram.operators.retrieval.candidates import Candidates, ScopeColumns, bounds, choose
from engram.operators.retrieval.codec import WordColumns, unpack_vectors, unpack_words
from engram.operators.retrieval.figures import FIGURES, LENGTHS, Figures
from engram.operators.retrieval.growing import Vectors
from engram.operators.retrieval.layout import GUARD, TOKENS, Layout
from engram.operators.retrieval.near import Near, nearest
from engram.operators.retrieval.pairs import telling
from engram.operators.retrieval.postings import Postings
from engram.operators.retrieval.query import Parts, Query, Reading, read, term
from engram.operators.retrieval.recent import last_turns, told_within
from engram.operators.retrieval.rows import Rows, stamp
from engram.operators.retrieval.signals import SIGNALS, Probe, column
from engram.operators.retrieval.speakers import Speakers
from engram.operators.retrieval.stated import Alike, Named, Stated

__all__ = ["Asked", "ScopeIndex"]

FEW = 16
READINGS = 256


IMAGINED = 30


class Asked(NamedTuple):
    """What `score` is asked; see there."""

    query: Query
    vector: NDArray[np.float32] | None
    now: int
    made_by: str | None
    level: int
    signals: tuple[str, ...]
    kinds: frozenset[str]
    parts: Parts | None
    times: tuple[tuple[int, int], ...]
    depth: int


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
        self._speakers = Speakers()
        self.stated = Stated()
        self.named = Named()
        self.alike = Alike()
        self._readings: dict[str, tuple[int, Reading]] = {}
        self._alive = 0
        self._loose = False
        self._follows: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Current records."""
        return self._alive

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, estimated."""
        parts = (self._rows, self._vectors, self._postings, self._layout, self.stated, self.named, self.alike)
        return sum(part.nbytes for part in parts)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Take over entries: new records, new versions, closed ones, changed counters and vectors.

        Entries that were applied before do nothing. Without words (a record without text) they are no
        candidates and stand in no window. Raises `NeedsMigration` for words of another format or vectors of
        other dimensions.
        """
        if not entries:
            return
        fresh, dead, same = self._sort_out(list({entry.id: entry for entry in entries}.values()))
        words = unpack_words([entry.words for entry in fresh])
        units = unpack_vectors([entry.vector for entry in fresh], self._dimensions)
        self.stated.follow(entries)
        self.follow_names(entries)
        self.last = max(self.last, *(entry.sequence for entry in entries))
        self._alive += len(fresh) - len(dead)
        self._averages = None
        self._candidates.clear()
        at_once = self._loose or len(fresh) + len(dead) > FEW
        for row in dead:
            self._remove(row, at_once)
        first = len(self._rows)
        self._append(fresh, words, units)
        for row in () if at_once else range(first, len(self._rows)):
            self._insert(row)
        self._loose = at_once
        self._mend(same)

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
        parts: Parts | None = None,
        times: Sequence[tuple[int, int]] = (),
        depth: int = 0,
    ) -> ScopeColumns:
        """Columns over all candidates of a level (0 turns and derived records, 1 windows, 2 sessions).

        `vector` is the query's, [dimensions], or `None`; `now` in microseconds; `made_by` the policy whose
        derived records may be seen; `signals` and `kinds` empty for all. `parts` are the query's words and
        their vectors, not normed, for the `focus` signals (without, those equal `dense`). `times` are the
        stretches of time that the query names. `depth` is how many of the best are wanted, which says nothing
        to an index that scores all. Raises `InvalidInput` for an unknown signal.
        """
        names = tuple(signals) or tuple(SIGNALS)
        if unknown := [name for name in names if name not in SIGNALS]:
            raise InvalidInput(f"no signal is called {unknown[0]!r}; there are {', '.join(SIGNALS)}")
        asked = Asked(query, vector, now, made_by, level, names, frozenset(kinds), parts, tuple(times), depth)
        return self._columns(asked)

    def _columns(self, asked: Asked) -> ScopeColumns:
        averages = self._settle()
        candidates = self._choose(asked.level, asked.now, asked.made_by, asked.kinds)
        reading = self.read(asked.query)
        direction = None if asked.parts is None else self.direction(asked.parts)
        probe = Probe(
            asked.query, reading, asked.vector, direction, candidates,
            self._rows, self._layout, self._vectors, self._postings, averages, asked.times,
        )  # fmt: skip
        self._tell(probe)
        return self._filled(asked, probe, self._rows.ids, self._weighs(candidates))

    def _filled(
        self, asked: Asked, probe: Probe, ids: Sequence[str], weights: NDArray[np.float32] | None
    ) -> ScopeColumns:
        matrix = np.empty((len(asked.signals), len(probe.candidates)), np.float32)
        for number, name in enumerate(asked.signals):
            matrix[number] = column(name, probe)
        rows = bounds(probe.layout, probe.candidates)
        return ScopeColumns(asked.signals, matrix, self._context(probe), rows, ids, asked.level, weights)

    def similar(
        self,
        vectors: NDArray[np.float32],
        k: int,
        *,
        now: int,
        made_by: str | None = None,
        kinds: Collection[str] = (),
        floor: float = 0.0,
    ) -> list[Near]:
        """The `k` candidates nearest to each vector, shape [m, dimensions]: (id, cosine), nearest first.

        Those with a cosine of `floor` at least; ties by id. `now`, `made_by` and `kinds` as for `score`.
        """
        self._settle()
        rows = self._choose(0, now, made_by, frozenset(kinds)).row
        return nearest(self._vectors, self._rows.ids, rows, vectors, k, floor)

    def ids_of(self, kind: str, *, now: int, made_by: str | None = None) -> list[str]:
        """The ids of all candidates of a kind, at the time `now` in microseconds."""
        self._settle()
        rows = self._choose(0, now, made_by, frozenset((kind,))).row
        return [self._rows.ids[row] for row in rows.tolist()]

    def recent(self, count: int, *, now: int, before: Record | None = None) -> list[str]:
        """The ids of the last `count` turns (see `last_turns`) that live on after `now`, in microseconds."""
        self._settle()
        turns = self._choose(0, now, None, frozenset(("episode",))).row
        return last_turns(self._rows, turns, count, before)

    def told(
        self,
        span: tuple[int | None, int | None],
        *,
        now: int,
        made_by: str | None = None,
        kinds: Collection[str] = (),
        last: int | None = None,
        strength: float = 0.0,
    ) -> list[tuple[int, str]]:
        """Time in microseconds and id of candidates (`recent.told_within`)."""
        self._settle()
        rows = self._choose(0, now, made_by, frozenset(kinds)).row
        return told_within(self._rows, rows, span, last, strength)

    def parts(self) -> tuple[Rows, Layout, Vectors, Postings, Figures]:
        """What it consists of, settled."""
        self._settle()
        return self._rows, self._layout, self._vectors, self._postings, self._figures

    def take(
        self,
        rows: Rows,
        layout: Layout,
        vectors: Vectors,
        postings: Postings,
        figures: Figures,
        last: int,
    ) -> None:
        """Consist of these from now on, as `parts` of another gave them, with entries up to `last`."""
        self._rows, self._layout, self._vectors = rows, layout, vectors
        self._postings, self._figures, self.last = postings, figures, last
        self._alive = int(np.count_nonzero(rows["alive"]))
        names = np.bincount(rows["name"][rows["alive"] > 0], minlength=len(rows.names))
        spoken = {code: records for code, records in enumerate(names.tolist()) if records}
        self._speakers.come(Counter(spoken), list(rows.names))

    def follow_names(self, entries: Iterable[Entry]) -> None:
        """Take note of names of entities alone, as `apply` does."""
        self.named.follow(entries)
        self.alike.follow(entries)

    def _sort_out(self, entries: Sequence[Entry]) -> tuple[list[Entry], list[int], list[tuple[int, Entry]]]:
        """New rows to make, rows to take out, and rows to mend in place."""
        row_of = self._rows.row_of
        fresh: list[Entry] = []
        dead: list[int] = []
        same: list[tuple[int, Entry]] = []
        for entry in entries:
            row, shown = row_of.get(entry.id), bool(entry.words) and not entry.closed
            if row is None:
                if shown:
                    fresh.append(entry)
            elif not shown:
                dead.append(row)
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
        self._postings.add(words.text + first, words.hash, words.times)
        self._speakers.come(self._rows["name"][first:].tolist(), list(self._rows.names))

    def _remove(self, row: int, at_once: bool) -> None:
        self._rows["alive"][row] = 0
        self._speakers.go([int(self._rows["name"][row])])
        del self._rows.row_of[self._rows.ids[row]]
        if not at_once:
            position, sessions = self._layout.remove(row, self._rows)
            self._figures.windows(position - GUARD, position + 2 * GUARD)
            for session in sessions:
                self._figures.shifted(session, -self._vectors.gather(np.array([row]))[0])

    def _insert(self, row: int) -> None:
        position, session = self._layout.insert(row, self._rows)
        self._figures.windows(position - GUARD, position + GUARD + 1)
        self._figures.shifted(session, self._vectors.gather(np.array([row]))[0])

    def _mend(self, same: list[tuple[int, Entry]]) -> None:
        """Change rows in place; a vector that came or changed changes its windows and session."""
        if not same:
            return
        stamps = self._rows["vector"]
        moved = [(row, entry.vector) for row, entry in same if stamps[row] != stamp(entry.vector)]
        rows = np.array([row for row, _ in same])
        self._speakers.go(self._rows["name"][rows].tolist())
        self._rows.update(rows, [entry for _, entry in same])
        self._speakers.come(self._rows["name"][rows].tolist(), list(self._rows.names))
        units = unpack_vectors([vector for _, vector in moved], self._dimensions)
        self._loose |= len(moved) > FEW
        for (row, _), unit in zip(moved, units, strict=True):
            change = unit - self._vectors.gather(np.array([row]))[0]
            self._vectors[row] = unit
            if self._loose:
                self._layout.forget(row)
                continue
            position = int(self._layout.position[row])
            self._figures.windows(position - GUARD, position + GUARD + 1)
            self._figures.shifted(int(self._layout.session_at[position]), change)

    def _compact(self) -> None:
        """Give back the room of dead rows."""
        kept = np.flatnonzero(self._rows["alive"])
        new = np.full(len(self._rows), -1, np.int64)
        new[kept] = np.arange(len(kept))
        self._postings.renumber(new)
        self._vectors.keep(kept)
        self._layout.renumber(kept, new)
        self._rows.keep(kept)

    def _settle(self) -> Averages:
        """Do what `apply` left for later."""
        if self._loose:
            positions, sessions = self._layout.arrange(self._rows, self._follows)
            self._figures.windows_at(positions)
            self._figures.sessions(sessions)
            self._loose = False
        if len(self._rows) > 2 * len(self) + 1024:
            self._compact()
        if self._averages is None:
            turns, sessions_ = len(self), self._layout.sessions.size
            near = [float(self._layout.figures[place].sum(dtype=np.float64)) for place in LENGTHS]
            windows = (near[0] / max(1, turns), near[1] / max(1, turns), near[2] / max(1, turns))
            tokens = float(self._layout.weights[TOKENS].sum(dtype=np.float64))
            self._averages = Averages(turns, sessions_, windows, tokens / max(1, sessions_))
        return self._averages

    def _choose(self, level: int, now: int, made_by: str | None, kinds: frozenset[str]) -> Candidates:
        key = (level, made_by, kinds)
        held = self._candidates.get(key)
        if held is None or not held.since <= now < held.until:
            held = choose(self._layout, self._rows, level=level, now=now, made_by=made_by, kinds=kinds)
            self._candidates[key] = held
        return held

    def read(self, query: Query) -> Reading:
        """The query as this scope reads it."""
        edition, reading = self._readings.get(query.text, (-1, None))
        if reading is None or edition != self._speakers.edition:
            if len(self._readings) >= READINGS:
                self._readings.clear()
            reading = read(query, self._speakers, len(self._rows.names))
            self._readings[query.text] = (self._speakers.edition, reading)
        return reading

    def direction(self, parts: Parts) -> NDArray[np.float32] | None:
        """The query's vector from its words', weighed by how rare each is here, without speakers' names.

        Rarity is counted as if `IMAGINED` further turns held every common word and no other: among few
        turns, words like "where" are rare by chance.
        """
        words = [(term(word), vector) for word, vector in parts]
        words = [(hashed, vector) for hashed, vector in words if not self._speakers.codes(hashed)]
        hashes = np.array([max(0, hashed) for hashed, _ in words], np.uint32)
        turns, often = self._frequencies(hashes)
        weights = rarity(often + IMAGINED * ~telling(hashes), turns + IMAGINED)
        total = np.zeros(self._dimensions, np.float32)
        for weight, (_, vector) in zip(weights.tolist(), words, strict=True):
            total += np.float32(weight) * vector
        norm = float(np.linalg.norm(total))
        return total / np.float32(norm) if norm > 0 else None

    def _frequencies(self, hashes: NDArray[np.uint32]) -> tuple[int, NDArray[np.int64]]:
        """How many records there are, and in how many of them each term stands."""
        alive = None if len(self._rows) == len(self) else self._rows["alive"] > 0
        return len(self), self._postings.often(hashes, alive)

    def _tell(self, probe: Probe) -> None:
        """Tell the probe what it cannot know, where this is not the whole scope."""

    def _weighs(self, candidates: Candidates) -> NDArray[np.float32] | None:
        """How many candidates of the scope each stands for, where they are not all here."""

    def _context(self, probe: Probe) -> dict[str, float]:
        """Figures of scope and query.

        `turns`, `sessions`, `tokens` a turn, `assistant` share, cues, the query's `idf` added up and the
        share of it that is `unseen`.
        """
        averages = probe.averages
        idf, unseen = probe.lexical.asked
        return {
            "turns": float(averages.turns),
            "sessions": float(averages.sessions),
            "tokens": averages.windows[0],
            "assistant": probe.candidates.assistant,
            "idf": idf,
            "unseen": unseen,
            **{f"cue_{name}": value for name, value in probe.query.cues.items()},
        }
