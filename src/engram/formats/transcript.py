"""Plain transcripts: `Name: text`, a line or more a message, with or without times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from engram.formats.base import Incoming, Skipped
from engram.formats.making import LONGEST_TEXT, Ids, made, run_name, speaker, stem
from engram.formats.source import Source
from engram.formats.talk import (
    LOOKED_AT,
    TEXT_ENDINGS,
    Opening,
    head_lines,
    is_separator,
    is_transcript,
    is_whatsapp,
    opening,
)

__all__ = ["Transcript"]

_RUN_BACK = 12 * 3600


class Transcript:
    """Text files in which each message starts with who speaks.

    There is no standard; these are the shapes that people and programs write. `Ana: text`, `**Ana:** text`,
    `[2024-05-02 10:00] Ana: text`, `2024-05-02T10:00Z Ana: text`, `10:00 Ana: text` and
    `Ana (10:00): text` start a message. It goes on until the next start; an indented line, and one that
    opens with a label (`Note:`, `PS:`), start none. In a code fence, and without a time where the first
    message has one, a line starts a message only for who had spoken before, or for a role.

    `user`, `human` and `you` are the role user, `assistant`, `ai`, `bot`, `model` and `ChatGPT` the role
    assistant, `system`, `developer`, `tool` and `function` theirs; anybody else is a user of that name.

    A line of dashes (`---`, `***`, `===`) starts a session, and so does an empty line before a message;
    where there is one between the first two messages already, it takes two. A session's run is the file's
    name and its number: `talk#1`. A date in the line of dashes, or alone on a line, is the day of the clocks
    behind it; a clock without any day is kept as `clock` in the metadata. Ids are hashes of run, time, name
    and text.

    Left out, with the reason: text before the first message, messages without words.
    """

    name = "transcript"
    title = "Plain transcripts (Name: text)"

    def recognises(self, source: Source) -> bool:
        """Whether it is a text file, or holds only such files, in which people speak in turns."""
        names = _files(source)
        return bool(names) and all(_recognised(source, name) for name in names[:LOOKED_AT])

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """The messages, file after file. Raises `InvalidInput` for text that is not UTF-8."""
        names = _files(source)
        source.expect(names)
        for name in names:
            yield from _Reading(source, name).messages()


def _files(source: Source) -> list[str]:
    single = not (source.is_folder or source.is_archive)
    shown = [name for name in source.names if not _hidden(name)]
    return shown if single else [name for name in shown if name.removesuffix(".gz").endswith(TEXT_ENDINGS)]


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _recognised(source: Source, name: str) -> bool:
    plain = name.lower().removesuffix(".gz")
    if not plain.endswith(TEXT_ENDINGS) and "." in plain.rsplit("/", 1)[-1]:
        return False
    lines = list(head_lines(source.head(name)))
    return is_transcript(lines) and not is_whatsapp(name, lines)


@dataclass
class _Message:
    """A message that is being read."""

    opened: Opening
    number: int
    lines: list[str]
    size: int = 0

    def add(self, line: str) -> None:
        """One line more; what is over 10 MB is not kept, as nothing so long is taken."""
        self.size += len(line) + 1
        if self.size <= 2 * LONGEST_TEXT:
            self.lines.append(line)


@dataclass
class _Reading:
    """One pass over one file."""

    source: Source
    name: str
    ids: Ids = field(default_factory=Ids)
    session: int = 1
    day: date | None = None
    clock: str | None = None
    timed: bool | None = None
    spaced: bool | None = None
    spoken: set[str] = field(default_factory=set)
    empty: int = 0
    fence: bool = False
    said: int = 0
    current: _Message | None = None
    before: tuple[int, int] | None = None

    def messages(self) -> Iterator[Incoming | Skipped]:
        for number, line in self.source.lines(self.name):
            if not line.strip():
                self.empty += 1
                continue
            yield from self._line(number, line)
        yield from self._close()
        yield from self._preamble()

    def _line(self, number: int, line: str) -> Iterator[Incoming | Skipped]:
        rule = None if self.fence else is_separator(line)
        opened = None if rule else self._opening(line)
        if rule is not None:
            yield from self._close()
            self._next_session(rule["date"])
        elif opened is not None:
            yield from self._close()
            yield from self._preamble()
            self._start(opened, number)
        elif self.current is not None:
            for _ in range(self.empty):
                self.current.add("")
            self.current.add(line)
        else:
            self.before = (self.before[0] if self.before else number, number)
        self._fenced(line if opened is None else opened.text)
        self.empty = 0

    def _fenced(self, text: str) -> None:
        """Whether a code fence is open behind this line; one that names a language closes none."""
        plain = text.strip()
        if self.current is not None and plain.startswith(("```", "~~~")):
            self.fence = not self.fence or len(plain.strip("`~")) > 0

    def _opening(self, line: str) -> Opening | None:
        opened = opening(line)
        if opened is None:
            return None
        known = opened.name in self.spoken or (
            opened.name[:1].isupper() and "name" not in speaker(opened.name)
        )
        if (self.fence or (self.timed and not opened.timed)) and not known:
            return None
        if len(self.spoken) < 10_000:
            self.spoken.add(opened.name)
        return opened

    def _start(self, opened: Opening, number: int) -> None:
        if self.timed is None:
            self.timed = opened.timed
        elif self.spaced is None and self.said:
            self.spaced = self.empty > 0
        self.fence = False
        if self.said and self.empty > (1 if self.spaced else 0):
            self._next_session(None)
        if opened.date is not None:
            self.day = _day(opened.date) or self.day
        elif opened.clock is not None and self.day is not None and self._ran_back(opened.clock):
            self.day += timedelta(days=1)
        self.clock = opened.clock or self.clock
        self.said += 1
        self.current = _Message(opened, number, [opened.text], len(opened.text))

    def _ran_back(self, clock: str) -> bool:
        """Whether midnight passed: the clock went back by more than half a day."""
        return self.clock is not None and _seconds(self.clock) - _seconds(clock) > _RUN_BACK

    def _next_session(self, day: str | None) -> None:
        if self.said:
            self.session += 1
            self.said = 0
        self.day = _day(day) if day else self.day

    def _preamble(self) -> Iterator[Skipped]:
        if self.before is not None:
            first, last = self.before
            place = f"{self.source.place(self.name)}:{first}"
            yield Skipped(place, "text before the first message", {"lines": last - first + 1})
            self.before = None

    def _close(self) -> Iterator[Incoming | Skipped]:
        if self.current is None:
            return
        message, self.current = self.current, None
        place = f"{self.source.place(self.name)}:{message.number}"
        if message.size > 2 * LONGEST_TEXT:
            yield Skipped(place, "the text is over 10 MB", lost=True)
            return
        yield self._made(message.opened, "\n".join(message.lines).strip(), place)

    def _made(self, opened: Opening, text: str, place: str) -> Incoming | Skipped:
        run = run_name(f"{stem(self.name)}#{self.session}")
        time = self._time(opened)
        content: dict[str, Any] = {**speaker(opened.name), "content": text}
        if time is not None:
            content["time"] = time
        elif opened.clock is not None:
            content["metadata"] = {"clock": opened.clock}
        content["id"] = self.ids.of(run, time or opened.clock, opened.name, text, timed=time is not None)
        return made(content, place, run_id=run)

    def _time(self, opened: Opening) -> str | None:
        if opened.clock is None or self.day is None:
            return None
        return f"{self.day.isoformat()}T{opened.clock}{opened.zone or ''}"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _seconds(clock: str) -> int:
    hour, minute, second = clock[:8].split(":")
    return int(hour) * 3600 + int(minute) * 60 + int(second)
