"""The index, by brute force: every window and session cut and counted anew, one record at a time."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engram.operators.analysis import STOPWORDS, analyse, term_hash, terms
from engram.operators.retrieval.codec import pack_vectors, unpack_vectors

K1, B, GAP = 1.2, 0.75, 30 * 60 * 1_000_000


class Turn(NamedTuple):
    """A current record, as the reference sees it."""

    id: str
    arrival: int
    time: int
    text: str
    vector: tuple[float, ...] | None
    run: str | None = None
    agent: str | None = None
    user: str | None = None
    kind: str = "episode"
    name: str | None = None
    role: str | None = "user"


def sessions(turns: Sequence[Turn]) -> list[list[Turn]]:
    """The turns in their sessions; each derived record in one of its own."""
    streams: dict[Any, list[Turn]] = {}
    for turn in turns:
        key = (turn.user, turn.agent, turn.run) if turn.kind == "episode" else turn.id
        streams.setdefault(key, []).append(turn)
    cut: list[list[Turn]] = []
    for stream in streams.values():
        stream.sort(key=lambda turn: (turn.time, turn.arrival))
        last: Turn | None = None
        for turn in stream:
            paused = last is not None and turn.run is None and turn.time - last.time > GAP
            if last is None or paused:
                cut.append([])
            cut[-1].append(turn)
            last = turn
    return cut


def unit(turn: Turn, dimensions: int) -> Any:
    """The turn's unit vector or zeros, in int8 steps as it is stored (`test_parts` has the bytes)."""
    vector = np.array([turn.vector or [0.0] * dimensions], np.float32)
    return unpack_vectors(pack_vectors(vector), dimensions)[0].astype(float)


def terms_of(turn: Turn) -> Counter[int]:
    """How often each term stands in the turn."""
    words = analyse(turn.text)
    return Counter(dict(zip(words.hashes.tolist(), words.counts.tolist(), strict=True)))


def lexical(groups: list[list[Turn]], query: dict[int, float]) -> list[float]:
    """BM25 of each group of turns, among the groups."""
    counts = [sum((terms_of(turn) for turn in group), Counter()) for group in groups]
    lengths = [sum(analyse(turn.text).length for turn in group) for group in groups]
    average = sum(lengths) / max(1, len(groups)) or 1.0
    scores = [0.0] * len(groups)
    for term, weight in query.items():
        often = sum(count[term] > 0 for count in counts)
        rarity = math.log(1 + (len(groups) - often + 0.5) / (often + 0.5))
        for number, count in enumerate(counts):
            bound = count[term] + K1 * (1 - B + B * lengths[number] / average)
            scores[number] += weight * rarity * count[term] * (K1 + 1) / bound
    return scores


def dense(group: list[Turn], query: Any) -> float:
    """Cosine of the query with the group's summed unit vectors."""
    total = sum((unit(turn, len(query)) for turn in group), np.zeros(len(query)))
    norm = np.linalg.norm(total)
    return float(total @ query / norm) if norm > 1e-6 else 0.0


def question(text: str) -> bool:
    """Whether the text asks."""
    return "?" in text


def content(text: str, names: set[str]) -> list[int]:
    """A text's terms in order without common words and names, as far as others are left."""
    every = [term_hash(term) for term in terms(text)]
    telling = [term for term in every if term not in STOPWORDS]
    spoken = {term_hash(term) for name in names for term in terms(name)}
    return [term for term in telling if term not in spoken] or telling or every


def following(turn: Turn) -> set[tuple[int, int]]:
    """Pairs of neighbours in the turn, common words aside."""
    telling = [term for term in (term_hash(term) for term in terms(turn.text)) if term not in STOPWORDS]
    return set(itertools.pairwise(telling))


def columns(turns: Sequence[Turn], query: str, vector: Any) -> dict[str, dict[str, float]]:
    """Signal name to id to value, at level 0."""
    cut = sessions(list(turns))
    place = {turn.id: (group, at) for group in cut for at, turn in enumerate(group)}
    order = [turn for group in cut for turn in group]
    ids = [turn.id for turn in order]
    sought = content(query, {turn.name for turn in turns if turn.name})
    wanted = {term: float(count) for term, count in Counter(sought).items()}
    result: dict[str, dict[str, float]] = {}
    for suffix, reach in (("turn", 0), ("w1", 1), ("w3", 3)):
        windows = []
        for turn in order:
            group, at = place[turn.id]
            windows.append(group[max(0, at - reach) : at + reach + 1])
        result[f"bm25_{suffix}"] = dict(zip(ids, lexical(windows, wanted), strict=True))
        result[f"dense_{suffix}"] = dict(zip(ids, (dense(window, vector) for window in windows), strict=True))
    by_session = dict(zip(map(id, cut), lexical(cut, wanted), strict=True))
    result["bm25_session"] = {turn.id: by_session[id(group)] for group in cut for turn in group}
    result["dense_session"] = {turn.id: dense(group, vector) for group in cut for turn in group}
    score = result["bm25_turn"]
    result["bm25_best"] = {
        turn.id: max(score[other.id] for other in group) for group in cut for turn in group
    }
    result["coverage"], result["pairs"] = coverage(order, wanted), neighbours(order, sought)
    for turn in order:
        for name, value in plain(turn, *place[turn.id], query, score).items():
            result.setdefault(name, {})[turn.id] = float(value)
    return result


def coverage(order: list[Turn], wanted: dict[int, float]) -> dict[str, float]:
    """By id: the idf of the different terms that stand in the turn."""
    often = Counter(term for turn in order for term in set(terms_of(turn)))
    rarity = {t: math.log(1 + (len(order) - often[t] + 0.5) / (often[t] + 0.5)) for t in wanted}
    return {turn.id: sum(rarity[term] for term in wanted if terms_of(turn)[term]) for turn in order}


def neighbours(order: list[Turn], sought: list[int]) -> dict[str, float]:
    """By id: how rare the query's pairs are that stand in the turn."""
    often = Counter(pair for turn in order for pair in following(turn))
    pairs = [pair for pair in itertools.pairwise(sought) if often[pair]]
    return {
        turn.id: sum(math.log(1 + len(order) / often[pair]) for pair in pairs if pair in following(turn))
        for turn in order
    }


def plain(turn: Turn, group: list[Turn], at: int, query: str, score: dict[str, float]) -> dict[str, float]:
    """The signals that need no counting; the turn is `group[at]`."""
    asked = set(analyse(query).hashes.tolist())
    answers = at > 0 and question(group[at - 1].text)
    return {
        "named": bool(turn.name and asked & set(analyse(turn.name).hashes.tolist())),
        "question": question(turn.text),
        "after_question": answers,
        "first": at == 0,
        "assistant": turn.role == "assistant",
        "bm25_asked": score[group[at - 1].id] if answers else 0.0,
        "log_length": math.log1p(analyse(turn.text).length / 20),
    }
