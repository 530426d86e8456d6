"""Large scopes of a store that preselects: nearly the answers of the whole index, from few candidates."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import numpy as np
import pytest

from engine.preselecting import Preselecting
from engram.config import load_policy
from engram.engine import read, write
from engram.engine.core import Core
from engram.kernel.clock import micros
from engram.kernel.drive import run
from engram.kernel.record import Hit
from engram.kernel.scope import Scope
from engram.models import load_embedder
from engram.operators.retrieval.candidates import ScopeColumns
from engram.operators.retrieval.fuse import shipped
from engram.operators.retrieval.query import ask

T = TypeVar("T")
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
NOW = datetime(2026, 9, 1, 9, tzinfo=UTC)
USER = Scope("default", "ada")
THINGS = [
    "garden",
    "bicycle",
    "violin",
    "harbour",
    "oven",
    "ladder",
    "glacier",
    "market",
    "kitchen",
    "train",
    "lamp",
    "sailor",
    "compass",
    "orchard",
    "blanket",
    "telescope",
    "hammer",
    "notebook",
    "piano",
    "engine",
    "bridge",
    "castle",
    "candle",
    "mirror",
    "forest",
    "island",
    "window",
    "carpet",
]
DONE = [
    "repaired",
    "painted",
    "sold",
    "borrowed",
    "measured",
    "photographed",
    "lost",
    "described",
    "washed",
    "wrapped",
    "hid",
    "found",
]
LIKE = [
    "blue",
    "broken",
    "heavy",
    "silent",
    "golden",
    "narrow",
    "famous",
    "wooden",
    "frozen",
    "tiny",
    "old",
    "distant",
    "striped",
    "empty",
]
PEOPLE = ("Ada", "Bruno", "Chloe", "Dmitri")
QUESTIONS = (
    "who repaired the violin with the blue lamp?",
    "what did Ada say of the frozen glacier",
    "when was the wooden ladder sold",
    "something about a striped bicycle in the market",
    "who lost a golden compass near the island in March?",
    "did Chloe wrap the telescope in a blanket",
)


def said(run_name: int, turns: int, chance: np.random.Generator) -> list[dict[str, Any]]:
    """A conversation of made-up sentences about a few things."""
    about = chance.choice(THINGS, 4)
    told = []
    for turn in range(turns):
        thing, other = chance.choice(about, 2)
        done, like, near = chance.choice(DONE), chance.choice(LIKE), chance.choice(THINGS)
        text = f"We {done} the {like} {thing} and the {other} beside the {near}, number {turn}."
        moment = START + timedelta(days=run_name, minutes=turn)
        told.append({"role": "user", "name": PEOPLE[turn % 4], "content": text, "time": moment.isoformat()})
    return told


@cache
def filled(runs: int = 40, turns: int = 30) -> Preselecting:
    """A store of made-up conversations, one a run."""
    store, chance = Preselecting(), np.random.default_rng(7)
    core = opened(store, "dense")
    for number in range(runs):
        scope = Scope("default", "ada", None, f"run-{number}")
        performed(core, write.add(core, write.AddRequest(said(number, turns, chance), scope)))
    return store


def opened(store: Preselecting, policy: str, large: int = 1 << 40) -> Core:
    """A core on the store that takes scopes above `large` for large."""
    embedder = load_embedder("static")
    core = Core(store, load_policy(policy), embedder, lambda: NOW, large=large)
    core.check_identity()
    return core


def performed(core: Core, program: Coroutine[Any, Any, T]) -> T:
    """What a program gives."""
    return run(program, core.performed)


def hits(core: Core, query: str, **asked: Any) -> list[Hit]:
    """What a search finds."""
    return performed(core, read.search(core, core.present, read.SearchRequest(query, USER, **asked)))


def agreement(one: list[Hit], other: list[Hit]) -> float:
    """The share of the first that is in the second."""
    return len({hit.id for hit in one} & {hit.id for hit in other}) / max(1, len(one))


@pytest.mark.parametrize(
    ("policy", "least"), [("dense", 1.0), ("bm25", 0.9), ("rrf", 0.9), ("fusion", 0.85), ("rag", 0.8)]
)
def test_a_large_scope_is_answered_nearly_as_a_small_one(policy: str, least: float) -> None:
    store = filled()
    whole, large = opened(store, policy), opened(store, policy, large=100)
    shares = [agreement(hits(whole, query), hits(large, query)) for query in QUESTIONS]
    assert float(np.mean(shares)) >= least
    for query in QUESTIONS:
        score = {hit.id: hit.score for hit in hits(whole, query)}
        for hit in hits(large, query):
            if hit.id in score:
                assert hit.score == pytest.approx(score[hit.id], abs=0.1)
    assert not large.cache.scopes()  # no index of all of it was made


def test_candidates_stand_for_the_whole_scope() -> None:
    """Those found for themselves, those drawn for the rest: near rare words and far from them."""
    store = filled()
    whole, large = opened(store, "fusion"), opened(store, "fusion", large=100)
    for query in QUESTIONS:
        exact, few = columns(whole, query), columns(large, query)
        assert len(few) < len(exact)
        assert abs(float(few.each.sum()) - len(exact)) < 0.1 * len(exact)
        for name in ("coverage", "bm25_w3", "focus_turn"):
            mean = float(few.signals[name] @ few.each) / float(few.each.sum())
            spread = float(exact.signals[name].std())
            assert abs(mean - float(exact.signals[name].mean())) < 0.25 * spread


def columns(core: Core, query: str) -> ScopeColumns:
    """The fused signals of a query."""
    vector, parts = core.query_vector(query)
    found = core.larges.of(USER)
    asked: dict[str, Any] = {"now": micros(NOW), "signals": shipped().signals, "parts": parts, "depth": 10}
    if found is not None:
        return found.score(ask(query), vector, **asked)
    with core.present.index(USER) as index:
        return index.score(ask(query), vector, **asked)
