"""The nearest notes, with those linked to them; each turn once, by its note where it has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engram.kernel.effects import Neighbours, Read, Score
from engram.kernel.policy import Query, Recall
from engram.kernel.record import Hit, Record
from engram.operators.notes.note import LINK, NOTE_OF, Note, turn_of
from engram.operators.retrieval.nearest import SIGNALS, mixed
from engram.operators.retrieval.top import top

__all__ = ["nearest_notes"]


async def nearest_notes(query: Query, words: float, share: float) -> Recall:
    """What is nearest to the query by cosine and, `words` times as much, BM25 (1 at its best).

    A note and its turn are one hit, at the better rank of the two: the note, or the turn where it was edited
    since. Where the query's filters will drop hits, the turn stands behind its note. Notes linked to a hit
    rank at `share` of its value at least. The score is the cosine, lifted likewise.
    """
    columns = await Score(query.text, SIGNALS, at=query.at, level=query.level, kinds=query.kinds)
    if not len(columns):
        return Recall()
    cosine, ranking = np.asarray(columns.signals["dense_turn"]), mixed(columns, words)
    places = top(ranking, 2 * query.depth, columns.rows)  # a turn may come twice, itself and by its note
    ids = columns.rows(places)
    value = dict(zip(ids, ranking[places].tolist(), strict=True))
    score = dict(zip(ids, np.clip(cosine[places], 0, 1).tolist(), strict=True))
    found = {record.id: record for record in await Read(tuple(ids))}
    best = [id for id in ids if id in found][: query.depth]
    await _lift(await _notes_of(best, found), 1.0, found, value, score)
    await _lift(await _linked(best, found), share, found, value, score)
    hits = await _once(found, value, score, both=query.depth > query.k)
    return Recall(tuple(hits)[: query.depth])


async def _lift(
    pairs: Sequence[tuple[str, str]],
    share: float,
    found: dict[str, Record],
    value: dict[str, float],
    score: dict[str, float],
) -> None:
    """Let the second of each pair have `share` of what the first has at least, and be found."""
    for rank in (value, score):
        own = dict(rank)
        for one, other in pairs:
            rank[other] = max(rank.get(other, 0.0), share * own[one])
    more = dict.fromkeys(other for _, other in pairs if other not in found)
    if more:
        found |= {record.id: record for record in await Read(tuple(more))}


async def _notes_of(ids: Sequence[str], found: Mapping[str, Record]) -> list[tuple[str, str]]:
    """Pairs of a turn found and its note, where that was not found by itself."""
    held = {turn_of(record) for record in found.values()}
    bare = {id for id in ids if found[id].made_by is None and id not in held}
    edges = await Neighbours(tuple(sorted(bare)), (NOTE_OF,)) if bare else []
    return sorted((edge.target, edge.source) for edge in edges if edge.target in bare)


async def _linked(ids: Sequence[str], found: Mapping[str, Record]) -> list[tuple[str, str]]:
    """Pairs of a note found, itself or by its turn, and one that it is linked to."""
    best = {*ids}
    notes = {id for id, record in found.items() if (turn := turn_of(record)) and (id in best or turn in best)}
    edges = await Neighbours(tuple(sorted(notes)), (LINK,)) if notes else []
    ends = [pair for edge in edges for pair in ((edge.source, edge.target), (edge.target, edge.source))]
    return sorted((one, other) for one, other in ends if one in notes)


async def _once(
    found: Mapping[str, Record], value: Mapping[str, float], score: Mapping[str, float], *, both: bool
) -> list[Hit]:
    """Hits in order of value: a note and its turn as one, the note unless the turn was edited since.

    With `both`, the turn follows its note.
    """
    notes = {turn: record for record in found.values() if (turn := turn_of(record))}
    missing = tuple(turn for turn in notes if turn not in found)
    said = {**found, **{record.id: record for record in await Read(missing)}}
    best: dict[str, float] = {}
    order = sorted((-value[id], id) for id in found)
    for _, id in order:
        turn = turn_of(found[id]) or id
        best[turn] = max(best.get(turn, 0.0), score[id])
    hits: list[Hit] = []
    for id, top_score in best.items():
        own, note = said.get(id), notes.get(id)
        fresh = note is not None and (own is None or note.text == Note.of(note).text(own.text))
        hits += [Hit(note, top_score)] if note is not None and fresh else []
        hits += [Hit(own, top_score)] if own is not None and (both or not fresh) else []
    return hits
