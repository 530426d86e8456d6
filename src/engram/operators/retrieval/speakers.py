"""Who speaks in a scope: the names of its current records, by their terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from engram.operators.analysis import analyse

__all__ = ["Speakers"]


class Speakers:
    """Counts records by the code of their speaker's name; `edition` grows when a name comes or goes."""

    def __init__(self) -> None:
        self.edition = 0
        self._records: Counter[int] = Counter()
        self._terms: dict[int, list[int]] = {}
        self._codes: dict[int, list[int]] = {}

    def codes(self, term: int) -> Sequence[int]:
        """The codes of the present names that a term is part of."""
        return self._codes.get(term, ())

    def come(self, codes: Iterable[int], names: Sequence[str | None]) -> None:
        """Count records with these codes in; `names` are the names by code."""
        for code, records in Counter(codes).items():
            if not self._records[code]:
                self.edition += 1
                if code not in self._terms:
                    self._terms[code] = analyse(names[code] or "").hashes.tolist()
                for term in self._terms[code]:
                    self._codes.setdefault(term, []).append(code)
            self._records[code] += records

    def go(self, codes: Iterable[int]) -> None:
        """Count records with these codes out."""
        for code, records in Counter(codes).items():
            self._records[code] -= records
            if not self._records[code]:
                self.edition += 1
                for term in self._terms[code]:
                    self._codes[term].remove(code)
