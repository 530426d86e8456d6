"""One measured figure, the floor it is held against, and the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = ["Figure", "Unit"]

Unit = Literal["ms", "/s", "MB", "share"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A median in `unit`, at `n` records (0: without a store), and what it should be.

    With a `floor` (in the same unit, of the same run, named by `against`) the target bounds
    measured / floor, else the figure itself: from above by `most`, from below by `least`. Without
    either there is no target.
    """

    what: str
    n: int
    measured: float
    unit: Unit
    against: str = ""
    floor: float | None = None
    most: float | None = None
    least: float | None = None

    @property
    def ratio(self) -> float | None:
        """Measured over floor."""
        return None if not self.floor else self.measured / self.floor

    @property
    def met(self) -> bool | None:
        """Whether the target stands; `None` without one."""
        value = self.measured if self.floor is None else self.ratio
        if value is None or (self.most is None and self.least is None):
            return None
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    @property
    def goal(self) -> str:
        """The target in words."""
        bound = self.least if self.most is None else self.most
        if bound is None:
            return ""
        sign = "≥" if self.most is None else "≤"
        return f"{sign} {self.shown(bound)}" if self.floor is None else f"{sign} {bound:g}x"

    def shown(self, value: float) -> str:
        """A value in this figure's unit."""
        if self.unit == "/s":
            return f"{value:,.0f}/s"
        if self.unit == "share":
            return f"{value:.3f}"
        return f"{value:,.0f} MB" if self.unit == "MB" else f"{value:,.{3 if value < 10 else 0}f} ms"

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values, what is not there left out."""
        line = {
            "what": self.what,
            "n": self.n,
            "measured": round(self.measured, 6),
            "unit": self.unit,
            "against": self.against or None,
            "floor": None if self.floor is None else round(self.floor, 6),
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "most": self.most,
            "least": self.least,
            "target": self.goal or None,
            "met": self.met,
        }
        return {key: value for key, value in line.items() if value is not None}

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> Figure:
        """The figure that `to_dict` wrote. Raises `KeyError`, `TypeError` or `ValueError` otherwise."""
        if line["unit"] not in get_args(Unit):
            raise ValueError(f"unit: {line['unit']!r}")
        numbers = {key: float(line[key]) for key in ("floor", "most", "least") if key in line}
        what, against = str(line["what"]), str(line.get("against", ""))
        return cls(what, int(line["n"]), float(line["measured"]), line["unit"], against, **numbers)
