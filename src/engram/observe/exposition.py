"""Metrics as text, read again: as much of Prometheus's form as a service of engram writes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["Sample", "read_metrics"]

_LINE: Final = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \S+)?")
_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = {"n": "\n", '"': '"', "\\": "\\"}
Labels = tuple[tuple[str, str], ...]


class Sample:
    """The values of one look at the metrics, by name and labels."""

    def __init__(self, values: Mapping[tuple[str, Labels], float]) -> None:
        self._values: dict[str, list[tuple[dict[str, str], float]]] = {}
        for (name, labels), value in values.items():
            self._values.setdefault(name, []).append((dict(labels), value))

    def rows(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Labels and values of a metric, of those that have these labels."""
        found = self._values.get(name, [])
        return [row for row in found if labels.items() <= row[0].items()]

    def total(self, name: str, **labels: str) -> float | None:
        """The sum of its values; `None` where there is none."""
        rows = self.rows(name, **labels)
        return sum(value for _, value in rows) if rows else None

    def label(self, name: str, label: str) -> str | None:
        """What the first of its rows has for a label."""
        return next((labels.get(label) for labels, _ in self.rows(name)), None)


def read_metrics(lines: Iterable[str]) -> Sample:
    """The samples of an exposition; what is no sample is passed over."""
    values: dict[tuple[str, Labels], float] = {}
    for line in lines:
        found = None if line.startswith("#") else _LINE.fullmatch(line.strip())
        if found is None:
            continue
        labels = tuple(sorted((name, _plain(text)) for name, text in _LABEL.findall(found[2] or "")))
        try:
            value = float(found[3])
        except ValueError:
            continue
        if math.isfinite(value):
            values[found[1], labels] = value
    return Sample(values)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPED.get(match[1], match[0]), text)
