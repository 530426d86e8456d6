"""Remembered text as Markdown that cannot break the page it stands on, and names of files that are safe."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime

from engram.kernel.record import Record

__all__ = ["MARK", "entry", "file_name", "moment", "plain", "quoted"]

MARK = "<!-- a page of an engram export -->"
_SPECIAL = re.compile(r"([\\`*_\[\]<>&|~$])")
_LEADING = re.compile(r"^(#{1,6}(?=\s|$)|[-+=]|:|\d{1,9}(?=[.)]))")
_SLUG = 40


def plain(text: str) -> str:
    """The text on one line, with nothing in it that Markdown or HTML takes for a sign."""
    return _line(" ".join(text.split()))


def quoted(text: str) -> str:
    """The text as a block quotation, line for line."""
    lines = [_line(line) for line in text.expandtabs(4).splitlines()] or [""]
    return "\n".join(
        f"> {line}\\" if line and number + 1 < len(lines) and lines[number + 1] else f"> {line}".rstrip()
        for number, line in enumerate(lines)
    )


def moment(time: datetime) -> str:
    """Date and time to the second, in UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def entry(record: Record, note: str = "") -> Iterator[str]:
    """A record: an anchor of its id, who and when, its id to cite, its words."""
    yield f'<a id="{html.escape(_shown(record.id))}"></a>'
    who = plain(record.name or record.role or record.kind)
    yield f"**{who}** · {moment(record.time)} · {plain(record.id)}{note}"
    yield ""
    yield quoted(record.text) if record.text.strip() else "*(no text)*"
    if record.sources:
        yield ""
        yield f"from {', '.join(map(plain, record.sources))}"
    yield ""


def file_name(title: str, *identity: str | None, time: datetime | None = None) -> str:
    """A name that no title can lead astray: date, letters of the title, and twelve digits of its identity."""
    folded = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", folded)[:_SLUG].strip("-")
    digits = hashlib.blake2b(repr((title, *identity)).encode(), digest_size=6).hexdigest()
    date = f"{time.astimezone(UTC):%Y-%m-%d}" if time is not None else ""
    return "-".join(part for part in (date, slug, digits) if part) + ".md"


def _line(text: str) -> str:
    """One line with every sign of Markdown and HTML escaped."""
    stripped = _shown(text).strip(" ")
    return _LEADING.sub(_escaped_start, _SPECIAL.sub(r"\\\1", stripped))


def _escaped_start(match: re.Match[str]) -> str:
    found = match.group(1)
    return f"{found}\\" if found[0].isdigit() else f"\\{found}"


def _shown(text: str) -> str:
    """The text without characters that only steer."""
    return "".join(
        character if character.isprintable() or character == " " else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
