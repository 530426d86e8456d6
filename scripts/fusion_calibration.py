"""The calibration part of `train_fusion.py`: questions that can be answered here, and those that cannot.

Unanswerable ones are made three ways: the data's own (no evidence), questions of another conversation
(speakers' names put in place of each other), and answerable ones whose evidence sessions are hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from fusion_columns import Part, Remembered, few, remembered
from numpy.typing import NDArray
from scipy.optimize import minimize

from engram.bench.load import Conversation, DataSet, Question
from engram.bench.run import auroc
from engram.operators.retrieval.calibrate import FEATURES, features
from engram.operators.retrieval.fuse import Fusion, fuse

Floats = NDArray[np.float64]
TOP = 10
SMALL = 5
ANSWERABLE = ("answerable", "answerable, few")
UNANSWERABLE = ("unanswered", "elsewhere", "hidden", "hidden, few")
L2 = 1e-3


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
        return self.kind in ANSWERABLE


def cases(data: DataSet, fusion: Fusion) -> list[Case]:
    """Every question of a data set in all its forms."""
    found: list[Case] = []
    many = len(data.conversations)
    for number, conversation in enumerate(data.conversations):
        other = data.conversations[(number + 1) % many] if many > 1 else None
        with remembered(conversation) as here:
            for place, (kind, columns, evidence) in enumerate(_forms(here, fusion, other)):
                fold = number % 2 if many > 1 else place // 2 % 2
                found.append(Case(kind, data.name, fold, *seen(columns, fusion, evidence)))
    return found


Form = tuple[str, Part, frozenset[str]]
NOTHING: frozenset[str] = frozenset()


def _forms(here: Remembered, fusion: Fusion, other: Conversation | None) -> Iterator[Form]:
    """(kind, columns, evidence) of the conversation's questions, in all their forms, and of another's."""
    for question in here.conversation.questions:
        columns = here.columns(question.text, fusion.signals)
        if not question.evidence:
            yield "unanswered", columns, NOTHING
        elif question.category == "5":  # asked of the wrong person: evidence, but no answer
            yield "wrong person", columns, question.evidence
        else:
            yield "answerable", columns, question.evidence
            touched = {here.sessions.get(id) for id in question.evidence}
            left = columns.without(frozenset(id for id in columns.ids if here.sessions.get(id) in touched))
            if len(left) > TOP:
                yield "hidden", left, NOTHING
            yield from _small(here, fusion, question)
    for question in other.questions if other else ():
        if question.evidence and other is not None:
            text = question.text
            for theirs, ours in zip(_speakers(other), _speakers(here.conversation), strict=False):
                text = re.sub(rf"\b{re.escape(theirs)}\b", ours, text)
            yield "elsewhere", here.columns(text, fusion.signals), NOTHING


def _small(here: Remembered, fusion: Fusion, question: Question) -> Iterator[Form]:
    """The question in a memory of the five turns around its evidence, and of five turns from far away."""
    ids = [str(message["id"]) for session in here.conversation.sessions for message in session.messages]
    known = [index for index, id in enumerate(ids) if id in question.evidence]
    if not known or len(ids) < 10 * SMALL or known[0] % 3:
        return
    middle, half = known[0], len(ids) // 2
    near = ids[max(0, middle - SMALL // 2) : middle + SMALL // 2 + 1]
    start = (middle + half) % (len(ids) - SMALL)
    far = [id for id in ids[start : start + SMALL] if id not in question.evidence]
    for kind, turns in (("answerable, few", near), ("hidden, few", far)):
        with remembered(few(here.conversation, turns)) as small:
            evidence = question.evidence if kind in ANSWERABLE else NOTHING
            yield kind, small.columns(question.text, fusion.signals), evidence


def seen(columns: Part, fusion: Fusion, evidence: frozenset[str]) -> tuple[Floats, Floats, Floats]:
    """Features, how far the best ten lie behind the best (NaN: there is none), which are evidence."""
    fused = fuse(columns, fusion)
    best = np.argsort(-fused.scores, kind="stable")[:TOP]
    behind, hits = np.full(TOP, np.nan), np.zeros(TOP)
    behind[: len(best)] = fused.scores[best] - fused.scores[best[0]]
    hits[: len(best)] = [columns.ids[index] in evidence for index in best]
    return features(columns, fused, best.tolist()), behind, hits


def _speakers(conversation: Conversation) -> list[str]:
    names = (message.get("name") for session in conversation.sessions for message in session.messages)
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
    return np.asarray(np.r_[found[:-1] / spread, found[-1] - (found[:-1] / spread) @ mean])


def balanced(found: Sequence[Case]) -> Floats:
    """Weights that give every data set the same say, half of it to its answerable questions."""
    weights = np.zeros(len(found))
    for data in {case.data for case in found}:
        for side in (ANSWERABLE, UNANSWERABLE):
            kinds = {case.kind for case in found if case.data == data} & set(side)
            for kind in kinds:
                here = [index for index, case in enumerate(found) if (case.data, case.kind) == (data, kind)]
                weights[here] = 0.5 / len(kinds) / len(here)
    return np.asarray(weights / weights.sum())


def fit(found: Sequence[Case]) -> dict[str, float]:
    """The calibration, learned on these cases; questions asked of the wrong person are left out."""
    used = [case for case in found if case.kind in (*ANSWERABLE, *UNANSWERABLE)]
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
    shares = (known[name] * float(value) for name, value in zip(FEATURES, case.features, strict=True))
    return known["bias"] + sum(shares)


def report(found: Sequence[Case]) -> list[str]:
    """AUROC of answerable against each kind of unanswerable, with weights learned on the other half."""
    scores: dict[int, float] = {}
    for fold in (0, 1):
        known = fit([case for case in found if case.fold != fold])
        scores |= {index: level(case, known) for index, case in enumerate(found) if case.fold == fold}
    lines = ["AUROC of answerable questions against others, two-fold by conversation:"]
    for data in sorted({case.data for case in found}):
        for kind in (*UNANSWERABLE, "wrong person"):
            against = "answerable, few" if kind == "hidden, few" else "answerable"
            good, bad = (
                [scores[i] for i, case in enumerate(found) if (case.data, case.kind) == (data, wanted)]
                for wanted in (against, kind)
            )
            value = auroc(good, bad)
            if value is not None:
                lines.append(f"  {data:<10}{kind:<14}{value:.3f}  ({len(good)} against {len(bad)})")
    lines.append("In memories of five turns, the best hit is evidence:")
    for data in sorted({case.data for case in found}):
        right = [case.evidence[0] for case in found if (case.data, case.kind) == (data, "answerable, few")]
        lines.append(f"  {data:<10}{np.mean(right):.3f}  ({len(right)} questions)")
    return lines
