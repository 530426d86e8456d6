"""Precision and recall of the rules extractor on sentences with gold facts, dates included.

    python scripts/measure_facts.py

A fact counts only if subject, relation, object, days and whether it has ended are all as they should be;
case, full stops and commas aside. The patterns were made on `facts-development.jsonl`;
`facts-test.jsonl` was not looked at.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from engram.operators.extraction.fact import Fact
from engram.operators.extraction.rules import extract_by_rules

DATA = Path(__file__).resolve().parents[1] / "tests" / "operators" / "data"
Said = tuple[str, str, str, str | None, bool]


@dataclass(frozen=True)
class Measured:
    """How many sentences, facts that they hold, facts that were found, and facts that were found rightly."""

    sentences: int
    gold: int
    found: int
    right: int

    @property
    def precision(self) -> float:
        """The share of what was found that is right."""
        return self.right / self.found

    @property
    def recall(self) -> float:
        """The share of what there is that was found."""
        return self.right / self.gold


def plain(text: str) -> str:
    return re.sub(r"[\s,.]+", " ", text.casefold()).strip()


def said(fact: Fact) -> Said:
    """A fact as it is compared."""
    when = None if fact.when is None else f"{fact.when[0]}/{fact.when[1]}"
    return plain(fact.subject), fact.relation, plain(fact.object), when, fact.ended


def measured(path: Path) -> Measured:
    """The figures of one file of sentences."""
    sentences = gold = found = right = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        item: dict[str, Any] = json.loads(line)
        wanted = {(plain(one), two, plain(three), *rest) for one, two, three, *rest in item["facts"]}
        given = extract_by_rules(item["text"], item["speaker"], datetime.fromisoformat(item["time"]))
        facts = {said(fact) for fact in given}
        sentences += 1
        gold, found, right = gold + len(wanted), found + len(facts), right + len(wanted & facts)
    return Measured(sentences, gold, found, right)


if __name__ == "__main__":
    for path in sorted(DATA.glob("facts-*.jsonl")):
        figures = measured(path)
        print(
            f"{path.name}: {figures.sentences} sentences, {figures.gold} facts, "
            f"precision {figures.precision:.3f}, recall {figures.recall:.3f}"
        )
