"""Learn the default policy's weights from conversations with known evidence.

    make train-fusion            # python scripts/train_fusion.py ../shared/data

Writes `fusion.json` and `fusion.log` into `src/engram/operators/retrieval/data`. The columns come from the
engine itself, asked as `engram bench` asks. Loss: for each question, the mean over its evidence of
-log(e^s / (e^s + sum of e^s over the others)), on the evidence and the hardest other candidates; an L2
penalty, and one that holds the weights of the two kinds of conversation together; signals that match the
query have weights >= 0. Data sets weigh alike (a corpus half), and so do the questions of one.
Deterministic. Needs scipy, which the development lock has.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fusion_calibration as calibration
import numpy as np
from fusion_columns import Part, few, remembered
from numpy.typing import NDArray
from scipy.optimize import minimize

from engram.bench.load import Conversation, data_sets
from engram.operators.retrieval.calibrate import FEATURES
from engram.operators.retrieval.fuse import Fusion, figures

OUT = Path(__file__).parents[1] / "src/engram/operators/retrieval/data"
L2, TOGETHER = 1e-3, 1e-2
ROWS = 100
KS = (1, 5, 10, 20, 50)
FOLD_SEEDS = (0, 1, 2)
CONTEXTS = ("people", "assisted", "small")
SHARES = {"musique": 0.5}
SMALL = ", few turns"
SIZES = (3, 8, 25)
Z, RAW, PRIOR = "z", "raw", "prior"
SIGNALS = {
    "bm25_turn": Z,
    "bm25_w3": Z,
    "bm25_best": Z,
    "bm25_asked": Z,
    "coverage": Z,
    "pairs": RAW,
    "focus_turn": Z,
    "focus_w3": Z,
    "focus_session": Z,
    "named": RAW,
    "question": PRIOR,
    "after_question": PRIOR,
    "first": PRIOR,
    "log_length": PRIOR,
    "assistant": PRIOR,
    "when": RAW,
    "date": RAW,
    "session_named": RAW,
    "summary": RAW,
    "told": RAW,
}
MATCHING = (
    *tuple(SIGNALS)[:10],
    "when",
    "date",
    "session_named",
)  # never against a turn
AS = {"session_named": "date"}  # no question of the data names a session; it points as a date does
HARD = ("bm25_turn", "bm25_w3", "focus_turn", "focus_w3", "named")

Floats = NDArray[np.float64]


@dataclass
class Asked:
    """One question: standardised columns [n, signals], contexts [contexts], and which rows are evidence."""

    columns: Floats
    context: Floats
    evidence: NDArray[np.bool_]
    missing: int
    conversation: int


def ask_all(conversation: Conversation, number: int, *, alone: bool = True) -> list[Asked]:
    """Every question with evidence, as the engine scores it; `alone`: folds keep its questions together."""
    asked: list[Asked] = []
    with remembered(conversation) as here:
        for question in conversation.questions:
            if question.evidence:
                found = here.columns(question.text, tuple(SIGNALS))
                evidence = np.array([id in question.evidence for id in found.ids])
                missing = len(question.evidence) - int(evidence.sum())
                place = number if alone else len(asked)
                asked.append(Asked(*standardised(found), evidence, missing, place))
    return asked


def ask_few(conversation: Conversation, number: int, *, alone: bool = True) -> list[Asked]:
    """Every question with evidence, in a memory of a few turns of which one is evidence."""
    asked: list[Asked] = []
    ids = [str(message["id"]) for session in conversation.sessions for message in session.messages]
    for index, question in enumerate(conversation.questions):
        known = [place for place, id in enumerate(ids) if id in question.evidence]
        size = SIZES[index % len(SIZES)]
        if known and len(ids) > 2 * size:
            place = index // len(SIZES) * 7 % size  # where the evidence lies, each place as often
            start = min(max(0, known[0] - place), len(ids) - size)
            with remembered(few(conversation, ids[start : start + size])) as here:
                found = here.columns(question.text, tuple(SIGNALS))
            evidence = np.array([id in question.evidence for id in found.ids])
            if 0 < evidence.sum() < len(evidence):
                asked.append(Asked(*standardised(found), evidence, 0, number if alone else len(asked)))
    return asked


def standardised(found: Part) -> tuple[Floats, Floats]:
    """Columns as the fusion sees them, and the figures of scope and query."""
    matrix = np.asarray(found.matrix, np.float64)
    scale = np.array([kind == Z for kind in SIGNALS.values()])
    spread = matrix.std(axis=1)
    flat = scale & (spread <= 1e-6 * np.maximum(np.abs(matrix.mean(axis=1)), 1e-3))
    centred = matrix - np.where(scale, matrix.mean(axis=1), 0.0)[:, None]
    columns = centred / np.where(scale & ~flat, spread, 1.0)[:, None]
    columns[flat] = 0.0
    prior = np.array([kind == PRIOR for kind in SIGNALS.values()])
    columns[prior] *= 1 - figures(found)["small"]
    known = figures(found)
    return columns.T, np.array([known[name] for name in CONTEXTS])


def hardest(item: Asked) -> Asked:
    """The question with its evidence and as many of the most alike other candidates as make `ROWS`."""
    alike = item.columns[:, [list(SIGNALS).index(name) for name in HARD]].sum(axis=1)
    order = np.argsort(np.where(item.evidence, np.inf, alike), kind="stable")[::-1][:ROWS]
    return replace(item, columns=item.columns[order], evidence=item.evidence[order])


def loss(flat: Floats, groups: Sequence[Sequence[Asked]], shares: Floats) -> tuple[float, Floats]:
    """The loss and its gradient at weights of shape [signals, contexts], flattened."""
    weights = flat.reshape(len(SIGNALS), len(CONTEXTS))
    total, gradient = 0.0, np.zeros_like(weights)
    for group, portion in zip(groups, shares, strict=True):
        for item in group:
            scores = item.columns @ (weights @ item.context)
            grown = np.exp(scores - scores.max())
            against = grown[~item.evidence].sum()
            wanted = grown[item.evidence]
            found = wanted / (wanted + against)
            weight = portion / len(group) / len(wanted)
            total -= weight * float(np.log(np.maximum(found, 1e-300)).sum())
            slope = np.empty(len(scores))
            slope[item.evidence] = found - 1
            slope[~item.evidence] = grown[~item.evidence] * (1 / (wanted + against)).sum()
            gradient += weight * np.outer(item.columns.T @ slope, item.context)
    kinds = weights[:, :2]
    apart = np.c_[kinds - kinds.mean(axis=1, keepdims=True), np.zeros(len(weights))]
    total += L2 * float((weights**2).sum()) + 2 * TOGETHER * float((apart**2).sum())
    return total, (gradient + 2 * L2 * weights + 4 * TOGETHER * apart).ravel()


def share_of(name: str) -> float:
    """How much a group of questions counts."""
    return SHARES.get(name.removesuffix(SMALL), 1.0) * (0.5 if name.endswith(SMALL) else 1.0)


def fit(groups: dict[str, list[Asked]]) -> Floats:
    """Weights of shape [signals, contexts] that make the loss of these groups smallest."""
    usable = [[hardest(item) for item in group if item.evidence.any()] for group in groups.values()]
    shares = np.array(
        [
            SHARES.get(name.removesuffix(SMALL), 1.0) * (0.5 if name.endswith(SMALL) else 1.0)
            for name in groups
        ]
    )
    start = np.zeros(len(SIGNALS) * len(CONTEXTS))
    bounds = [
        (0.0, 0.0) if kind == PRIOR and context == "small" else (0.0 if name in MATCHING else None, None)
        for name, kind in SIGNALS.items()
        for context in CONTEXTS
    ]
    found = minimize(
        loss,
        start,
        args=(usable, shares / shares.sum()),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 500},
    )
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
            kept = {
                name: [item for item in group if side[name][item.conversation] != fold]
                for name, group in groups.items()
            }
            weights = fit(kept)
            for name, group in groups.items():
                out = [index for index, item in enumerate(group) if side[name][item.conversation] == fold]
                totals[name][out] += recalls([group[index] for index in out], weights) / len(FOLD_SEEDS)
    return {name: rows.mean(axis=0) for name, rows in totals.items()}


def line(kind: str, name: str, values: Floats) -> str:
    """One line of the log."""
    return f"{kind:<22}{name:<20}" + "  ".join(
        f"@{k} {value:.4f}" for k, value in zip(KS, values, strict=True)
    )


def report(groups: dict[str, list[Asked]], weights: Floats) -> list[str]:
    """The log: recall with all, two-fold, and with weights of the other data sets only; the weights."""
    counts = ", ".join(f"{name} {len(group)}" for name, group in groups.items())
    lines = [f"questions: {counts}; L2 {L2}, {TOGETHER}"]
    for name, group in groups.items():
        lines.append(line("learned on all", name, recalls(group, weights).mean(axis=0)))
    lines += [line("two-fold", name, values) for name, values in two_fold(groups).items()]
    for name, group in groups.items():
        plain = name.removesuffix(SMALL)
        others = {other: rest for other, rest in groups.items() if other.removesuffix(SMALL) != plain}
        if others:
            lines.append(line("learned on the others", name, recalls(group, fit(others)).mean(axis=0)))
    lines.append("weights: " + ", ".join(CONTEXTS))
    lines += [
        f"  {name:<16}" + "  ".join(f"{value:+.4f}" for value in row)
        for name, row in zip(SIGNALS, weights, strict=True)
    ]
    return lines


def as_dict(weights: Floats, known: dict[str, float]) -> dict[str, Any]:
    """The weights as they are shipped."""
    names = list(SIGNALS)
    taken = [names.index(AS.get(name, name)) for name in names]
    return {
        "contexts": list(CONTEXTS),
        "signals": {
            name: {"scale": scale, "weights": [round(float(value), 5) for value in row]}
            for (name, scale), row in zip(SIGNALS.items(), weights[taken], strict=True)
        },
        "calibration": known,
    }


def main() -> None:
    """Load, learn, report, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("paths", nargs="+", type=Path)
    groups: dict[str, list[Asked]] = {}
    sets = data_sets(arguments.parse_args().paths)
    for data in sets:
        alone = len(data.conversations) > 1
        for ask, suffix in ((ask_all, ""), (ask_few, SMALL)):
            found = [
                ask(conversation, number, alone=alone)
                for number, conversation in enumerate(data.conversations)
            ]
            groups[data.name + suffix] = [item for part in found for item in part]
    weights = fit(groups)
    lines = report(groups, weights)
    shipped = as_dict(weights, dict.fromkeys(("bias", *FEATURES), 0.0))
    questions = [case for data in sets for case in calibration.cases(data, Fusion.from_dict(shipped))]
    shipped = as_dict(weights, calibration.fit(questions))
    lines += calibration.report(questions)
    OUT.mkdir(exist_ok=True)
    (OUT / "fusion.json").write_text(json.dumps(shipped, indent=1) + "\n", encoding="utf-8")
    (OUT / "fusion.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
