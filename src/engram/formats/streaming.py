"""Text and JSON from a stream of bytes, piece by piece; what is broken is named with its line."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from io import BufferedReader
from math import isfinite
from typing import Any, Final, Never

from engram.kernel.errors import InvalidInput

__all__ = ["JsonText", "Unreadable", "json_items", "json_text", "text_lines", "text_pieces"]

_PIECE: Final = 1 << 18
_SLACK: Final = 16
"""An error this close to the end of what was read may only mean that more is to come (`\\ud83d\\ude00`)."""
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NESTS: Final = frozenset({dict, list})
_BLANK: Final = re.compile(r"[ \t\n\r]*")


class Unreadable(InvalidInput):
    """Bytes that could not be had: `place` is the file, `reason` says why. Whoever knows the line adds it."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


def text_pieces(stream: BufferedReader, place: str) -> Iterator[str]:
    """The text of a stream in pieces: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises `InvalidInput` naming the line and the byte for what is neither, after all that stands before it.
    """
    first = _read(stream, place, 1)
    if first.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise InvalidInput(f"{place}:1: not UTF-8 (it is UTF-32); save it as UTF-8")
    encoding, mark = next(((name, len(bom)) for bom, name in _BOMS if first.startswith(bom)), ("utf-8", 0))
    decoder = codecs.getincrementaldecoder(encoding)()
    data, done, line = first[mark:], mark, 1
    while True:
        done += len(data)
        try:
            piece = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(encoding)
            yield before
            name = "UTF-8" if encoding == "utf-8" else "UTF-16"
            raise InvalidInput(
                f"{place}:{line + before.count(chr(10))}: not {name} "
                f"(byte {done - len(error.object) + error.start}: {error.reason}); save it as UTF-8"
            ) from error
        line += piece.count("\n")
        if piece:
            yield piece
        if not data:
            return
        data = _read(stream, place, line)


def _read(stream: BufferedReader, place: str, line: int) -> bytes:
    try:
        return stream.read1(_PIECE)
    except Unreadable as error:
        raise InvalidInput(f"{place}:{line}: {error.reason}") from error


def text_lines(pieces: Iterator[str], place: str, longest: int) -> Iterator[tuple[int, str]]:
    r"""Lines with their numbers from 1, cut at `\n` or `\r\n`, without them."""
    number, parts, length = 1, list[str](), 0
    for piece in pieces:
        first, *others = piece.split("\n")
        parts.append(first)
        length += len(first)
        if length > longest:
            raise InvalidInput(f"{place}:{number}: the line is longer than {longest} characters; cut it")
        for other in others:
            yield number, "".join(parts).removesuffix("\r")
            number, parts, length = number + 1, [other], len(other)
    if last := "".join(parts):
        yield number, last.removesuffix("\r")


def json_items(
    pieces: Iterator[str], place: str, path: Sequence[str], *, longest: int, deepest: int
) -> Iterator[Any]:
    """The JSON values at `path` in a text: `item` is each of a list, anything else the value of a key.

    All of the text is checked, and memory is taken for one value at a time. Raises `InvalidInput` naming
    line and column for what is not JSON, is nested deeper than `deepest`, or longer than `longest`.
    """
    text = JsonText(pieces, place, longest, deepest)
    yield from text.walk(list(path))
    if text.peek():
        text.fail("more follows after its end")


def json_text(text: str, place: str, *, deepest: int) -> Any:
    """The value of one JSON text on one line. Raises `InvalidInput` naming `place` and the column."""
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{place}: not JSON ({_fault(error)}, column {error.colno})") from error
    except ValueError as error:
        raise InvalidInput(f"{place}: not JSON ({_fault(error)})") from error
    except RecursionError as error:
        raise InvalidInput(f"{place}: nested deeper than {deepest} levels") from error
    if _deeper(value, deepest):
        raise InvalidInput(f"{place}: nested deeper than {deepest} levels")
    return value


def _fault(error: ValueError) -> str:
    """What is wrong, in our words where the decoder's leave room for doubt."""
    if not isinstance(error, json.JSONDecodeError):
        return "a number has too many digits" if str(error).startswith("Exceeds") else str(error)
    if error.msg.startswith("Unterminated"):
        return "a string has no end"
    if error.pos >= len(error.doc):
        return "it ends too early"
    return error.msg[:1].lower() + error.msg[1:].removesuffix(" at")


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    if not isfinite(number := float(digits)):
        raise ValueError(f"{digits:.20} is too large a number")
    return number


_decoder: Final = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def _deeper(value: Any, levels: int) -> bool:
    """Whether a value is nested deeper than so many levels, found without recursion."""
    level = [value] if type(value) in _NESTS else []
    while level and levels:
        levels -= 1
        parts = [part for outer in level for part in (outer.values() if type(outer) is dict else outer)]
        level = [part for part in parts if type(part) in _NESTS]
    return bool(level)


class JsonText:
    """A JSON text that is read from left to right; `buffer` holds the part that is being read."""

    def __init__(self, pieces: Iterator[str], place: str, longest: int, deepest: int) -> None:
        self.pieces = pieces
        self.place = place
        self.longest = longest
        self.deepest = deepest
        self.buffer = ""
        self.at = 0
        self.line = 1  # of the buffer's first character
        self.column = 1
        self.ended = False

    def walk(self, path: list[str]) -> Iterator[Any]:
        """The values at the path from here on; what lies beside it is passed over."""
        if not path:
            yield self.value()
            return
        first = self.peek()
        if first == "[":
            for _ in self.elements():
                if path[0] == "item":
                    yield from self.walk(path[1:])
                else:
                    self.value()
        elif first == "{":
            for key in self.keys():
                if key == path[0]:
                    yield from self.walk(path[1:])
                else:
                    for _ in self.walk(["item", ""] if self.peek() == "[" else []):
                        pass
        else:
            self.value()

    def elements(self) -> Iterator[None]:
        """Stands before each element of a list in turn; whoever asks for the next has taken it."""
        self.at += 1
        if self.peek() == "]":
            self.at += 1
            return
        while True:
            yield
            if self.take(",]") == "]":
                return

    def keys(self) -> Iterator[str]:
        """Each key of an object, standing before its value; whoever asks for the next has taken that."""
        self.at += 1
        if self.peek() == "}":
            self.at += 1
            return
        while True:
            if self.peek() != '"':
                self.fail("a key in double quotes is missing")
            key = self.value()
            self.take(":")
            yield key
            if self.take(",}") == "}":
                return

    def take(self, marks: str) -> str:
        """The next character, which must be one of the marks."""
        mark = self.peek()
        if not mark or mark not in marks:
            wanted = " or ".join(marks)
            self.fail(f"{wanted} is missing" if mark else "it ends too early")
        self.at += 1
        return mark

    def peek(self) -> str:
        """The next character that is not blank; nothing at the end."""
        while True:
            match = _BLANK.match(self.buffer, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if not self.more(1):
                return ""

    def value(self) -> Any:
        """The value that starts here."""
        if not self.peek():
            self.fail("it ends too early")
        while True:
            try:
                value, end = _decoder.raw_decode(self.buffer, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self.buffer) - _SLACK
                if cut and self.more(len(self.buffer) - self.at):
                    continue
                self.fail(_fault(error), error.pos, error)
            except ValueError as error:
                self.fail(_fault(error), cause=error)
            except RecursionError as error:
                self.fail(f"nested deeper than {self.deepest} levels", cause=error)
            if len(self.buffer) - end <= 2 and self.more(len(self.buffer) - self.at):
                continue  # the digits of a number may go on
            if _deeper(value, self.deepest):
                self.fail(f"nested deeper than {self.deepest} levels")
            self.at = end
            return value

    def more(self, length: int) -> bool:
        """Let go of what is behind us and read on, `length` characters or more if they are there.

        Afterwards places in the buffer are others. False when the end was reached before.
        """
        if self.ended:
            return False
        if len(self.buffer) - self.at > self.longest:
            self.fail(f"a value is longer than {self.longest} characters")
        self.line, self.column = self.where(self.at)
        parts, size = [self.buffer[self.at :]], 0
        self.at = 0
        while size < length:
            piece = next(self.pieces, None)
            if piece is None:
                self.ended = True
                break
            parts.append(piece)
            size += len(piece)
        self.buffer = "".join(parts)
        return True

    def where(self, at: int) -> tuple[int, int]:
        """Line and column, from 1, of a place in the buffer."""
        lines = self.buffer.count("\n", 0, at)
        return self.line + lines, at - self.buffer.rfind("\n", 0, at) if lines else self.column + at

    def fail(self, reason: str, at: int | None = None, cause: Exception | None = None) -> Never:
        """Raise `InvalidInput` that names line and column of a place in the buffer."""
        line, column = self.where(self.at if at is None else at)
        raise InvalidInput(f"{self.place}:{line}: not JSON ({reason}, column {column})") from cause
