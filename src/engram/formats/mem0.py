"""Memories that mem0 gives out: `get_all`, the platform's pages, the Markdown of its plug-in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from engram.formats.base import Incoming, Skipped
from engram.formats.making import LONGEST_TEXT, digest, interval, made, moment
from engram.formats.peek import JSON_ENDINGS, LINE_ENDINGS, Entry, entries, json_files, keys_at
from engram.formats.source import Source
from engram.formats.talk import LOOKED_AT
from engram.kernel.clock import parse_time
from engram.kernel.errors import InvalidInput

__all__ = ["Mem0"]

_LISTS = ("", "results", "memories", "data")
_TEXTS = ("memory", "text", "content", "data")
_KEPT = ("app_id", "actor_id", "attributed_to", "categories", "immutable", "lifecycle_state", "synthesized")
_FIELD = re.compile(r"(?P<key>[a-z_]+)\s*:\s*(?P<value>.*)$")
_LISTED = ("files", "categories")


class Mem0:
    """Memories of mem0, open source or platform, as kind `fact`.

    Takes what `get_all()` returns, written as JSON: `{"results": [...]}` or a list of memories (`.json`, or
    one a line in `.jsonl`), a page of the platform's API (`count`, `next`, `results`), and the Markdown of
    the plug-in's export (`mem0-export-….md`). The fields are those of `MemoryItem` in mem0's source, and of
    its OpenAPI description: `id`, `memory`, `user_id`, `agent_id`, `run_id` (or `session_id`), `metadata`,
    `categories`, `created_at`, `updated_at`, `expiration_date`. `relations` (source, relationship, target)
    become facts with `triples`, of the user of the memories before them where that is one.

    Said at `created_at`, known since `updated_at`; one that was replaced, until then. One with an
    `expiration_date` holds to the end of that day. Ids are mem0's. Not kept: hashes, scores, and the
    parts of the date that the platform adds (`structured_attributes`). What the platform makes with a
    schema of the caller's own (`create_memory_export`) has no memories in it and cannot be read.

    Left out, with the reason: what has no text, entries of the history, what ends before it starts.
    """

    name = "mem0"
    title = "mem0 memories (get_all, API pages, plug-in export)"

    def recognises(self, source: Source) -> bool:
        """Whether every file that it could be in starts with memories as mem0 writes them."""
        names = _files(source)
        return bool(names) and all(_recognised(source, name) for name in names[:LOOKED_AT])

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """The memories, file after file. Raises `InvalidInput` for what is not JSON or has no memories."""
        names = _files(source)
        source.expect(names)
        for name in names:
            yield from _markdown(source, name) if _is_markdown(name) else _json(source, name)


def _files(source: Source) -> list[str]:
    if not (source.is_folder or source.is_archive):
        return list(source.names)
    return [*json_files(source, (*JSON_ENDINGS, *LINE_ENDINGS)), *filter(_is_markdown, source.names)]


def _is_markdown(name: str) -> bool:
    plain = name.lower().rsplit("/", 1)[-1]
    return plain.startswith("mem0-export") and plain.endswith((".md", ".md.gz"))


def _recognised(source: Source, name: str) -> bool:
    if _is_markdown(name):
        return True
    if not name.lower().endswith((*JSON_ENDINGS, *LINE_ENDINGS)):
        return False
    found = keys_at(source.head(name))
    paths = ("",) if name.lower().endswith(LINE_ENDINGS) else ("item", *(f"{key}.item" for key in _LISTS[1:]))
    items = [found.get(path, set()) for path in paths]
    return any({"id", "memory"} <= keys and "memory_id" not in keys for keys in items)


def _json(source: Source, name: str) -> Iterator[Incoming | Skipped]:
    lists, total, more = False, None, None
    users: set[str | None] = set()
    for entry in entries(source, name):
        if entry.key in _LISTS and (entry.number is not None or entry.key == ""):
            lists = True
            memory = _memory(entry)
            if isinstance(memory, Incoming) and len(users) < 2:
                users.add(memory.user_id)
            yield memory
        elif entry.key == "relations" and entry.number is not None:
            yield _relation(entry, next(iter(users)) if len(users) == 1 else None)
        total = entry.value if entry.key == "count" else total
        more = entry.value if entry.key == "next" else more
    if more:
        reason = f"note: this is one page of {total} memories; export the others as well"
        yield Skipped(source.place(name), reason, {"next": str(more)[:200]})
    if not lists and not _has_list(source, name):
        raise InvalidInput(
            f"{source.place(name)}: no memories are in it; give the JSON of get_all(), a list of memories or "
            'an object with "results" (an export with a schema of your own holds no memories)'
        )


def _has_list(source: Source, name: str) -> bool:
    """Whether one of the lists is there, if empty."""
    return any(key in _LISTS for key in keys_at(source.head(name)).get("", set())) or (
        source.head(name).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    )


def _memory(entry: Entry) -> Incoming | Skipped:
    item, place = entry.value, entry.place
    if not isinstance(item, Mapping):
        return Skipped(place, f"is no object but {type(item).__name__}", lost=True)
    if "memory_id" in item:
        return Skipped(place, "an entry of a memory's history")
    payload = item.get("payload")  # a point of a vector store, as mem0 keeps its memories
    fields = {**payload, "id": item.get("id")} if isinstance(payload, Mapping) else dict(item)
    text = next((fields[key] for key in _TEXTS if isinstance(fields.get(key), str)), None)
    if text is None:
        return Skipped(place, "no text")
    id = fields.get("id")
    stable = str(id) if isinstance(id, str | int) and str(id) else digest(text, str(fields.get("created_at")))
    message: dict[str, Any] = {"role": "user", "content": text, "id": stable}
    created, updated = moment(fields.get("created_at")), moment(fields.get("updated_at"))
    if created or updated:
        message["time"] = created or updated
    metadata = _metadata(fields)
    if metadata:
        message["metadata"] = metadata
    until = updated if fields.get("replaced_by") else None
    try:
        known = interval(created or updated, until) if until else interval(updated or created, None)
        expires = _day_after(fields.get("expiration_date"))
        valid = interval(created, expires) if expires else None
    except ValueError as error:
        return Skipped(place, str(error), lost=True)
    return made(message, place, kind="fact", known=known, valid=valid, **_scope(fields))


def _metadata(fields: Mapping[str, Any]) -> dict[str, Any]:
    given = fields.get("metadata")
    metadata = dict(given) if isinstance(given, Mapping) else {}
    for key in _KEPT:
        if fields.get(key) not in (None, [], {}):
            metadata[key] = fields[key]
    return metadata


def _scope(fields: Mapping[str, Any]) -> dict[str, str]:
    run = fields.get("run_id") or fields.get("session_id")
    named = {"user_id": fields.get("user_id"), "agent_id": fields.get("agent_id"), "run_id": run}
    return {field: str(value) for field, value in named.items() if value and isinstance(value, str | int)}


def _day_after(value: object) -> str | None:
    """The end of the day, as mem0 shows a memory through its last day."""
    day = moment(value)
    try:
        return None if day is None else (parse_time(day)[0].date() + timedelta(days=1)).isoformat()
    except OverflowError:
        return None


def _relation(entry: Entry, user: str | None) -> Incoming | Skipped:
    item = entry.value
    parts = (
        [item.get("source"), item.get("relationship"), item.get("target") or item.get("destination")]
        if isinstance(item, Mapping)
        else []
    )
    words = [part.replace("_", " ").strip() for part in parts if isinstance(part, str)]
    if len(words) != 3 or not all(words):
        return Skipped(entry.place, "no relation of source, relationship and target", lost=True)
    message = {
        "role": "user",
        "content": " ".join(words),
        "id": digest("relation", *words),
        "triples": [words],
        "metadata": dict(zip(("subject", "relation", "object"), words, strict=True)),
    }
    return made(message, entry.place, kind="fact", user_id=user)


def _markdown(source: Source, name: str) -> Iterator[Incoming | Skipped]:
    """Blocks of `key: value` between lines of dashes, each with the memory's text behind it."""
    fields: dict[str, Any] = {}
    lines: list[str] = []
    inside, start, size, found = False, 0, 0, False
    for number, line in source.lines(name):
        if line.rstrip() == "---":
            if not inside:
                found = found or bool(fields)
                yield from _block(fields, lines, f"{source.place(name)}:{start}", size)
                fields, lines, start, size = {}, [], number, 0
            inside = not inside
        elif inside:
            field = _FIELD.match(line)
            if field and field["value"]:
                fields[field["key"]] = field["value"]
        elif size <= LONGEST_TEXT:
            lines.append(line)
            size += len(line) + 1
    yield from _block(fields, lines, f"{source.place(name)}:{start}", size)
    if not found and not fields:
        raise InvalidInput(f"{source.place(name)}: no memories are in it; its blocks start with --- and id:")


def _block(fields: dict[str, Any], lines: list[str], place: str, size: int) -> Iterator[Incoming | Skipped]:
    if not fields:
        if any(line.strip() for line in lines):
            yield Skipped(place, "text before the first memory")
        return
    if size > LONGEST_TEXT:
        yield Skipped(place, "the text is over 10 MB", lost=True)
        return
    more = {
        key: [part.strip() for part in value.split(",") if part.strip()] if key in _LISTED else value
        for key, value in fields.items()
        if key not in ("id", "created_at")
    }
    item = {"memory": "\n".join(lines).strip(), "metadata": more}
    item |= {key: fields[key] for key in ("id", "created_at") if key in fields}
    yield _memory(Entry("", None, item, place))
