"""Lines of talk: how a transcript and a WhatsApp chat start a message, told apart from other text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

__all__ = [
    "LOOKED_AT",
    "TEXT_ENDINGS",
    "Opening",
    "Stamp",
    "head_lines",
    "is_chat_name",
    "is_separator",
    "is_transcript",
    "is_whatsapp",
    "opening",
    "stamped",
]

LOOKED_AT = 50
"""Of how many files of a folder the beginning is looked at, to find out what they are."""
TEXT_ENDINGS = (".txt", ".text", ".log", ".transcript")
_MARKS = dict.fromkeys(map(ord, "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"))
_SPACES = {ord(space): " " for space in "\u00a0\u2007\u2009\u202f"}

# WhatsApp -----------------------------------------------------------------------------------------

_DATE = r"(?P<a>\d{1,4})(?P<by>[./-])\s?(?P<b>\d{1,2})(?P=by)\s?(?P<c>\d{1,4})\.?"
_HALF = r"[ap]\.?\s?m\.?|오전|오후|上午|下午|午前|午後|ص|م|π\.?μ\.?|μ\.?μ\.?"
_CLOCK = (
    rf"(?:(?P<before>{_HALF})\s?|[^\W\d]{{1,5}}\.?\s)?"
    rf"(?P<hour>\d{{1,2}})[:.](?P<minute>\d{{2}})(?:[:.](?P<second>\d{{2}}))?(?:\s?(?P<after>{_HALF}))?"
)
_BRACKETS = re.compile(rf"\[{_DATE}[,\u060c]?\s{_CLOCK}\]\s?", re.IGNORECASE)
_DASH = re.compile(rf"{_DATE}[,\u060c]?\s{_CLOCK}\s-\s", re.IGNORECASE)
_COLON = re.compile(rf"{_DATE}[,\u060c]?\s{_CLOCK}:\s", re.IGNORECASE)
_LATE = ("p", "오후", "下午", "午後", "م", "μ")
_OWN_NAME = re.compile(r"(^|/)_chat\.txt$|whatsapp", re.IGNORECASE)
_HEADER_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Stamp:
    """The header of a WhatsApp line: three parts of a date in an order still to find, a clock, the rest."""

    parts: tuple[str, str, str]
    separator: str
    hour: int
    minute: int
    second: int
    halves: bool
    rest: str


def stamped(line: str) -> Stamp | None:
    """The header of a line that starts a WhatsApp message; `None` where it starts none."""
    start = line[:_HEADER_LENGTH].translate(_MARKS).lstrip()
    if not start or not (start[0] == "[" or start[0].isdecimal()):
        return None
    plain = start.translate(_SPACES)
    found = _BRACKETS.match(plain) or _DASH.match(plain) or _COLON.match(plain)
    if found is None:
        return None
    hour, half = int(found["hour"]), found["before"] or found["after"]
    if half is not None:
        late = half.lower().startswith(_LATE)
        hour = hour % 12 + (12 if late else 0)
    minute, second = int(found["minute"]), int(found["second"] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return Stamp(
        (found["a"], found["b"], found["c"]),
        found["by"],
        hour,
        minute,
        second,
        half is not None,
        _behind(line, found.end()),
    )


def _behind(line: str, length: int) -> str:
    """What stands behind the first `length` characters, direction marks not counted."""
    counted = 0
    skipped = line[:_HEADER_LENGTH].translate(_MARKS)
    length += len(skipped) - len(skipped.lstrip())
    for place, mark in enumerate(line):
        if counted == length:
            return line[place:]
        counted += ord(mark) not in _MARKS
    return ""


def is_chat_name(name: str) -> bool:
    """Whether a file is called as WhatsApp calls a chat."""
    return _OWN_NAME.search(name) is not None


def is_whatsapp(name: str, lines: Iterable[str]) -> bool:
    """Whether a file of this name that starts with these lines is a chat exported by WhatsApp.

    A date as ISO 8601 has it, without a comma behind it, is a transcript's unless the file's name or a
    direction mark says otherwise.
    """
    own = is_chat_name(name)
    starts = others = 0
    for line in lines:
        if not line.strip():
            continue
        found = stamped(line)
        if found is None:
            others += 1
        elif own or not _iso(line):
            starts += 1
    return starts > 0 and starts * 10 >= others


_ISO_DATE = re.compile(r"[\[(]?\d{4}-\d{2}-\d{2}[ T]")


def _iso(line: str) -> bool:
    return _ISO_DATE.match(line) is not None


# Transcripts --------------------------------------------------------------------------------------

_WHEN = (
    r"(?:(?P<date>\d{4}-\d{2}-\d{2})[ T])?(?P<clock>\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,6})?)?)"
    r"(?P<half>\s?[AaPp]\.?[Mm]\.?)?\s?(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?"
)
_NAME = r"(?P<name>[^\W\d_][^:\n\[\]{}<>\"“”=;!?]{0,63}?)"
_BEFORE = re.compile(rf"(?P<open>[\[(])?{_WHEN}(?(open)[\])])\s*[-\u2013\u2014,|]?\s*{_NAME}\s?:(?:\s+|$)")
_AFTER = re.compile(rf"{_NAME}\s+[\[(]{_WHEN}[\])]\s?:(?:\s+|$)")
_PLAIN = re.compile(rf"{_NAME}\s?:(?:\s+|$)")
_BOLD = re.compile(rf"\*\*{_NAME}\s?(?::\s?\*\*|\*\*\s?:)(?:\s+|$)")
_RULE = r"(?:[-=*_~#]\s?)"
_SEPARATOR = re.compile(
    rf"\s*(?:{_RULE}{{3,}}|{_RULE}*(?=\d))(?P<date>\d{{4}}-\d{{2}}-\d{{2}})?:?\s*{_RULE}*\s*$"
)
_LABEL = re.compile(
    r"note|n\.?b\.?|p\.?s\.?|todo|fixme|re|fwd?|subject|date|b?cc|edit|update|link|url|source|tl;dr|e\.g\.|i\.e\."
    r"|example|trace|debug|info|notice|warn(?:ing)?|error|critical|fatal"
)
_MOST_WORDS = 5
_LONG_ENOUGH = 250


@dataclass(frozen=True, slots=True)
class Opening:
    """How a line of a transcript opens a message: who speaks, when (if it says so), and the text behind."""

    name: str
    text: str
    date: str | None = None
    clock: str | None = None
    zone: str | None = None

    @property
    def timed(self) -> bool:
        """Whether the line says when."""
        return self.clock is not None


def opening(line: str) -> Opening | None:
    """How the line opens a message; `None` where it goes on with the one before."""
    start = line[:_LONG_ENOUGH].lstrip("\ufeff")
    if not start or start[0].isspace():
        return None
    found = _BEFORE.match(start) or _AFTER.match(start)
    if found is None:
        plain = _PLAIN.match(start) or _BOLD.match(start)
        return None if plain is None or not _a_name(plain["name"]) else _opened(plain, line)
    if not _a_name(found["name"]):
        return None
    clock = _clock(found["clock"], found["half"])
    return None if clock is None else _opened(found, line, clock)


def _opened(found: re.Match[str], line: str, clock: str | None = None) -> Opening:
    text = line[len(line) - len(line.lstrip("\ufeff")) + found.end() :]
    if clock is None:
        return Opening(found["name"].strip(), text)
    zone = found["zone"]
    return Opening(
        found["name"].strip(), text, found["date"], clock, "+00:00" if zone in ("Z", "UTC") else zone
    )


def _a_name(name: str) -> bool:
    plain = name.strip().lower()
    return (
        _LABEL.fullmatch(plain) is None
        and len(plain.split()) <= _MOST_WORDS
        and not plain.endswith((".", ","))
    )


def _clock(text: str, half: str | None) -> str | None:
    """`HH:MM:SS` with what fractions it has; `None` where there is no such time of day."""
    hour, minute, second = [*text.replace(",", ".").split(":"), "00"][:3]
    number = int(hour)
    if half is not None:
        if not 1 <= number <= 12:
            return None
        number = number % 12 + (12 if half.strip().lower().startswith("p") else 0)
    plain = f"{number:02d}:{minute}:{second}"
    try:
        datetime.strptime(plain[:8], "%H:%M:%S")  # noqa: DTZ007 - only whether there is such a time
    except ValueError:
        return None
    return plain


def is_separator(line: str) -> re.Match[str] | None:
    """The match where a line is only a rule between two sessions; its `date` may name the day."""
    return _SEPARATOR.match(line) if len(line) < _LONG_ENOUGH else None


def is_transcript(lines: Iterable[str]) -> bool:
    """Whether these lines are what people say in turns.

    A list of labels and values is none: somebody speaks twice, or has a role, or a time stands before.
    """
    names: Counter[str] = Counter()
    timed = others = 0
    first: bool | None = None
    for line in lines:
        if not line.strip() or is_separator(line):
            continue
        found = opening(line)
        first = found is not None if first is None else first
        if found is None:
            others += not line[0].isspace()
        else:
            names[" ".join(found.name.split()).lower()] += 1
            timed += found.timed
    spoken = sum(names.values())
    roles = any(name in ("user", "human", "assistant", "ai", "system", "chatgpt") for name in names)
    told = timed > 0 or roles or (len(names) < spoken and spoken >= 3)
    return told and (spoken >= 2 or timed > 0) and spoken * 4 >= others and (bool(first) or spoken >= others)


def head_lines(head: bytes, most: int = 400) -> Iterator[str]:
    """The first whole lines of a file's first bytes, as far as they can be read."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = head[: len(head) // 2 * 2].decode("utf-16", errors="replace")
    else:
        text = head.decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines()):
        if number >= most:
            return
        yield line
