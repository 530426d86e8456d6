"""Text cut at its headings, and long sections at paragraphs, read line by line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["LONGEST_SECTION", "Section", "sections"]

LONGEST_SECTION = 2000
"""Characters that a section may have; a longer one is cut into parts."""
_LONGEST_HEADING = 300
_SETEXT_LINES = 8
_ATX = re.compile(r" {0,3}(?P<marks>#{1,6})(?:[ \t]+(?P<title>.*?))??(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(?P<mark>=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(?P<marks>`{3,}(?=[^`]*$)|~{3,})")
_INDENTED = re.compile(r" {4}| {0,3}\t")
_NO_PARAGRAPH = re.compile(r" {0,3}(?:>|[-+*](?:\s|$)|\d{1,9}[.)](?:\s|$)|<)")
_INTERRUPTS = re.compile(r" {0,3}(?:>|[-+*]\s+\S|1[.)]\s+\S|<[A-Za-z/?!])")
_BREAK = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_HTML = re.compile(
    r" {0,3}(?:(?P<comment><!--)|<(?P<tag>pre|script|style|textarea)(?=[\s>]|$))", re.IGNORECASE
)
_RST_LINE = re.compile(r"(?P<mark>[^\w\s])(?P=mark)+\s*$", re.ASCII)
_SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*\s|[。！？]")  # noqa: RUF001 - they end sentences in Chinese and Japanese


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under a path of headings, or a part of it: 2,000 characters at most; `line` is from 1."""

    headings: tuple[str, ...]
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class _Heading:
    level: int
    title: str
    line: int


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of text; `between` where it is empty and stands between two paragraphs."""

    text: str
    line: int
    between: bool = False


def sections(lines: Iterable[tuple[int, str]], *, rst: bool = False) -> Iterator[Section]:
    """The sections of numbered lines of Markdown or plain text, or of reStructuredText.

    Markdown headings are those of CommonMark outside lists and quotations: `# Title` and underlined ones,
    not in code or comments. In reStructuredText a line of one punctuation mark under a title, or over and
    under it, makes a heading, whose level is the order in which its mark came first.
    """
    cutter = _Cutter()
    for event in _rst(lines) if rst else _Markdown().events(lines):
        if isinstance(event, _Heading):
            yield from cutter.heading(event)
        else:
            yield from cutter.line(event)
    yield from cutter.end()


# Headings -----------------------------------------------------------------------------------------


@dataclass
class _Markdown:
    """A line scanner: what is open (a fence, a comment) and the paragraph that may turn into a heading."""

    paragraph: list[_Line] = field(default_factory=list)
    plain: bool = False
    code: bool = False
    fence: str | None = None
    until: str | None = None

    def events(self, lines: Iterable[tuple[int, str]]) -> Iterator[_Heading | _Line]:
        for number, line in lines:
            yield from self._take(number, line)
        yield from self._flush()

    def _take(self, number: int, line: str) -> Iterator[_Heading | _Line]:
        if self.fence is not None or self.until is not None:
            yield _Line(line, number)
            self._close(line)
            return
        if not line.strip():
            yield from self._flush()
            yield _Line("", number, between=True)
            return
        under = _SETEXT.match(line) if self.paragraph and self.plain else None
        title = " ".join(part.text.strip() for part in self.paragraph)
        if under and len(title) <= _LONGEST_HEADING:
            yield _Heading(1 if under["mark"][0] == "=" else 2, title, self.paragraph[0].line)
            self.paragraph = []
            return
        atx = _ATX.match(line)
        if atx and len(line) <= _LONGEST_HEADING:
            yield from self._flush()
            yield _Heading(len(atx["marks"]), (atx["title"] or "").strip(), number)
            return
        yield from self._text(number, line)

    def _text(self, number: int, line: str) -> Iterator[_Line]:
        fence, html = _FENCE.match(line), _HTML.match(line)
        if fence or html or _BREAK.match(line):
            yield from self._flush()
            yield _Line(line, number)
            if fence:
                self.fence = fence["marks"]
            elif html:
                self.until = "-->" if html["comment"] else f"</{html['tag'].lower()}>"
                self._close(line[html.end() :])
            return
        indented = _INDENTED.match(line) is not None
        if (self.code and not indented) or (self.plain and _INTERRUPTS.match(line)):
            yield from self._flush()
        if not self.paragraph:
            self.code = indented
            self.plain = not indented and _NO_PARAGRAPH.match(line) is None
        self.paragraph.append(_Line(line, number))
        if len(self.paragraph) > _SETEXT_LINES:
            self.plain = False
            yield self.paragraph.pop(0)

    def _close(self, line: str) -> None:
        """End a fence or a comment at this line, if it does."""
        if self.until is not None:
            self.until = None if self.until in line.lower() else self.until
        elif self.fence is not None:
            mark = line.strip()
            indented = len(line) - len(line.lstrip(" ")) > 3
            if mark and not indented and not mark.strip(self.fence[0]) and len(mark) >= len(self.fence):
                self.fence = None

    def _flush(self) -> Iterator[_Line]:
        yield from self.paragraph
        self.paragraph = []


def _rst(lines: Iterable[tuple[int, str]]) -> Iterator[_Heading | _Line]:
    """Headings of reStructuredText; looks two lines back."""
    styles: list[str] = []
    held: list[_Line] = []
    for number, line in lines:
        mark = _underlines(line, held)
        if mark is not None:
            title = held.pop()
            over = bool(held) and held[-1].text.rstrip() == line.rstrip()
            start = held.pop() if over else title
            yield from held
            held = []
            style = mark * 2 if over else mark
            if style not in styles:
                styles.append(style)
            yield _Heading(styles.index(style) + 1, title.text.strip(), start.line)
            continue
        held.append(_Line(line, number, between=not line.strip()))
        if len(held) > 2:
            yield held.pop(0)
    yield from held


def _underlines(line: str, held: list[_Line]) -> str | None:
    """The mark that the line draws under the title before it; `None` where it draws none."""
    found = _RST_LINE.match(line)
    if found is None or not held or not held[-1].text.strip():
        return None
    title = held[-1].text
    over = len(held) > 1 and held[-2].text.rstrip() == line.rstrip()
    fits = len(title.strip()) <= min(len(line.rstrip()), _LONGEST_HEADING) and _RST_LINE.match(title) is None
    return found["mark"] if fits and (over or not title[0].isspace()) else None


# Sections -----------------------------------------------------------------------------------------


@dataclass
class _Cutter:
    """Packs paragraphs under the headings that are open into sections of bounded length."""

    path: list[tuple[int, str]] = field(default_factory=list)
    opened: int = 0
    bare: bool = False
    done: list[str] = field(default_factory=list)
    block: list[str] = field(default_factory=list)
    size: int = 0
    growing: int = 0
    start: int = 0
    block_start: int = 0

    @property
    def headings(self) -> tuple[str, ...]:
        return tuple(title for _, title in self.path if title)

    def heading(self, found: _Heading) -> Iterator[Section]:
        yield from self._leave(found.level)
        while self.path and self.path[-1][0] >= found.level:
            self.path.pop()
        self.path.append((found.level, found.title))
        self.opened, self.bare = found.line, bool(found.title)

    def line(self, found: _Line) -> Iterator[Section]:
        if found.between:
            yield from self._paragraph()
            return
        if not found.text.strip() and not self.block:
            return
        for piece in _pieces(found.text):
            if self.growing + len(piece) > LONGEST_SECTION:
                yield from self._paragraph()
                yield from self._emit()
            self.block_start = self.block_start if self.block else found.line
            self.block.append(piece)
            self.growing += len(piece) + 1

    def end(self) -> Iterator[Section]:
        yield from self._leave(0)

    def _leave(self, level: int) -> Iterator[Section]:
        """End what stands under the open headings; one with nothing under it is a section by itself."""
        yield from self._paragraph()
        yield from self._emit()
        if self.bare and self.path and level <= self.path[-1][0]:
            yield Section(self.headings[:-1], self.headings[-1], self.opened)
        self.bare = False

    def _paragraph(self) -> Iterator[Section]:
        """End a paragraph; what stands before it is a section of its own where both are too long for one."""
        if not self.block:
            return
        if self.done and self.size + self.growing > LONGEST_SECTION:
            yield from self._emit()
        self.start = self.start if self.done else self.block_start
        self.done.append("\n".join(self.block))
        self.size += self.growing + 1
        self.block, self.growing = [], 0

    def _emit(self) -> Iterator[Section]:
        text = "\n\n".join(self.done).strip("\n")
        self.done, self.size = [], 0
        if text.strip():
            self.bare = False
            yield Section(self.headings, text, self.start)


def _pieces(line: str) -> Iterator[str]:
    """The line, cut where it is longer than a section: behind a sentence, else a word, else anywhere."""
    while len(line) > LONGEST_SECTION:
        window = line[:LONGEST_SECTION]
        ends = [found.end() for found in _SENTENCE.finditer(window)]
        at = ends[-1] if ends and ends[-1] > LONGEST_SECTION // 2 else window.rfind(" ") + 1
        at = at if at > LONGEST_SECTION // 4 else LONGEST_SECTION
        yield line[:at].rstrip()
        line = line[at:]
    yield line
