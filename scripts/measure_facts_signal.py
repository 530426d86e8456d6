"""What the facts that the rules extractor finds in turns give the default policy as a further signal.

    python scripts/measure_facts_signal.py ../shared/data

For each set of conversations: how much longer adding takes, and recall with the `facts` signal at the weight
that is best on the other half of the conversations (two folds, three seeds), and at each weight. Weight 0 is
the fusion alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engram import Memory
from engram.bench.load import Conversation, data_sets
from engram.engine.performer import Performer
from engram.kernel.clock import parse_time
from engram.kernel.drive import run
from engram.kernel.effects import Columns, Score
from engram.kernel.policy import Query
from engram.kernel.scope import Scope
from engram.operators.extraction.lift import facts_lift
from engram.operators.retrieval.fuse import fuse, shipped
from engram.policies.fusion import Fusion

KS = (1, 5, 10, 20, 50)
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
SEEDS = (0, 1, 2)
Floats = NDArray[np.float64]


@dataclass
class Asked:
    """One question: fused scores and lifts [n], which candidates are evidence, how many are no candidates."""

    scores: Floats
    lift: Floats
    evidence: NDArray[np.bool_]
    missing: int
    conversation: int

    def recalls(self, weight: float) -> list[float]:
        """Recall at each k."""
        ranked = self.evidence[np.argsort(-(self.scores + weight * self.lift), kind="stable")]
        return [float(ranked[:k].sum() / (ranked.sum() + self.missing)) for k in KS]


def asked_of(conversation: Conversation, number: int, *, alone: bool) -> list[Asked]:
    """Every question with evidence, as the policy sees it."""
    found: list[Asked] = []
    with Memory("ram:", policy=Fusion(facts=True)) as memory:
        origins: dict[str, str] = {}
        for session in conversation.sessions:
            receipt = memory.add(list(session.messages), user_id=conversation.name, run_id=session.run_id)
            origins |= {str(item.id): str(item.origin) for item in receipt.items if item.origin}
        core, scope = memory._bound.core, Scope(user_id=conversation.name)  # noqa: SLF001 - no part of the face
        last = None if conversation.last is None else parse_time(conversation.last)[0]
        for question in conversation.questions:
            if not question.evidence:
                continue
            perform = Performer(core, core.policy, scope, core.present)
            columns: Columns = perform(Score(question.text, shipped().signals, at=last), "0")
            lift = run(facts_lift(Query(question.text, scope, at=last), columns, 1.0), perform)
            ids = [origins[id] for id in columns.rows(range(len(columns)))]
            evidence = np.array([id in question.evidence for id in ids])
            place = number if alone else len(found)
            scores = fuse(columns, shipped()).scores.astype(np.float64)
            none = np.zeros(len(ids)) if lift is None else lift.astype(np.float64)
            found.append(Asked(scores, none, evidence, len(question.evidence) - int(evidence.sum()), place))
    return found


def two_fold(groups: dict[str, list[Asked]]) -> dict[str, Floats]:
    """Recall where each conversation is ranked with the weight that is best at 10 on the others."""
    totals = {name: np.zeros(len(KS)) for name in groups}
    for seed in SEEDS:
        chance = np.random.RandomState(seed)
        side = {
            name: chance.permutation(1 + max(item.conversation for item in group)) % 2
            for name, group in groups.items()
        }
        for fold in (0, 1):
            parts = {
                name: [
                    [item for item in group if bool(side[name][item.conversation] == fold) is kept]
                    for kept in (False, True)
                ]
                for name, group in groups.items()
            }
            gains = [sum(mean(rest, weight)[2] for rest, _ in parts.values()) for weight in WEIGHTS]
            best = WEIGHTS[int(np.argmax(gains))]
            for name, (_, out) in parts.items():
                totals[name] += mean(out, best) * len(out) / len(groups[name]) / len(SEEDS)
    return totals


def mean(group: Sequence[Asked], weight: float) -> Floats:
    """Mean recall at each k."""
    return np.array([item.recalls(weight) for item in group]).mean(axis=0) if group else np.zeros(len(KS))


def add_ratio(conversation: Conversation) -> float:
    """How much longer adding the conversation takes with facts, session by session."""
    times = {}
    for facts in (False, True, False, True):  # the first two warm up
        with Memory("ram:", policy=Fusion(facts=facts)) as memory:
            begun = time.perf_counter()
            for session in conversation.sessions:
                memory.add(list(session.messages), user_id="u", run_id=session.run_id)
            times[facts] = time.perf_counter() - begun
    return times[True] / times[False]


def main() -> None:
    """Load, measure, print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("paths", nargs="+", type=Path)
    groups: dict[str, list[Asked]] = {}
    for data in data_sets(arguments.parse_args().paths):
        alone = len(data.conversations) > 1
        parts = [
            asked_of(conversation, number, alone=alone)
            for number, conversation in enumerate(data.conversations)
        ]
        groups[data.name] = [item for part in parts for item in part]
        lifted = np.mean([bool(item.lift.any()) for item in groups[data.name]])
        print(
            f"{data.name}: {len(groups[data.name])} questions, {lifted:.0%} with a fact near; "
            f"add takes {add_ratio(data.conversations[0]):.1f} times as long"
        )
    for name, values in two_fold(groups).items():
        print(
            f"{'two-fold':<12}{name:<10}"
            + "  ".join(f"@{k} {value:.4f}" for k, value in zip(KS, values, strict=True))
        )
    for name, group in groups.items():
        for weight in WEIGHTS:
            shown = "  ".join(f"@{k} {value:.4f}" for k, value in zip(KS, mean(group, weight), strict=True))
            print(f"weight {weight:<5}{name:<10}{shown}")


if __name__ == "__main__":
    main()
