"""Made-up turns by the million, the same on every run: sessions of 20 about two of 5,000 topics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray

from engram.bench.texts import COMMON, NAMES, vocabulary
from engram.kernel.record import Interval, Record, new_id
from engram.kernel.scope import Scope

__all__ = ["SESSION", "asked", "records", "said"]

SESSION = 20
TOPICS, ABOUT = 5_000, 40
LEAST, MOST = 8, 24
_START = datetime(2000, 1, 1, 9, tzinfo=UTC)


@cache
def _topics() -> NDArray[np.int64]:
    """The words of each topic, shape [TOPICS, ABOUT], rarer words of the vocabulary."""
    chance = np.random.default_rng(1)
    return chance.integers(len(COMMON), len(vocabulary()), (TOPICS, ABOUT))


@cache
def _law(size: int) -> NDArray[np.float64]:
    """Zipf's law over `size` words, summed up."""
    return np.cumsum(1 / np.arange(1, size + 1)) / np.sum(1 / np.arange(1, size + 1))


def said(session: int) -> list[str]:
    """The turns of a session: half of their words common ones, half of its two topics'."""
    chance = np.random.default_rng(session)
    words, topics = vocabulary(), _topics()[chance.integers(0, TOPICS, 2)]
    found = []
    for length in chance.integers(LEAST, MOST + 1, SESSION).tolist():
        common = np.searchsorted(_law(len(COMMON)), chance.random(length))
        topical = topics[chance.integers(0, 2), np.searchsorted(_law(ABOUT), chance.random(length))]
        chosen = np.where(chance.random(length) < 0.5, common, topical).tolist()
        found.append(" ".join(words[place] for place in chosen).capitalize() + ".")
    return found


def records(first: int, count: int, scope: Scope) -> Iterator[Record]:
    """`count` episodes from number `first` on (both whole sessions), valid from their times on."""
    for session in range(first // SESSION, (first + count) // SESSION):
        run = Scope(scope.tenant, scope.user_id, scope.agent_id, f"run-{session}")
        began = _START + timedelta(hours=session / 5)
        for place, text in enumerate(said(session)):
            number = session * SESSION + place
            moment = began + timedelta(seconds=30 * place)
            yield Record(
                id=new_id(int(moment.timestamp() * 1000), number, 0),
                kind="episode",
                scope=run,
                text=text,
                role="user",
                name=NAMES[place % 2],
                time=moment,
                valid=Interval(moment),
                known=Interval(moment),
                metadata={"tenth": number % 10, "hundredth": number % 100, "thousandth": number % 1000},
            )


def asked(count: int, among: int) -> list[str]:
    """Questions about the first `among` turns: a name and up to four of the words of one of them."""
    chance = np.random.default_rng(among)
    found = []
    for _ in range(count):
        session, place = divmod(int(chance.integers(0, among)), SESSION)
        words = [word for word in said(session)[place].lower().strip(".").split() if word not in COMMON]
        picked = list(dict.fromkeys(words))[:4] or ["garden"]
        found.append(f"What did {NAMES[place % 2]} say about {' '.join(picked)}?")
    return found
