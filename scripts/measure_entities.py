"""Precision and recall of the resolution of entities by rule, on 300 pairs of mentions.

    python scripts/measure_entities.py [--errors]

A pair says whether its mentions are of one thing. Thresholds and lists were chosen
on the half called development; the other half was only counted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engram.operators.graph.likeness import SAME_FROM, Known, Mention, likeness

DATA = Path(__file__).resolve().parents[1] / "tests" / "operators" / "data" / "entities.jsonl"


@dataclass(frozen=True)
class Pair:
    """Two mentions, and whether they are of one thing."""

    one: Mention
    other: Mention
    same: bool
    category: str
    split: str


@dataclass(frozen=True)
class Measured:
    """How many pairs, pairs that are the same, and pairs that were taken for the same, rightly or not."""

    pairs: int
    same: int
    found: int
    right: int

    @property
    def precision(self) -> float:
        """The share of what was taken for the same that is."""
        return self.right / max(1, self.found)

    @property
    def recall(self) -> float:
        """The share of what is the same that was found."""
        return self.right / self.same


def mention(item: dict[str, Any]) -> Mention:
    """A mention as the file has it."""
    facts = tuple(
        Known(relation, value, int(year[0]) if year else None)
        for relation, value, *year in item.get("facts", ())
    )
    return Mention(item["name"], item.get("type", ""), facts=facts)


def pairs(split: str) -> Iterator[Pair]:
    """The pairs of one half."""
    for line in DATA.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        if item["split"] == split:
            yield Pair(mention(item["a"]), mention(item["b"]), item["same"], item["category"], split)


def measured(split: str, threshold: float = SAME_FROM) -> Measured:
    """The figures of one half."""
    told = [(likeness(pair.one, pair.other).score >= threshold, pair.same) for pair in pairs(split)]
    return Measured(
        len(told),
        sum(same for _, same in told),
        sum(found for found, _ in told),
        sum(a and b for a, b in told),
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--errors", action="store_true", help="the wrong ones of the development half")
    asked = options.parse_args()
    for split in ("development", "test"):
        for threshold in (0.5, 0.6, SAME_FROM, 0.8, 0.9):
            figures = measured(split, threshold)
            print(
                f"{split}, from {threshold}: {figures.pairs} pairs, {figures.same} the same, "
                f"precision {figures.precision:.3f}, recall {figures.recall:.3f}"
            )
    for pair in pairs("development") if asked.errors else ():
        found = likeness(pair.one, pair.other)
        if found.same != pair.same:
            print(f"{pair.category}: {pair.one} | {pair.other} | {pair.same}: {found}")


if __name__ == "__main__":
    main()
