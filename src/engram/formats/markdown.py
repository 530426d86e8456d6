"""Markdown and text files as resources, cut at their headings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from engram.formats.base import Incoming, Skipped
from engram.formats.cutting import Section, sections
from engram.formats.making import Ids, made, moment, run_name
from engram.formats.source import Source
from engram.formats.talk import LOOKED_AT, head_lines, is_chat_name, is_transcript, is_whatsapp

__all__ = ["Markdown"]

_MARKDOWN = (".md", ".markdown", ".mdown", ".mkd", ".mdx")
_PLAIN = (".txt", ".text")
_RST = ".rst"
_ENDINGS = (*_MARKDOWN, *_PLAIN, _RST)
_FENCES = {"---": ("---", "..."), "+++": ("+++",)}
_FRONT_LINES = 200
_FRONT_LENGTH = 8000
_FIELD = re.compile(r"(?P<key>[A-Za-z_][\w. -]{0,63}?)\s*[:=]\s*(?P<value>.*)$")
_ITEM = re.compile(r"\s*-\s+(?P<value>.+)$")


class Markdown:
    """Documents: `.md`, `.markdown`, `.mdx`, `.txt` and `.rst` files, one or a folder (or zip) of them.

    Each section is a record of kind `resource` whose title is the path of its headings (`Install > Linux`);
    `headings`, `source` (the file's name) and `part` (which one of that path it is, from 1) are in its
    metadata. A section of over 2,000 characters is cut at paragraphs, and a text without headings is cut in
    the same way. What the headings are follows CommonMark 0.31 (headings within lists and quotations stay
    text, and so does what looks like one in code, comments and HTML like `<pre>`), or for `.rst` the
    reStructuredText specification.

    Front matter (`---` or `+++` at the start) is taken as plain `key: value` lines and lists into
    `front_matter` of the metadata; its `date` is the record's time, its `title` that of text before the
    first heading. The run is the file's name; ids are hashes of file, headings and part, so that a section
    keeps its id when its text is changed or others come before it.

    Left out, with the reason: files of other kinds, hidden ones, files without text.
    """

    name = "markdown"
    title = "Markdown and text files, cut at headings"

    def recognises(self, source: Source) -> bool:
        """Whether it is a document, or holds mostly documents; talk in a text file is none."""
        names = [name for name in source.names if not _hidden(name)]
        documents = _documents(names)
        if not documents or len(documents) * 2 < len(names) or any(map(_memories, documents)):
            return False
        looked_at = documents[:LOOKED_AT]
        talks = [name for name in looked_at if _kind(name).endswith(_PLAIN) and _talk(name, source)]
        return len(talks) * 2 < len(looked_at) and not any(map(is_chat_name, talks))

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """The sections, file after file. Raises `InvalidInput` for text that is not UTF-8."""
        single = not (source.is_folder or source.is_archive)
        visible = [name for name in source.names if single or not _hidden(name)]
        documents = visible if single else _documents(visible)
        source.expect(documents)
        for name in documents:
            yield from _file(source, name)
        read = set(documents)
        for reason, names in (
            ("hidden files are not read", [name for name in source.names if not single and _hidden(name)]),
            ("not a Markdown or text file", [name for name in visible if name not in read]),
        ):
            if names:
                yield Skipped(source.place(names[0]), reason, {"files": len(names), "first": names[:10]})


def _kind(name: str) -> str:
    return name.lower().removesuffix(".gz")


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _documents(names: Iterable[str]) -> list[str]:
    return [name for name in names if _kind(name).endswith(_ENDINGS)]


def _talk(name: str, source: Source) -> bool:
    lines = list(head_lines(source.head(name)))
    return is_whatsapp(name, lines) or is_transcript(lines)


def _memories(name: str) -> bool:
    """Whether the name is that of mem0's own export in Markdown."""
    return name.rsplit("/", 1)[-1].startswith("mem0-export")


def _file(source: Source, name: str) -> Iterator[Incoming | Skipped]:
    front, lines = _front(source.lines(name))
    ids, empty = Ids(), True
    for section in sections(lines, rst=_kind(name).endswith(_RST)):
        empty = False
        yield _section(section, name, front, ids, f"{source.place(name)}:{section.line}")
    if empty:
        yield Skipped(source.place(name), "no text")


def _section(section: Section, name: str, front: dict[str, Any], ids: Ids, place: str) -> Incoming | Skipped:
    id, part = ids.numbered(name, *section.headings)
    metadata: dict[str, Any] = {"source": name, "headings": list(section.headings), "part": part}
    if front:
        metadata["front_matter"] = front
    message: dict[str, Any] = {"role": "user", "content": section.text, "id": id, "metadata": metadata}
    title = " > ".join(section.headings) or front.get("title")
    if isinstance(title, str) and title:
        message["title"] = title
    time = moment(front.get("date"))
    if time is not None:
        message["time"] = time
    return made(message, place, kind="resource", run_id=run_name(name))


def _front(lines: Iterator[tuple[int, str]]) -> tuple[dict[str, Any], Iterator[tuple[int, str]]]:
    """The fields of the front matter, and the lines behind it; all lines where there is none."""
    start = list(islice(lines, 1))
    ends = _FENCES.get(start[0][1].rstrip()) if start else None
    if ends is None:
        return {}, chain(start, lines)
    held: list[tuple[int, str]] = []
    for number, line in islice(lines, _FRONT_LINES):
        held.append((number, line))
        if line.rstrip() in ends:
            fields = _fields([text for _, text in held[:-1]])
            return (fields, lines) if fields or len(held) == 1 else ({}, chain(start, held, lines))
        if sum(len(text) for _, text in held) > _FRONT_LENGTH:
            break
    return {}, chain(start, held, lines)


def _fields(lines: list[str]) -> dict[str, Any]:
    """`key: value` and lists of front matter as text; deeper structure is kept as the lines it has."""
    fields: dict[str, Any] = {}
    key = ""
    for line in lines:
        found, item = _FIELD.match(line), _ITEM.match(line)
        if found and not line[0].isspace():
            key, value = found["key"], found["value"].strip()
            inner = value[1:-1] if value[:1] == "[" and value[-1:] == "]" else None
            parts = [] if inner is None else [_bare(part) for part in inner.split(",") if part.strip()]
            fields[key] = _bare(value) if inner is None else parts
        elif item and key and (fields[key] == "" or isinstance(fields[key], list)):
            fields[key] = [*(fields[key] or []), _bare(item["value"])]
        elif line.strip() and not line.lstrip().startswith("#"):
            if not key:
                return {}
            fields[key] = f"{fields[key]}\n{line}".strip("\n")
    return fields


def _bare(value: str) -> str:
    plain = value.strip()
    return plain[1:-1] if len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "\"'" else plain
