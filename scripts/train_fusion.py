"""Learn the default policy's weights from conversations with known evidence.

    make train-fusion            # python scripts/train_fusion.py ../shared/data/locomo ../shared/data/beam

Writes `fusion.json` and `fusion.log` into `src/engram/operators/retrieval/data`. The columns come from the
engine itself, asked as `engram bench` asks. Loss: for each question, the mean over its evidence of the
negative log softmax of the fused score over all candidates, plus an L2 penalty; data sets weigh alike, and
so do the questions of one. Deterministic. Needs scipy (dependency group `train`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from engram import Memory
from engram.bench.load import Conversation, data_sets
from engram.engine.performer import Performer
from engram.kernel.clock import parse_time
from engram.kernel.effects import Columns, Score
from engram.kernel.scope import Scope
from engram.operators.retrieval.fuse import figures

OUT = Path(__file__).parents[1] / "src/engram/operators/retrieval/data"
L2 = 1e-3
KS = (5, 10, 20, 50)
FOLD_SEEDS = (0, 1, 2)
CONTEXTS = ("bias", "assisted")
Z, RAW = "z", "raw"
SIGNALS = {
    "bm25_turn": Z,
    "bm25_w1": Z,
    "bm25_w3": Z,
    "bm25_best": Z,
    "bm25_asked": Z,
    "coverage": Z,
    "pairs": RAW,
    "dense_turn": Z,
    "dense_w1": Z,
    "dense_w3": Z,
    "dense_session": Z,
    "named": RAW,
    "question": RAW,
    "after_question": RAW,
    "first": RAW,
    "log_length": Z,
    "assistant": RAW,
    "when": RAW,
    "advice": RAW,
}

Floats = NDArray[np.float64]


@dataclass
class Asked:
    """One question: standardised columns [n, signals], contexts [contexts], and which rows are evidence."""

    columns: Floats
    context: Floats
    evidence: NDArray[np.bool_]
    missing: int
    conversation: int
    category: str


def ask_all(conversation: Conversation, number: int) -> list[Asked]:
    """Every question with evidence, as the engine scores it."""
    asked = []
    with Memory("ram:", policy="bm25") as memory:
        origins: dict[str, str] = {}
        for session in conversation.sessions:
            receipt = memory.add(list(session.messages), user_id=conversation.name, run_id=session.run_id)
            origins |= {str(item.id): str(item.origin) for item in receipt.items}
        core = memory._bound.core
        performer = Performer(core, core.policy, Scope(user_id=conversation.name), core.present)
        at = None if conversation.last is None else parse_time(conversation.last)[0]
        for question in conversation.questions:
            if question.evidence:
                found: Columns = performer(Score(question.text, tuple(SIGNALS), at=at), "0")
                ids = [origins[id] for id in found.rows(range(len(found)))]
                evidence = np.array([id in question.evidence for id in ids])
                missing = len(question.evidence) - int(evidence.sum())
                asked.append(
                    Asked(*standardised(found), evidence, missing, number, question.category)
                )
    return asked


def standardised(found: Columns) -> tuple[Floats, Floats]:
    """Columns as the fusion sees them, and the figures of scope and query."""
    matrix = np.asarray(found.matrix, np.float64)
    scale = np.array([kind == Z for kind in SIGNALS.values()])
    spread = matrix.std(axis=1)
    flat = scale & (spread <= 1e-6 * np.maximum(np.abs(matrix.mean(axis=1)), 1e-3))
    centred = matrix - np.where(scale, matrix.mean(axis=1), 0.0)[:, None]
    columns = centred / np.where(scale & ~flat, spread, 1.0)[:, None]
    columns[flat] = 0.0
    known = figures(found)
    return columns.T, np.array([known[name] for name in CONTEXTS])


def loss(flat: Floats, groups: Sequence[Sequence[Asked]], l2: float) -> tuple[float, Floats]:
    """The loss and its gradient at weights of shape [signals, contexts], flattened."""
    weights = flat.reshape(len(SIGNALS), len(CONTEXTS))
    total, gradient = 0.0, np.zeros_like(weights)
    for group in groups:
        usable = [item for item in group if item.evidence.any()]
        for item in usable:
            scores = item.columns @ (weights @ item.context)
            peak = scores.max()
            grown = np.exp(scores - peak)
            share = 1.0 / item.evidence.sum()
            wanted = item.evidence * share
            weight = 1.0 / (len(usable) * len(groups))
            total += weight * (np.log(grown.sum()) + peak - scores @ wanted)
            slope = item.columns.T @ (grown / grown.sum() - wanted)
            gradient += weight * np.outer(slope, item.context)
    return total + l2 * float(flat @ flat), gradient.ravel() + 2 * l2 * flat


def fit(groups: Sequence[Sequence[Asked]]) -> Floats:
    """Weights of shape [signals, contexts] that make the loss of these groups smallest."""
    start = np.zeros(len(SIGNALS) * len(CONTEXTS))
    found = minimize(loss, start, args=(groups, L2), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return np.asarray(found.x).reshape(len(SIGNALS), len(CONTEXTS))


def recalls(group: Sequence[Asked], weights: Floats) -> Floats:
    """Recall at each k, one row a question."""
    rows = np.zeros((len(group), len(KS)))
    for row, item in zip(rows, group, strict=True):
        scores = item.columns @ (weights @ item.context)
        ranked = item.evidence[np.argsort(-scores, kind="stable")]
        for place, k in enumerate(KS):
            row[place] = ranked[:k].sum() / (ranked.sum() + item.missing)
    return rows


def two_fold(groups: dict[str, list[Asked]]) -> dict[str, Floats]:
    """Recall where each conversation is ranked by weights learned without it."""
    totals = {name: np.zeros((len(group), len(KS))) for name, group in groups.items()}
    for seed in FOLD_SEEDS:
        chance = np.random.RandomState(seed)
        side = {}
        for name, group in groups.items():
            count = 1 + max(item.conversation for item in group)
            side[name] = chance.permutation(count) % 2
        for fold in (0, 1):
            kept = [
                [item for item in group if side[name][item.conversation] != fold] for name, group in groups.items()
            ]
            weights = fit(kept)
            for name, group in groups.items():
                out = [index for index, item in enumerate(group) if side[name][item.conversation] == fold]
                totals[name][out] += recalls([group[index] for index in out], weights) / len(FOLD_SEEDS)
    return {name: rows.mean(axis=0) for name, rows in totals.items()}


def report(groups: dict[str, list[Asked]], weights: Floats) -> list[str]:
    """The log: recall with all, two-fold, and with weights of the other data sets only; the weights."""
    def line(kind: str, name: str, values: Floats) -> str:
        return f"{kind:<22}{name:<10}" + "  ".join(f"@{k} {value:.4f}" for k, value in zip(KS, values, strict=True))

    lines = [f"questions: {', '.join(f'{name} {len(group)}' for name, group in groups.items())}; L2 {L2}"]
    lines += [line("learned on all", name, recalls(group, weights).mean(axis=0)) for name, group in groups.items()]
    lines += [line("two-fold", name, values) for name, values in two_fold(groups).items()]
    for name, group in groups.items():
        others = [item for other, item in groups.items() if other != name]
        if others:
            lines.append(line("learned on the others", name, recalls(group, fit(others)).mean(axis=0)))
    lines.append("weights: " + ", ".join(CONTEXTS))
    lines += [
        f"  {name:<16}" + "  ".join(f"{value:+.4f}" for value in row)
        for name, row in zip(SIGNALS, weights, strict=True)
    ]
    return lines


def main() -> None:
    """Load, learn, report, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("paths", nargs="+", type=Path)
    groups: dict[str, list[Asked]] = {}
    for data in data_sets(arguments.parse_args().paths):
        found = [ask_all(conversation, number) for number, conversation in enumerate(data.conversations)]
        groups[data.name] = [item for part in found for item in part]
    weights = fit(list(groups.values()))
    lines = report(groups, weights)
    shipped: dict[str, Any] = {
        "contexts": list(CONTEXTS),
        "signals": {
            name: {"scale": scale, "weights": [round(float(value), 5) for value in row]}
            for (name, scale), row in zip(SIGNALS.items(), weights, strict=True)
        },
        "calibration": {},
    }
    OUT.mkdir(exist_ok=True)
    (OUT / "fusion.json").write_text(json.dumps(shipped, indent=1) + "\n", encoding="utf-8")
    (OUT / "fusion.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
