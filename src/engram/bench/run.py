"""Recall on conversations with known evidence, for any policy, as an application would have got it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from secrets import token_hex
from statistics import fmean, median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from engram.bench.load import Conversation, DataSet, Question
from engram.config import DEFAULT_POLICY, load_policy
from engram.engine.results import Receipt
from engram.kernel.errors import InvalidInput, StoreError
from engram.kernel.record import Hit
from engram.memory import Memory

__all__ = ["BASELINES", "Measured", "auroc", "chosen_policies", "evaluate", "expand", "recall"]

BASELINES = ("bm25", "dense", "rrf")
_CONTEXTS = 100
_MODELLESS = "no model is configured"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question's outcome: recall at each k (none without evidence), best score, time, context tokens."""

    category: str
    recall: Mapping[int, float]
    top: float
    seconds: float
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One policy on one data set.

    `recall` is the mean over questions with evidence; `by_category` has the same by category, with the
    number of questions. `context_tokens` is the mean size of `context` at its default budget.
    `ms_per_query` is the median of a search for the largest k. `auroc` tells questions with evidence
    from those without by the best hit's score (`None` where the data set has one kind only). `notes` say
    what the policy had to do without, such as a chat model.
    """

    data: str
    policy: str
    questions: int
    recall: Mapping[int, float]
    by_category: Mapping[str, tuple[int, Mapping[int, float]]]
    context_tokens: float
    ms_per_query: float
    auroc: float | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values, rounded to four digits."""
        line: dict[str, Any] = {
            "data": self.data,
            "policy": self.policy,
            "questions": self.questions,
            "recall": _rounded(self.recall),
            "by_category": {
                name: {"questions": count, "recall": _rounded(recall)}
                for name, (count, recall) in self.by_category.items()
            },
            "context_tokens": round(self.context_tokens),
            "ms_per_query": round(self.ms_per_query, 3),
        }
        return line if self.auroc is None else {**line, "auroc": round(self.auroc, 4)}

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> Measured:
        """What `to_dict` wrote. Raises `KeyError`, `TypeError`, `ValueError` or `AttributeError` else."""
        if not line["recall"]:
            raise ValueError("recall: empty")
        by_category = {
            name: (found["questions"], _by_k(found["recall"])) for name, found in line["by_category"].items()
        }
        return cls(
            data=str(line["data"]),
            policy=str(line["policy"]),
            questions=int(line["questions"]),
            recall=_by_k(line["recall"]),
            by_category=by_category,
            context_tokens=line["context_tokens"],
            ms_per_query=line["ms_per_query"],
            auroc=line.get("auroc"),
        )


def chosen_policies(named: Sequence[str]) -> list[str]:
    """The policies to measure: those named (else the default), then the baselines. Raises `ConfigError`."""
    names = list(dict.fromkeys([*(named or [DEFAULT_POLICY]), *BASELINES]))
    for name in names:
        load_policy(name)
    return names


def evaluate(
    data: DataSet,
    policy: str,
    ks: Sequence[int],
    step: Callable[[], object] = lambda: None,
    url: str | None = None,
) -> Measured:
    """Ask every question of a data set, each conversation in a store of its own; `step` is called after each.

    With a `url` each is in a tenant of its own there, and is forgotten again.

    Raises `InvalidInput` where no question has evidence.
    """
    total = sum(len(conversation.questions) for conversation in data.conversations)
    every = max(1, math.ceil(total / _CONTEXTS))
    asked: list[_Asked] = []
    notes: set[str] = set()
    for conversation in data.conversations:
        asked += _ask_all(
            conversation,
            policy,
            ks,
            range(-len(asked) % every, len(conversation.questions), every),
            notes,
            url,
        )
        step()
    return replace(_summary(data.name, policy, ks, asked), notes=tuple(sorted(notes)))


def _ask_all(
    conversation: Conversation,
    policy: str,
    ks: Sequence[int],
    packed: range,
    notes: set[str],
    url: str | None,
) -> list[_Asked]:
    with _memory(policy, url) as memory:
        origins = _remember(memory, conversation, notes)
        return [
            _ask(memory, conversation, question, ks, origins, packed=place in packed)
            for place, question in enumerate(conversation.questions)
        ]


@contextmanager
def _memory(policy: str, url: str | None) -> Iterator[Memory]:
    """A memory that holds nothing, and is gone afterwards."""
    if url is None:
        with TemporaryDirectory() as folder, Memory(f"sqlite:///{folder}/bench.db", policy=policy) as memory:
            yield memory
        return
    with Memory(url, policy=policy) as everybody:
        memory = everybody.scoped(tenant=f"bench-{token_hex(8)}")
        try:
            yield memory
        finally:
            memory.forget(everyone=True)


def _remember(memory: Memory, conversation: Conversation, notes: set[str]) -> dict[str, str]:
    """Add a session at a time; gives each record's id in the file by its id in the memory.

    `notes` takes up what the receipts say of a model that is not there.
    """
    origins: dict[str, str] = {}
    for session in conversation.sessions:
        receipt: Receipt = memory.add(
            list(session.messages), user_id=conversation.name, run_id=session.run_id
        )
        if not receipt.ok:
            failed = next(item for item in receipt.items if item.event == "failed")
            raise StoreError(f"{conversation.name}: turn {failed.origin!r} was not stored: {failed.reason}")
        notes.update(item.reason for item in receipt.items if item.reason.endswith(_MODELLESS))
        origins |= {item.id: item.origin for item in receipt.items if item.id and item.origin}
    return origins


def _ask(
    memory: Memory,
    conversation: Conversation,
    question: Question,
    ks: Sequence[int],
    origins: Mapping[str, str],
    *,
    packed: bool,
) -> _Asked:
    user, at = conversation.name, conversation.last
    start = perf_counter()
    hits = memory.search(question.text, user_id=user, k=max(ks), at=at)
    seconds = perf_counter() - start
    found = expand(hits, origins, lambda derived: memory.get(derived, user_id=user).sources)
    return _Asked(
        category=question.category,
        recall={k: recall(found, question.evidence, k) for k in ks} if question.evidence else {},
        top=hits[0].score if hits else 0.0,
        seconds=seconds,
        tokens=memory.context(question.text, user_id=user, at=at).tokens if packed else None,
    )


def expand(
    hits: Iterable[Hit], origins: Mapping[str, str], sources: Callable[[str], Iterable[str]]
) -> list[str]:
    """The turns behind hits, by their own ids (`origins`: record id to that), in rank order, without repeats.

    A turn stands for itself; anything derived for its `sources`, followed down to turns.
    """
    found: dict[str, None] = {}
    seen: set[str] = set()

    def follow(id: str, below: Iterable[str] | None) -> None:
        if id in seen:
            return
        seen.add(id)
        if id in origins:
            found[origins[id]] = None
            return
        for source in sources(id) if below is None else below:
            follow(source, None)

    for hit in hits:
        follow(hit.id, hit.record.sources)
    return list(found)


def recall(found: Sequence[str], evidence: frozenset[str], k: int) -> float:
    """The share of the evidence among the first `k` found."""
    return len(evidence.intersection(found[:k])) / len(evidence)


def auroc(higher: Sequence[float], lower: Sequence[float]) -> float | None:
    """How often one of `higher` is above one of `lower`, ties counting half; `None` where either is empty."""
    if not higher or not lower:
        return None
    wins = sum((high > low) + (high == low) / 2 for high in higher for low in lower)
    return wins / (len(higher) * len(lower))


def _summary(data: str, policy: str, ks: Sequence[int], asked: Sequence[_Asked]) -> Measured:
    scored = [item for item in asked if item.recall]
    if not scored:
        raise InvalidInput(f"{data}: no question has evidence; give each question the ids of its turns")
    groups: dict[str, list[_Asked]] = {}
    for item in scored:
        groups.setdefault(item.category, []).append(item)
    return Measured(
        data=data,
        policy=policy,
        questions=len(scored),
        recall=_mean(scored, ks),
        by_category={name: (len(groups[name]), _mean(groups[name], ks)) for name in sorted(groups)},
        context_tokens=fmean(item.tokens for item in asked if item.tokens is not None),
        ms_per_query=1000 * median(item.seconds for item in asked),
        auroc=auroc([item.top for item in scored], [item.top for item in asked if not item.recall]),
    )


def _mean(asked: Sequence[_Asked], ks: Sequence[int]) -> dict[int, float]:
    return {k: fmean(item.recall[k] for item in asked) for k in ks}


def _by_k(recall: Mapping[str, float]) -> dict[int, float]:
    return {int(k): float(value) for k, value in recall.items()}


def _rounded(recall: Mapping[int, float]) -> dict[str, float]:
    return {str(k): round(value, 4) for k, value in recall.items()}
