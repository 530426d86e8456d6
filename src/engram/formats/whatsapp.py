"""Chats that WhatsApp exports, as a text file or as the zip archive with media."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import PurePosixPath
from typing import Any

from engram.formats.base import Incoming, Skipped
from engram.formats.making import LONGEST_TEXT, Ids, made, run_name
from engram.formats.source import Source
from engram.formats.talk import LOOKED_AT, Stamp, head_lines, is_chat_name, is_whatsapp, stamped

__all__ = ["WhatsApp"]

_ORDERS = {"day first": (2, 1, 0), "month first": (2, 0, 1), "year first": (0, 1, 2)}
_FIRST_YEAR, _LAST_YEAR = 2009, 2100
_CHAT = re.compile(r"WhatsApp[ -]+Chat(?: with|\s+-| mit| con| avec| com| met)?\s+(?P<who>.+)", re.IGNORECASE)
_COPY = re.compile(r"\s*\(\d{1,2}\)$")
_QUOTES = '"“”„«»'
_IS_ATTACHED = "file attached|Datei angehängt|archivo adjunto|fichier joint|arquivo anexado|file allegato"
_ATTACHED = re.compile(
    r"\u200e?<[^<>:]{2,30}: (?P<ios>[^<>]+\.\w{2,5})>|^\u200e?(?P<android>[A-Z]{3}-\d{8}-WA\d+\.\w{2,5}"
    rf"|[^\n]+\.\w{{2,5}}(?= \((?:{_IS_ATTACHED})\))) \([^()]+\)$",
    re.MULTILINE,
)
_EDITED = re.compile(r"\s?\u200e?<(?:This message was edited|[^<>:.]*edit[^<>:.]*)>\s*$", re.IGNORECASE)
_OMITTED = re.compile(
    r"<[^<>]{3,80}>|.{0,40}\b(?:omitted|weggelassen|omitid[oa]|omise?|omess[oa]|weggelaten|ocultad[oa]|oculto)\W?",
    re.IGNORECASE,
)
_OMITTED_BARE = re.compile(
    r"(?:image|video|audio|voice message|sticker|gif|document|contact card) omitted", re.IGNORECASE
)
_DELETED = frozenset(
    [
        "this message was deleted",
        "you deleted this message",
        "diese nachricht wurde gelöscht",
        "du hast diese nachricht gelöscht",
        "se eliminó este mensaje",
        "eliminaste este mensaje",
        "ce message a été supprimé",
        "vous avez supprimé ce message",
        "mensagem apagada",
        "você apagou esta mensagem",
        "questo messaggio è stato eliminato",
        "hai eliminato questo messaggio",
        "dit bericht is verwijderd",
        "je hebt dit bericht verwijderd",
    ]
)
_MARK = "\u200e"
_INVISIBLE = "\u200e\u200f\u202a\u202c\u2068\u2069\ufeff"


class WhatsApp:
    """A chat as WhatsApp exports it ("Export chat").

    Takes `_chat.txt` and `WhatsApp Chat with NAME.txt`, by themselves, in a folder, or in the zip archive
    that also holds the media. A line starts a message with `[02/05/2024, 10:00:01] Name: text` (iOS) or
    `02/05/2024, 10:00 - Name: text` (Android); the way of writing dates and clocks is the phone's, so any
    of `/ . -`, two- or four-digit years, 12 and 24 hours, narrow spaces and direction marks are taken. What
    stands on further lines belongs to the message. The shapes are those that the parsers in public
    repositories (Pustur/whatsapp-chat-parser, starkdmi/whats_json) and descriptions of the file agree on.

    Whether days, months or years come first is found from the whole file: no impossible date, and time
    that does not run back. Where that decides nothing, days come first (months where all is written as in
    the United States), and a note among the skipped says so.
    Times have no zone in the file: they are the phone's clock, and taken as UTC.

    Each message is a user's of that name; run: the chat and the day (`Ana/2024-05-02`). Ids are hashes of
    time, name and text, so that a later, longer export adds only what is new. A caption is kept with its
    file named in the metadata (`attachments`), an edited message is marked `edited`.

    Left out, with the reason: media without a caption, deleted messages, what WhatsApp itself wrote
    (joined, encrypted, missed call), dates that there are not, the media files.
    """

    name = "whatsapp"
    title = "WhatsApp chats (text file or zip)"

    def recognises(self, source: Source) -> bool:
        """Whether a file called as WhatsApp does, or half of the text files, are chats that it exported."""
        texts = [name for name in _texts(source) if name.lower().removesuffix(".gz").endswith(".txt")]
        texts.sort(key=is_chat_name, reverse=True)
        looked_at = texts[:LOOKED_AT]
        chats = [name for name in looked_at if is_whatsapp(name, head_lines(source.head(name)))]
        return any(map(is_chat_name, chats)) or 0 < len(looked_at) <= 2 * len(chats)

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """The messages, chat after chat; each file is read twice. Raises `InvalidInput` for broken text."""
        texts = _texts(source)
        source.expect([*texts, *texts])
        for name in texts:
            yield from _Chat(source, name).messages()
        read = set(texts)
        others = [name for name in source.names if name not in read]
        if others:
            yield Skipped(
                str(source.path),
                "media and other files are not read",
                {"files": len(others), "first": others[0]},
            )


def _texts(source: Source) -> list[str]:
    if not (source.is_folder or source.is_archive):
        return list(source.names)
    return [
        name
        for name in source.names
        if name.lower().endswith(".txt") and not any(part[:1] in "._" for part in name.split("/")[:-1])
    ]


def _chat_name(source: Source, name: str) -> str:
    """The chat's name: behind "WhatsApp Chat with" in the file's, the folder's or the archive's name."""
    file = PurePosixPath(name)
    for candidate in (file.stem, file.parent.name, source.path.stem, source.path.absolute().parent.name):
        found = _CHAT.match(candidate)
        if found:
            return run_name(_COPY.sub("", found["who"]))
    own = source.path.stem if file.stem == "_chat" else file.stem
    return run_name(_COPY.sub("", own).strip("_")) or "chat"


@dataclass
class _Order:
    """Which part of a date is which, found by reading all dates once."""

    bad: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_ORDERS, 0))
    back: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_ORDERS, 0))
    latest: dict[str, date] = field(default_factory=dict)
    last: tuple[str, str, str] | None = None
    apart: bool = False
    american: bool = True

    def take(self, found: Stamp) -> None:
        if found.parts == self.last:
            return
        self.last = found.parts
        self.apart = self.apart or found.parts[0] != found.parts[1]
        unpadded = not any(part.startswith("0") for part in found.parts[:2])
        self.american = self.american and found.halves and unpadded and found.separator == "/"
        for order in _ORDERS:
            day = _date(found.parts, order)
            if day is None:
                self.bad[order] += 1
                continue
            self.back[order] += order in self.latest and day < self.latest[order]
            self.latest[order] = day

    def decide(self) -> tuple[str, bool]:
        """The order, and whether it is a guess.

        Years come first only where nothing else is possible. Where days and months do equally well, months
        come first if everything is written as in the United States (5/2/24, 10:00 AM), else days.
        """
        days, months, years = ((self.bad[order], self.back[order]) for order in _ORDERS)
        if years[0] < min(days[0], months[0]):
            return "year first", False
        if days != months:
            return ("day first" if days < months else "month first"), False
        return ("month first" if self.american else "day first"), self.apart


def _date(parts: tuple[str, str, str], order: str) -> date | None:
    year, month, day = (parts[place] for place in _ORDERS[order])
    if len(year) not in (2, 4) or len(month) > 2 or len(day) > 2:
        return None
    number = int(year) + (2000 if len(year) == 2 else 0)
    number -= 543 if number > 2400 else 0  # the Buddhist calendar, as phones in Thailand write it
    if not _FIRST_YEAR <= number <= _LAST_YEAR:
        return None
    try:
        return date(number, int(month), int(day))
    except ValueError:
        return None


@dataclass
class _Message:
    """A message that is being read."""

    found: Stamp
    number: int
    lines: list[str]
    size: int

    def add(self, line: str) -> None:
        """One line more; what is over 10 MB is not kept, as nothing so long is taken."""
        self.size += len(line) + 1
        if self.size <= 2 * LONGEST_TEXT:
            self.lines.append(line)


@dataclass
class _Chat:
    """One file: one pass to find the order of its dates, one for the messages."""

    source: Source
    name: str
    ids: Ids = field(default_factory=Ids)

    def messages(self) -> Iterator[Incoming | Skipped]:
        order = _Order()
        for _, line in self.source.lines(self.name):
            found = stamped(line)
            if found is not None:
                order.take(found)
        if order.last is None:
            yield Skipped(self.source.place(self.name), "no line of it starts a WhatsApp message")
            return
        kind, open_question = order.decide()
        if open_question:
            reason = f"note: read as {kind}: days and months cannot be told apart here"
            yield Skipped(self.source.place(self.name), reason, {"order": kind})
        yield from self._read(kind, run_name(_chat_name(self.source, self.name)))

    def _read(self, order: str, chat: str) -> Iterator[Incoming | Skipped]:
        current: _Message | None = None
        for number, line in self.source.lines(self.name):
            found = stamped(line)
            if found is not None:
                yield from self._made(current, order, chat)
                current = _Message(found, number, [found.rest], len(found.rest))
            elif current is not None:
                current.add(line)
            elif line.strip(_INVISIBLE + " \t"):
                yield Skipped(f"{self.source.place(self.name)}:{number}", "text before the first message")
        yield from self._made(current, order, chat)

    def _made(self, message: _Message | None, order: str, chat: str) -> Iterator[Incoming | Skipped]:
        if message is None:
            return
        place = f"{self.source.place(self.name)}:{message.number}"
        found = message.found
        day = _date(found.parts, order)
        if day is None:
            yield Skipped(
                place, f"there is no such date ({found.separator.join(found.parts)}, {order})", lost=True
            )
            return
        if message.size > 2 * LONGEST_TEXT:
            yield Skipped(place, "the text is over 10 MB", lost=True)
            return
        sender, text = _sender("\n".join(message.lines))
        if sender is None:
            yield Skipped(place, "WhatsApp's own line", {"text": _plain(text)[:80]})
            return
        time = f"{day.isoformat()}T{found.hour:02d}:{found.minute:02d}:{found.second:02d}"
        yield self._message(sender, text, time, place, f"{chat}/{day.isoformat()}")

    def _message(self, sender: str, text: str, time: str, place: str, run: str) -> Incoming | Skipped:
        metadata: dict[str, Any] = {}
        shorter = _EDITED.sub("", text)
        if shorter != text:
            metadata["edited"] = True
        files = [found["ios"] or found["android"] for found in _ATTACHED.finditer(shorter)]
        if files:
            metadata["attachments"] = files
            shorter = _ATTACHED.sub("", shorter)
        reason = _reason(shorter, bool(files))
        words = _plain(shorter)
        if reason is not None:
            return Skipped(place, reason, {"name": sender, "text": ", ".join(files) or words[:80]})
        message: dict[str, Any] = {"role": "user", "name": sender, "content": words, "time": time}
        if metadata:
            message["metadata"] = metadata
        message["id"] = self.ids.of(time, sender, words, *files, timed=True)
        return made(message, place, run_id=run)


def _sender(text: str) -> tuple[str | None, str]:
    """Who wrote it and what; nobody where WhatsApp itself did."""
    first, colon, rest = text.partition(":")
    name = _plain(first).lstrip("~ ").strip()
    if not colon or "\n" in first or not name or len(name) > 128 or (rest and not rest[0].isspace()):
        return None, text
    if sum(name.count(mark) for mark in _QUOTES) % 2:
        return None, text
    return name, rest.removeprefix(" ")


def _reason(text: str, files: bool) -> str | None:
    """Why there is nothing to remember in it; `None` where there is."""
    words = _plain(text)
    if not words:
        return "media without a caption" if files else "no text"
    if words.strip("<>. ").lower() in _DELETED:
        return "deleted by its writer"
    marked = text.lstrip().startswith(_MARK) and "\n" not in text.strip() and "://" not in text
    bare = words.startswith("<") or _OMITTED_BARE.fullmatch(words)
    if _OMITTED.fullmatch(words) and (marked or bare):
        return "media that was not exported"
    return "WhatsApp's own line" if marked and not words.startswith("@") else None


def _plain(text: str) -> str:
    """The words without direction marks at their ends or around a name that is mentioned."""
    lines = (line.translate(dict.fromkeys(map(ord, _INVISIBLE))) for line in text.split("\n"))
    return "\n".join(lines).strip()
