"""How results show themselves: on a line, printed, in IPython and in a notebook."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Protocol

__all__ = ["ROWS", "Card", "Shown", "card", "cut", "listed", "moment", "one_line", "plain_url", "printable"]

LINE, PRINTED, PAGE = 60, 2_000, 10_000
ROWS = 20
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_KEPT = "\n\t\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"  # joiners make emoji, and spell Persian
_USERINFO = re.compile(r"(://[^:/?#@]*):.*@", re.DOTALL)
_SECRET = re.compile(r"([?&;][^=&;]*(?:pass|pwd|secret|token|key|auth)[^=&;]*=)[^&;#]*", re.IGNORECASE)
_FRAME = "border-left:3px solid rgba(128,128,128,.5);padding:.2em .8em;margin:.3em 0"
_SAID = "white-space:pre-wrap;overflow-wrap:anywhere;margin:.3em 0"
_CELL = "text-align:left;vertical-align:top;overflow-wrap:anywhere"


def printable(text: str) -> str:
    """The text with U+FFFD for what could give orders to a terminal, reorder a line or cannot be printed."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) not in _UNSEEN
        else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def one_line(text: str) -> str:
    """The text on one line, printable."""
    return printable(" ".join(text.split()))


def cut(text: str, length: int) -> str:
    """At most `length` characters of the text, on one line; of a long text only the beginning is read."""
    line = one_line(text[: 4 * length])
    return line if len(line) <= length and len(text) <= 4 * length else line[: length - 1].rstrip() + "…"


def moment(time: datetime | None) -> str:
    """Date and time to the minute, in UTC unless it says otherwise."""
    return "" if time is None else time.isoformat(" ", "minutes").removesuffix("+00:00")


def plain_url(url: str) -> str:
    """The URL without passwords, keys and tokens."""
    return one_line(_SECRET.sub(r"\1***", _USERINFO.sub(r"\1:***@", url)))


@dataclass(frozen=True, slots=True)
class Card:
    """What there is to show: facts in order of weight, words, particulars by name, and a table.

    `words` is stored text, said by `who`; `rows` have as many cells as `columns`. Everything may hold any
    text: it is made printable, cut and escaped where it is shown.
    """

    name: str
    facts: tuple[str, ...] = ()
    who: str = ""
    words: str | None = None
    id: str = ""
    more: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    total: int = 0

    def line(self) -> str:
        """All that one needs on one line, in angle brackets."""
        said = [] if self.words is None else [f'{self._speaker}"{cut(self.words, LINE)}"']
        parts = [*map(one_line, self.facts), *said, one_line(self.id)]
        return f"<{self.name} {', '.join(filter(None, parts))}>"

    def printed(self) -> str:
        """The facts and the words, as much as one reads of them; a line for each row."""
        parts = [one_line(fact) for fact in self.facts]
        if self.words is not None:
            parts.append(f"{self._speaker}{_part(self.words, PRINTED)}")
        return "\n".join(["  ".join(parts), *self._lines()])

    def pretty(self) -> list[str]:
        """Lines: the facts, the words, the particulars, the rows."""
        head = " · ".join([self.name, *map(one_line, self.facts), *filter(None, [cut(self.who, LINE)])])
        lines = [head]
        if self.words is not None:
            lines += [f"    {line}" for line in _part(self.words, PRINTED).split("\n")]
        named = self._particulars()
        width = max((len(name) for name, _ in named), default=0)
        lines += [f"  {name:<{width}}  {cut(value, 4 * LINE)}" for name, value in named]
        return lines + self._lines()

    def html(self) -> str:
        """A frame for a notebook, in its own colours, light or dark; everything escaped, nothing fetched."""
        facts = " · ".join(
            escape(one_line(fact)) for fact in [*self.facts, *filter(None, [cut(self.who, LINE)])]
        )
        parts = [f"<div><b>{escape(self.name)}</b> {facts}</div>"]
        if self.words is not None:
            parts.append(f'<div dir="auto" style="{_SAID}">{escape(_part(self.words, PAGE))}</div>')
        named = [(name, cut(value, 8 * LINE)) for name, value in self._particulars()]
        if named:
            parts.append(_table((), named))
        if self.columns:
            parts.append(_table(*self._cells(4 * LINE)))
            parts += [f"<div>{escape(left)}</div>" for left in self._left()]
        return f'<div class="engram" style="{_FRAME}">{"".join(parts)}</div>'

    @property
    def _speaker(self) -> str:
        return f"{cut(self.who, LINE)}: " if self.who else ""

    def _particulars(self) -> list[tuple[str, str]]:
        named = [("id", self.id), *self.more]
        return [(name, value) for name, value in named if value]

    def _lines(self) -> list[str]:
        _, rows = self._cells(2 * LINE)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        padded = [[f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)] for row in rows]
        return [f"  {'  '.join(row).rstrip()}" for row in padded] + [f"  {left}" for left in self._left()]

    def _cells(self, length: int) -> tuple[list[str], list[list[str]]]:
        """Columns that hold anything, and the first rows of the table, cut."""
        rows = [[cut(cell, length) for cell in row] for row in self.rows[:ROWS]]
        kept = [place for place in range(len(self.columns)) if any(row[place] for row in rows)]
        return [self.columns[place] for place in kept], [[row[place] for place in kept] for row in rows]

    def _left(self) -> list[str]:
        more = max(self.total, len(self.rows)) - ROWS
        return [f"… and {more:,} more"] if more > 0 else []


class Printer(Protocol):
    """The part of IPython's printer that is used."""

    indentation: int

    def text(self, text: str) -> None: ...
    def break_(self) -> None: ...


class Shown:
    """What shows itself by a `Card`: short in `repr` and inside of lists, whole alone and in a notebook."""

    __slots__ = ()

    def _card(self) -> Card:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._card().line()

    def __str__(self) -> str:
        return self._card().printed()

    def _repr_pretty_(self, printer: Printer, cycle: bool) -> None:
        nested = printer.indentation > 0
        for number, line in enumerate([repr(self)] if nested else self._card().pretty()):
            if number:
                printer.break_()
            printer.text(line)

    def _repr_html_(self) -> str:
        return self._card().html()


def card(thing: Shown) -> Card:
    """What a thing shows of itself."""
    return thing._card()  # noqa: SLF001 - the one door to it


def listed(values: Mapping[str, Any]) -> str:
    """Names and values, those without one left out."""
    return ", ".join(
        f"{name}={value if isinstance(value, str) else repr(value)}"
        for name, value in values.items()
        if value is not None
    )


def _part(text: str, length: int) -> str:
    """The text as it is, printable; of a long one the beginning, and how long it is."""
    shown = printable(text[:length].replace("\r\n", "\n"))
    return shown if len(text) <= length else f"{shown}… ({len(text):,} characters)"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col" style="{_CELL}">{escape(name)}</th>' for name in columns)
    body = ["".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) for row in rows]
    lines = [f"<thead><tr>{head}</tr></thead>"] if columns else []
    return f"<table>{''.join(lines)}<tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody></table>"
