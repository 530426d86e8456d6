"""Claude's data export."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engram.formats.base import Incoming, Skipped
from engram.formats.cutting import sections
from engram.formats.making import Ids, digest, made, moment
from engram.formats.shapes import branch, found, listed, mapped, opening, text_of, values, without_nothing
from engram.formats.source import Source

__all__ = ["Claude"]

_CONVERSATIONS: Final = re.compile(r"conversations(-\d+)?\.json(\.gz)?")
_PROJECTS: Final = re.compile(r"projects(-\d+)?\.json(\.gz)?|projects/[^/]+\.json")
_MEMORIES: Final = re.compile(r"memories(-\d+)?\.json(\.gz)?|memories/[^/]+\.json")
_USERS: Final = re.compile(r"users\.json")
_MESSAGES: Final = re.compile(r'"chat_messages"\s*:\s*\[')
_DOCUMENTS: Final = re.compile(r'"prompt_template"\s*:|"docs"\s*:\s*\[')
_MEMORY: Final = re.compile(r'"conversations_memory"\s*:')
_EMPTY: Final = re.compile(r"\s*\[\s*\]\s*")
_ROLES: Final = {"human": "user", "assistant": "assistant"}
_ROOT: Final = "00000000-0000-4000-8000-000000000000"
"""What the first messages come after."""


class Claude:
    """The data export of Claude: the zip, its folder, or one of its files alone.

    `conversations.json` holds conversations with `uuid`, `name` and `chat_messages`, each with `uuid`,
    `sender` (`human` or `assistant`), `created_at`, `content` (a list of parts) or in older exports only
    `text`, `attachments` and `files`. Where messages have a `parent_message_uuid` they are a tree: the
    branch is read that ends in `current_leaf_message_uuid`, or else in the last message. The run is the
    conversation. In the metadata: `title`, `conversation`, `model`, `project`, names of `files`, and
    under `left_out` the kinds of parts that hold no words of the message (thinking, calls of tools).

    Records of kind `resource`, cut at headings: the text of attachments, documents that Claude made
    (artifacts, as they are created or rewritten), and of `projects.json` or `projects/` the documents and
    instructions, of `memories.json` or `memories/` what Claude remembers. Left out, with the reason: other
    branches, messages without words, starter projects; `users.json` is not read.

    The shape follows public readers of such exports, as of 2026.
    """

    name = "claude"
    title = "Claude data exports (zip, folder or conversations.json)"

    def recognises(self, source: Source) -> bool:
        """Whether a file begins as Claude's, or holds nothing beside the file of users."""
        for kind, name in _files(source):
            start = opening(source, name)
            if kind.search(start) or (_EMPTY.fullmatch(start) and found(source, _USERS)):
                return True
        return False

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """Messages and documents, file after file. Raises `InvalidInput` for what is not JSON."""
        files = _files(source)
        source.expect(name for _, name in files)
        for kind, name in files:
            for place, value in values(source, name):
                yield from _READERS[kind](mapped(value), place)


def _files(source: Source) -> list[tuple[re.Pattern[str], str]]:
    """The files that are read, and what each must hold: by their names, a single one by how it begins."""
    if not source.is_folder and not source.is_archive:
        start = opening(source, source.names[0])
        kind = next((kind for kind in _READERS if kind.search(start)), _MESSAGES)
        return [(kind, source.names[0])]
    named = ((_MESSAGES, _CONVERSATIONS), (_DOCUMENTS, _PROJECTS), (_MEMORY, _MEMORIES))
    return [(kind, name) for kind, pattern in named for name in found(source, pattern)]


def _conversation(whole: Mapping[str, Any], place: str) -> Iterator[Incoming | Skipped]:
    said = whole.get("chat_messages")
    if not isinstance(said, list):
        yield Skipped(place, "no conversation: it has no chat_messages", lost=True)
        return
    messages = [mapped(message) for message in said]
    ids = [text_of(message.get("uuid")) or f"{number}" for number, message in enumerate(messages)]
    run = text_of(whole.get("uuid")) or digest(*ids)
    shared = without_nothing(
        title=text_of(whole.get("name")),
        conversation=run,
        model=text_of(whole.get("model")),
        project=text_of(mapped(whole.get("project")).get("name")),
    )
    current, wrong = _current(whole, messages, ids)
    if wrong:
        yield Skipped(place, wrong)
    for number, (id, message) in enumerate(zip(ids, messages, strict=True)):
        where = f"{place}.chat_messages[{number}]"
        if id not in current:
            yield Skipped(where, "on a branch that was left")
            continue
        yield _message(message, id, where, run, shared)
        yield from _documents_of(message, id, where, run, shared)


def _current(
    whole: Mapping[str, Any], messages: list[Mapping[str, Any]], ids: list[str]
) -> tuple[set[str], str | None]:
    """The ids of the current branch, and what is wrong with it; all ids where there is no tree."""
    parents = {
        id: parent if (parent := text_of(message.get("parent_message_uuid"))) and parent != _ROOT else None
        for id, message in zip(ids, messages, strict=True)
    }
    if not any(parents.values()):
        return set(ids), None
    leaf = text_of(whole.get("current_leaf_message_uuid"))
    current, wrong = branch(parents, leaf if leaf in parents else ids[-1])
    return set(current), wrong


def _message(
    message: Mapping[str, Any], id: str, place: str, run: str, shared: Mapping[str, Any]
) -> Incoming | Skipped:
    role = _ROLES.get(text_of(message.get("sender")))
    if role is None:
        return Skipped(place, f"sender {text_of(message.get('sender'))[:40]!r} is unknown", lost=True)
    parts = [mapped(part) for part in listed(message.get("content"))]
    said = "\n\n".join(text_of(part.get("text")) for part in parts if part.get("type") == "text")
    if not said.strip() and not parts:
        said = text_of(message.get("text"))
    left_out = sorted({text_of(part.get("type")) for part in parts} - {"text", ""})
    if not said.strip():
        return Skipped(place, f"no text: {', '.join(left_out)}" if left_out else "no text")
    files = [
        text_of(mapped(file).get("file_name"))
        for key in ("attachments", "files")
        for file in listed(message.get(key))
    ]
    metadata = {**shared, **without_nothing(files=list(filter(None, files)), left_out=left_out)}
    whole = {"role": role, "content": said, "id": id, "metadata": metadata}
    return made({**whole, **_time(message.get("created_at"))}, place, run_id=run)


def _documents_of(
    message: Mapping[str, Any], id: str, place: str, run: str, shared: Mapping[str, Any]
) -> Iterator[Incoming | Skipped]:
    """Texts that were attached to a message, and that Claude made in it."""
    time = message.get("created_at")
    for number, file in enumerate(map(mapped, listed(message.get("attachments")))):
        text, name = text_of(file.get("extracted_content")), text_of(file.get("file_name"))
        where = f"{place}.attachments[{number}]"
        yield from _resource(text, f"{id}:{number}", name, where, run, shared, time)
    for number, part in enumerate(map(mapped, listed(message.get("content")))):
        made_of = mapped(part.get("input"))
        if part.get("type") == "tool_use" and part.get("name") == "artifacts":
            text, name = text_of(made_of.get("content")), text_of(made_of.get("title"))
            where = f"{place}.content[{number}]"
            more = {**shared, "made_by": "assistant"}
            yield from _resource(text, f"{id}:artifact:{number}", name, where, run, more, time)


def _project(whole: Mapping[str, Any], place: str) -> Iterator[Incoming | Skipped]:
    if whole.get("is_starter_project"):
        yield Skipped(place, "a starter project: it is the same for everybody")
        return
    run = text_of(whole.get("uuid")) or digest(place)
    name = text_of(whole.get("name"))
    shared = without_nothing(project=name)
    instructions = text_of(whole.get("prompt_template"))
    where, id = f"{place}.prompt_template", f"{run}:{digest(instructions)}"
    made_at = whole.get("created_at")
    yield from _resource(instructions, id, f"Instructions of {name}", where, run, shared, made_at)
    for number, document in enumerate(map(mapped, listed(whole.get("docs")))):
        text, title = text_of(document.get("content")), text_of(document.get("filename"))
        where, id = f"{place}.docs[{number}]", text_of(document.get("uuid")) or f"{run}:{title}"
        time = document.get("created_at") or made_at
        yield from _resource(text, id, title, where, run, shared, time)


def _memory(whole: Mapping[str, Any], place: str) -> Iterator[Incoming | Skipped]:
    texts = {"conversations": whole.get("conversations_memory"), **mapped(whole.get("project_memories"))}
    for key, value in texts.items():
        text = text_of(value)
        shared = {} if key == "conversations" else {"project": key}
        id = digest("memory", key, text)
        yield from _resource(text, id, "What Claude remembers", f"{place}: {key}", key, shared, None)


def _resource(
    text: str, id: str, title: str, place: str, run: str, shared: Mapping[str, Any], time: object
) -> Iterator[Incoming | Skipped]:
    """A document, section by section."""
    ids = Ids()
    for section in sections(enumerate(text.split("\n"), 1)):
        key, part = ids.numbered(id, *section.headings)
        metadata = {**shared, **without_nothing(source=title, headings=list(section.headings)), "part": part}
        whole = {"role": "user", "content": section.text, "id": key, "metadata": metadata, **_time(time)}
        whole |= without_nothing(title=" > ".join(filter(None, (title, *section.headings))))
        yield made(whole, f"{place}:{section.line}", kind="resource", run_id=run)


def _time(value: object) -> dict[str, str]:
    return without_nothing(time=moment(value))


_READERS: Final = {_MESSAGES: _conversation, _DOCUMENTS: _project, _MEMORY: _memory}
