"""What rmm's reranker learns on a stream of questions: recall before and after, against the order unlearned.

    python scripts/measure_rmm.py DATA… [--seeds 5] [--k 5] [--noise 0.05]

Every conversation is remembered by the policy `rmm`, without a model. Its questions that have evidence are
asked one after the other, in an order shuffled by each seed, and after each the policy is told, by
`Memory.cited`, which of the turns it was shown are evidence, as an answer's citations would: +1 for these,
-1 for the others. Recall is taken of what `search` gives before that. `unlearned` is the recall of the same
questions by a memory that is told nothing.

Halves of one shuffle hold different questions, so each is asked in reverse as well, with nothing learned:
over both streams, each question is once in the first half and once in the second, and what the halves differ
by has been learned. (Of an odd number, the last one is left out.) Prints one JSON object a data set.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from engram import Memory
from engram.bench.load import Conversation, Question, data_sets
from engram.bench.run import expand, recall
from engram.kernel.protocols import Batch, PutState
from engram.kernel.scope import Scope
from engram.policies.rmm import RMM


class Remembered:
    """A conversation in memory, and the questions about it."""

    def __init__(self, talk: Conversation, policy: RMM, k: int) -> None:
        self.talk, self.policy, self.k = talk, policy, k
        self.memory = Memory("ram:", policy=policy)
        self.origins: dict[str, str] = {}
        for session in talk.sessions:
            ids: Any = {"user_id": talk.name, **({"run_id": session.run_id} if session.run_id else {})}
            receipt = self.memory.add(list(session.messages), **ids)
            self.origins |= {item.id: item.origin for item in receipt.items if item.id and item.origin}
        self.memory.tend(user_id=talk.name)
        self.turns = {origin: id for id, origin in self.origins.items()}
        self.questions = [question for question in talk.questions if question.evidence]

    def asked(self, question: Question) -> float:
        """Recall of what a search gives now."""
        user: Any = {"user_id": self.talk.name}
        hits = self.memory.search(question.text, k=self.k, at=self.talk.last, **user)
        found = expand(hits, self.origins, lambda key: self.memory.get(key, **user).sources)
        return recall(found, question.evidence, self.k)

    def told(self, question: Question) -> None:
        """Tell the policy what the evidence is."""
        evidence = [self.turns[id] for id in sorted(question.evidence) if id in self.turns]
        self.memory.cited(question.text, evidence, at=self.talk.last, user_id=self.talk.name)

    def anew(self) -> None:
        """Forget what was learned: the policy's states of this user."""
        store = self.memory._bound.core.store  # noqa: SLF001 - a stream begins with nothing learned
        for row in store.states(Scope(user_id=self.talk.name), self.policy.made_by):
            store.commit(Batch((PutState(replace(row, value=None, version=row.version + 1)),)))

    def stream(self, order: Sequence[int]) -> list[float]:
        """Recall of each question in that order, the policy being told of each after it was asked."""
        self.anew()
        found: list[float] = []
        for place in order:
            found.append(self.asked(self.questions[place]))
            self.told(self.questions[place])
        return found


def measured(remembered: Sequence[Remembered], seeds: int) -> dict[str, Any]:
    """Recall of both halves and unlearned, a figure a seed and the means."""
    for held in remembered:
        held.anew()
    plain = [[held.asked(question) for question in held.questions] for held in remembered]
    rows: list[dict[str, float]] = []
    for seed in range(seeds):
        first: list[float] = []
        second: list[float] = []
        unlearned: list[float] = []
        for number, held in enumerate(remembered):
            order = list(range(len(held.questions)))
            random.Random(f"{seed}/{number}").shuffle(order)  # noqa: S311 - no secret
            order = order[: len(order) // 2 * 2]
            half = len(order) // 2
            for stream in (order, order[::-1]):
                found = held.stream(stream)
                first += found[:half]
                second += found[half:]
                unlearned += [plain[number][place] for place in stream[half:]]
        rows.append({"first": fmean(first), "second": fmean(second), "unlearned": fmean(unlearned)})
    names = ("first", "second", "unlearned")
    return {
        "questions": sum(len(held.questions) for held in remembered),
        "mean": {name: round(100 * fmean(row[name] for row in rows), 2) for name in names},
        "seeds": [{name: round(100 * row[name], 2) for name in names} for row in rows],
    }


def main() -> None:
    """Measure every data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--noise", type=float, default=RMM.noise)
    given = parser.parse_args()
    for found in data_sets(given.data):
        held = [Remembered(talk, RMM(noise=given.noise), given.k) for talk in found.conversations]
        line = {"data": found.name, "k": given.k, "noise": given.noise, **measured(held, given.seeds)}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
