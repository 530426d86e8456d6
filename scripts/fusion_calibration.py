"""The calibration part of `train_fusion.py`: questions that can be answered here, and those that cannot.

Unanswerable ones are made three ways: the data's own (no evidence), questions of another conversation
(speakers' names put in place of each other), and answerable ones whose evidence sessions are hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from engram import Memory
from engram.bench.load import Conversation, DataSet
from engram.bench.run import auroc
from engram.engine.performer import Performer
from engram.kernel.clock import parse_time
from engram.kernel.effects import Columns, Score
from engram.kernel.scope import Scope
from engram.operators.retrieval.calibrate import FEATURES, features
from engram.operators.retrieval.fuse import Fusion, fuse

Floats = NDArray[np.float64]
TOP = 10
L2 = 1e-3


@dataclass(frozen=True)
class Part:
    """Columns cut to some of their candidates."""

    names: tuple[str, ...]
    matrix: Any
    context: Mapping[str, float]
    ids: tuple[str, ...]

    @property
    def signals(self) -> Mapping[str, Any]:
        """Signal name to array."""
        return dict(zip(self.names, self.matrix, strict=True))

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, positions: Sequence[int]) -> list[str]:
        """Ids of positions."""
        return [self.ids[position] for position in positions]


@dataclass(frozen=True)
class Case:
    """One question: its features, how far the best ten lie behind the best, which of them are evidence."""

    kind: str
    data: str
    fold: int
    features: Floats
    behind: Floats
    evidence: Floats

    @property
    def answerable(self) -> bool:
        """Whether the evidence is there to be found."""
        return self.kind == "answerable"


def cases(data: DataSet, fusion: Fusion) -> list[Case]:
    """Every question of a data set in all its forms."""
    found: list[Case] = []
    many = len(data.conversations)
    for number, conversation in enumerate(data.conversations):
        with Memory("ram:", policy="bm25") as memory:
            sessions: dict[str, str | None] = {}
            origins: dict[str, str] = {}
            for session in conversation.sessions:
                receipt = memory.add(
                    list(session.messages), user_id=conversation.name, run_id=session.run_id
                )
                origins |= {str(item.id): str(item.origin) for item in receipt.items}
                sessions |= {str(item.origin): session.run_id for item in receipt.items}
            here = _Here(memory, conversation, fusion, origins, sessions)
            other = data.conversations[(number + 1) % many] if many > 1 else None
            for place, case in enumerate(here.cases(other)):
                fold = number % 2 if many > 1 else place // 2 % 2
                found.append(Case(case[0], data.name, fold, *case[1:]))
    return found


@dataclass
class _Here:
    """One conversation, remembered."""

    memory: Memory
    conversation: Conversation
    fusion: Fusion
    origins: dict[str, str]
    sessions: dict[str, str | None]

    def cases(self, other: Conversation | None) -> Iterator[tuple[str, Floats, Floats, Floats]]:
        """(kind, features, behind, evidence) of the conversation's questions and of another's."""
        for question in self.conversation.questions:
            columns = self.columns(question.text)
            if not question.evidence:
                yield self.case("unanswered", columns, frozenset())
                continue
            if question.category == "5":  # asked of the wrong person: evidence, but no answer
                yield self.case("wrong person", columns, question.evidence)
                continue
            yield self.case("answerable", columns, question.evidence)
            hidden = {self.sessions.get(id) for id in question.evidence}
            kept = [index for index, id in enumerate(columns.ids) if self.sessions.get(id) not in hidden]
            if len(kept) > TOP:
                ids = tuple(columns.ids[index] for index in kept)
                part = Part(columns.names, columns.matrix[:, kept], columns.context, ids)
                yield self.case("hidden", part, frozenset())
        if other is not None:
            for question in other.questions:
                if question.evidence:
                    yield self.case("elsewhere", self.columns(self.renamed(question.text, other)), frozenset())

    def renamed(self, text: str, other: Conversation) -> str:
        """The other conversation's question with this one's speakers in it."""
        for theirs, ours in zip(_speakers(other), _speakers(self.conversation), strict=False):
            text = re.sub(rf"\b{re.escape(theirs)}\b", ours, text)
        return text

    def columns(self, text: str) -> Part:
        """What the engine gives for a query, ids as in the file."""
        core = self.memory._bound.core
        performer = Performer(core, core.policy, Scope(user_id=self.conversation.name), core.present)
        last = self.conversation.last
        at = None if last is None else parse_time(last)[0]
        found: Columns = performer(Score(text, self.fusion.signals, at=at), "0")
        ids = tuple(self.origins[id] for id in found.rows(range(len(found))))
        return Part(tuple(found.names), found.matrix, found.context, ids)

    def case(
        self, kind: str, columns: Part, evidence: frozenset[str]
    ) -> tuple[str, Floats, Floats, Floats]:
        """The question as the calibration sees it."""
        fused = fuse(columns, self.fusion)
        best = np.argsort(-fused.scores, kind="stable")[:TOP]
        behind = np.full(TOP, np.nan)
        behind[: len(best)] = fused.scores[best] - fused.scores[best[0]]
        hits = np.zeros(TOP)
        hits[: len(best)] = [columns.ids[index] in evidence for index in best]
        return kind, features(columns, fused), behind, hits


def _speakers(conversation: Conversation) -> list[str]:
    names = (
        message.get("name") for session in conversation.sessions for message in session.messages
    )
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def logistic(columns: Floats, wanted: Floats, weight: Floats) -> Floats:
    """Weights, the last one for the constant, of a logistic regression on standardised columns."""
    mean, spread = columns.mean(axis=0), columns.std(axis=0) + 1e-9
    plain = np.c_[(columns - mean) / spread, np.ones(len(columns))]

    def loss(flat: Floats) -> tuple[float, Floats]:
        score = plain @ flat
        value = np.logaddexp(0, score) - wanted * score
        slope = plain.T @ (weight * (1 / (1 + np.exp(-score)) - wanted))
        return float(weight @ value + L2 * flat[:-1] @ flat[:-1]), slope + 2 * L2 * np.r_[flat[:-1], 0]

    found = minimize(loss, np.zeros(plain.shape[1]), jac=True, method="L-BFGS-B").x
    return np.r_[found[:-1] / spread, found[-1] - (found[:-1] / spread) @ mean]


def balanced(found: Sequence[Case]) -> Floats:
    """Weights that give every data set the same say, half of it to its answerable questions."""
    weights = np.zeros(len(found))
    for data in {case.data for case in found}:
        for kind in ("answerable", *UNANSWERABLE):
            here = [index for index, case in enumerate(found) if (case.data, case.kind) == (data, kind)]
            kinds = {case.kind for case in found if case.data == data} & set(UNANSWERABLE)
            if here:
                weights[here] = (0.5 if kind == "answerable" else 0.5 / len(kinds)) / len(here)
    return weights / weights.sum()


UNANSWERABLE = ("unanswered", "elsewhere", "hidden")


def fit(found: Sequence[Case]) -> dict[str, float]:
    """The calibration, learned on these cases; questions asked of the wrong person are left out."""
    used = [case for case in found if case.kind == "answerable" or case.kind in UNANSWERABLE]
    weight = balanced(used)
    columns = np.array([case.features for case in used])
    query = logistic(columns, np.array([float(case.answerable) for case in used]), weight)
    level = columns @ query[:-1] + query[-1]
    behind = np.array([case.behind for case in used])
    there = ~np.isnan(behind)
    rows = np.c_[np.repeat(level, TOP).reshape(-1, TOP)[there], behind[there]]
    hits = np.array([case.evidence for case in used])[there]
    each = np.repeat(weight, TOP).reshape(-1, TOP)[there]
    hit = logistic(rows, hits, each / each.sum())
    known = dict(zip((*FEATURES, "bias"), query, strict=True))
    known |= dict(zip(("hit_answerable", "hit_behind", "hit_bias"), hit, strict=True))
    return {name: round(float(value), 5) for name, value in known.items()}


def level(case: Case, known: Mapping[str, float]) -> float:
    """The logit that the question can be answered."""
    return known["bias"] + sum(
        known[name] * value for name, value in zip(FEATURES, case.features, strict=True)
    )


def report(found: Sequence[Case]) -> list[str]:
    """AUROC of answerable against each kind of unanswerable, with weights learned on the other half."""
    scores: dict[int, float] = {}
    for fold in (0, 1):
        known = fit([case for case in found if case.fold != fold])
        scores |= {index: level(case, known) for index, case in enumerate(found) if case.fold == fold}
    lines = ["AUROC of answerable questions against others, two-fold by conversation:"]
    for data in sorted({case.data for case in found}):
        good = [scores[index] for index, case in enumerate(found) if case.data == data and case.answerable]
        for kind in (*UNANSWERABLE, "wrong person"):
            bad = [scores[i] for i, case in enumerate(found) if (case.data, case.kind) == (data, kind)]
            if bad:
                value = auroc(good, bad)
                lines.append(f"  {data:<10}{kind:<14}{value:.3f}  ({len(good)} against {len(bad)})")
    return lines
