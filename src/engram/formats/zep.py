"""What Zep and Graphiti remember: threads, episodes, entities and facts with their two times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engram.formats.base import Incoming, Skipped
from engram.formats.making import Ids, interval, made, moment, speaker, stem
from engram.formats.peek import JSON_ENDINGS, LINE_ENDINGS, Entry, entries, json_files, keys_at
from engram.formats.shapes import listed, mapped, text_of
from engram.formats.source import Source
from engram.formats.talk import LOOKED_AT, opening
from engram.kernel.errors import InvalidInput

__all__ = ["Zep"]

_LISTS = {
    "episodes": "episode",
    "nodes": "entity",
    "entities": "entity",
    "entity_nodes": "entity",
    "edges": "fact",
    "facts": "fact",
    "entity_edges": "fact",
    "communities": "community",
    "thread_summaries": "community",
    "observations": "community",
    "messages": "message",
    "threads": "thread",
    "sessions": "thread",
}
_GRAPH_LISTS = ("episodes", "nodes", "entities", "entity_nodes", "edges", "facts", "entity_edges")
_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "tool": "tool", "function": "tool"}
_LABELS = {"Episodic": "episode", "Entity": "entity", "Community": "community", "RELATES_TO": "fact"}
_MOST_NAMES = 200_000
_MOST_FIELDS = 100
_PROPERTY = re.compile(
    "uuid|name|group_id|labels|created_at|summary|content|source|source_description|valid_at|entity_edges"
    "|episode_metadata|fact|episodes|expired_at|invalid_at|reference_time|.*_node_uuid|.*embedding.*"
)
_SHAPES = (
    'an object with lists under "episodes", "nodes", "edges", "threads" or "messages"; a list of these;'
    " such files in a folder or a zip; or the lines that Neo4j's apoc.export.json writes of a Graphiti graph"
)


class Zep:
    """Zep threads and graphs, and Graphiti graphs, written as JSON.

    Neither has an export file of its own. Taken is what their libraries' models give as JSON (`model_dump`
    in zep-cloud and graphiti-core): an object with lists under `episodes`, `nodes` (or `entities`),
    `edges` (or `facts`), `communities`, `thread_summaries`, `observations`, `threads`, `messages`; a list
    of one of these; a folder or zip of such files; and the lines of Neo4j's `apoc.export.json`.

    | there | here |
    |---|---|
    | episode, message | kind `episode`, at `valid_at` or `created_at`; a thread is a run |
    | entity | kind `entity`: name as title, summary as text, labels and attributes in the metadata |
    | fact (edge) | kind `fact`: valid `valid_at` to `invalid_at`, known `created_at` to `expired_at` |
    | community, observation, summary of a thread | kind `summary` |

    A fact has `subject`, `relation` and `object` in its metadata and as `triples`, with the names of the
    entities where the same files have them (the first 200,000), and the ids of its episodes. Ids are the
    uuids. `group_id` (or the thread's `user_id`) is the user. Embeddings and scores are not kept.

    Left out, with the reason: what has no text, edges that only tie an episode to an entity, accounts of
    users, facts that end before they start.
    """

    name = "zep"
    title = "Zep and Graphiti (threads, episodes, entities, facts as JSON)"

    def recognises(self, source: Source) -> bool:
        """Whether every JSON file of it starts with what Zep or Graphiti give."""
        names = _files(source)
        return bool(names) and all(_recognised(source, name) for name in names[:LOOKED_AT])

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """Episodes, entities and facts as they stand; each file is read twice, first for the names.

        Raises `InvalidInput` for what is not JSON, or has none of these.
        """
        files = _files(source)
        source.expect([*files, *files])
        names: dict[str, str] = {}
        around = {file: _learn(source, file, names) for file in files}
        for file in files:
            yield from _read(source, file, names, around[file])


def _files(source: Source) -> list[str]:
    return json_files(source, (*JSON_ENDINGS, *LINE_ENDINGS))


def _recognised(source: Source, name: str) -> bool:
    if not name.lower().endswith((*JSON_ENDINGS, *LINE_ENDINGS)):
        return False
    found = keys_at(source.head(name))
    items = [found.get("item", set()), *(found.get(f"{key}.item", set()) for key in _LISTS)]
    if name.lower().endswith(LINE_ENDINGS):
        items = [found.get("", set()), found.get("properties", set())]
    return any(map(_ours, items)) or {"thread_id", "messages"} <= found.get("", set())


def _ours(keys: set[str]) -> bool:
    """Whether an object with these keys is one of Zep's or Graphiti's."""
    if "chat_messages" in keys:
        return False  # a conversation of Claude's export
    if not keys & {"uuid", "uuid_"}:
        return {"thread_id", "messages"} <= keys
    return any(
        wanted <= keys
        for wanted in (
            {"fact"},
            {"summary", "name"},
            {"content", "source"},
            {"content", "role"},
            {"content", "role_type"},
            {"thread_id"},
            {"session_id"},
        )
    )


def _read(
    source: Source, file: str, names: Mapping[str, str], around: Mapping[str, Any]
) -> Iterator[Incoming | Skipped]:
    found = False
    others: dict[str, int] = {}
    ids = Ids()
    for entry in entries(source, file):
        kind, item = _kind(entry)
        if kind is not None:
            found = True
            yield from _Item(entry.place, item, names, around, ids).read(kind)
        elif entry.number is not None or isinstance(entry.value, dict):
            others[entry.key or "items"] = others.get(entry.key or "items", 0) + 1
    for key, count in others.items():
        yield Skipped(
            f"{source.place(file)}: {key}", "neither episodes, entities, facts nor messages", {"items": count}
        )
    if not found and not any(key in _LISTS for key in keys_at(source.head(file)).get("", set())):
        raise InvalidInput(f"{source.place(file)}: nothing of Zep or Graphiti is in it; give {_SHAPES}")


def _kind(entry: Entry) -> tuple[str | None, Mapping[str, Any]]:
    """What an entry is, by the list that it stands in or by its own keys, and its fields."""
    item = mapped(entry.value)
    if not item:
        return (_LISTS[entry.key], {}) if entry.number is not None and entry.key in _LISTS else (None, {})
    if item.get("type") in ("node", "relationship") and "properties" in item:
        return _exported(item)
    if entry.key in _LISTS and entry.number is not None:
        return _LISTS[entry.key], item
    if entry.key:
        return None, item
    for kind, keys in (("fact", {"fact"}), ("thread", {"messages"}), ("message", {"content", "role"})):
        if keys <= item.keys():
            return kind, item
    if "content" in item:
        return "episode", item
    if "summary" in item and "name" in item:
        return "entity", item
    return ("thread", item) if "thread_id" in item else (None, item)


def _exported(line: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    """A line of apoc.export.json: its properties, with the uuids of both ends of a relationship."""
    labels = [text_of(label) for label in listed(line.get("labels"))] + [text_of(line.get("label"))]
    kind = next((_LABELS[label] for label in labels if label in _LABELS), None)
    item = dict(mapped(line.get("properties")))
    for key, end in (("source_node_uuid", "start"), ("target_node_uuid", "end")):
        uuid = mapped(mapped(line.get(end)).get("properties")).get("uuid")
        if uuid is not None:
            item.setdefault(key, uuid)
    more = {key: value for key, value in item.items() if not _PROPERTY.fullmatch(key)}
    return kind or "tie", {**item, "attributes": more}


def _learn(source: Source, file: str, names: dict[str, str]) -> dict[str, Any]:
    """Take the names of the entities of a file, by their uuids; gives what it says beside its lists."""
    around: dict[str, Any] = {"file": stem(file)}
    for entry in entries(source, file):
        kind, item = _kind(entry)
        uuid, name = _uuid(item), text_of(item.get("name"))
        if kind == "entity" and uuid and name and len(names) < _MOST_NAMES:
            names[uuid] = name
        elif entry.number is None and text_of(entry.value) and len(around) < _MOST_FIELDS:
            around[entry.key] = entry.value
    return around


def _uuid(item: Mapping[str, Any]) -> str:
    return text_of(item.get("uuid")) or text_of(item.get("uuid_"))


@dataclass(frozen=True)
class _Item:
    """One object of a file, and what the file says around it."""

    place: str
    item: Mapping[str, Any]
    names: Mapping[str, str]
    around: Mapping[str, Any]
    ids: Ids

    def read(self, kind: str) -> Iterator[Incoming | Skipped]:
        if kind == "thread":
            yield from self._thread()
        elif kind == "tie":
            yield Skipped(self.place, "only ties one thing to another")
        elif not self.item:
            yield Skipped(self.place, "is no object", lost=True)
        else:
            yield {
                "fact": self._fact,
                "entity": self._entity,
                "community": self._summary,
                "episode": self._episode,
                "message": self._message,
            }[kind]()

    def _thread(self) -> Iterator[Incoming | Skipped]:
        messages = listed(self.item.get("messages"))
        if not messages:
            yield Skipped(self.place, "a thread without messages")
        about = {key: self.item.get(key) or self.around.get(key) for key in ("session_id", "user_id")}
        about["thread_id"] = self.item.get("thread_id") or _uuid(self.item)
        for number, message in enumerate(messages):
            place = f"{self.place}.messages[{number}]"
            yield from _Item(place, mapped(message), self.names, about, self.ids).read("message")

    def _message(self) -> Incoming | Skipped:
        """A message of a thread; its run is the file's name where nothing names the thread."""
        return self._episode(text_of(self.around.get("file")))

    def _episode(self, run: str = "") -> Incoming | Skipped:
        item = self.item
        text = text_of(item.get("content"))
        who, text = self._who(text)
        time = moment(item.get("valid_at")) or moment(item.get("created_at"))
        metadata = self._metadata("source", "source_description", "episode_metadata", "group_id")
        message = {**who, "content": text, "id": self._id(text, time)}
        run = text_of(self._around("thread_id", "session_id")) or run
        return self._made(message, time, "episode", metadata, run_id=run or None)

    def _who(self, text: str) -> tuple[dict[str, str], str]:
        """Role and name, from the fields or from a text that starts with them (`Ana: …`)."""
        item = self.item
        role = _ROLES.get(text_of(item.get("role_type")) or text_of(item.get("role")))
        name = text_of(item.get("name")) if "role" in item and "source" not in item else ""
        if "role_type" in item:
            name = text_of(item.get("role"))
        if role is not None or name:
            return {"role": role or "user", **({"name": name} if name else {})}, text
        lines = text.split("\n")
        first = opening(lines[0]) if item.get("source") == "message" else None
        if first is None or any(opening(line) for line in lines[1:]):
            return {"role": "user"}, text
        return speaker(first.name), "\n".join([first.text, *lines[1:]])

    def _entity(self) -> Incoming | Skipped:
        name, summary = text_of(self.item.get("name")), text_of(self.item.get("summary"))
        metadata = self._metadata("labels", "attributes", "group_id")
        message: dict[str, Any] = {"role": "user", "content": summary.strip() or name, "id": self._id(name)}
        if summary.strip() and name.strip():
            message["title"] = name
        created = moment(self.item.get("created_at"))
        return self._made(message, created, "entity", {**metadata, "name": name})

    def _summary(self) -> Incoming | Skipped:
        item = self.item
        name, summary = text_of(item.get("name")), text_of(item.get("summary"))
        message: dict[str, Any] = {"role": "user", "content": summary.strip() or name, "id": self._id(name)}
        if summary.strip() and name.strip():
            message["title"] = name
        created = moment(item.get("created_at"))
        metadata = self._metadata("labels", "attributes", "group_id", "thread_id", "episode_ids")
        return self._made(message, created, "summary", metadata)

    def _fact(self) -> Incoming | Skipped:
        item = self.item
        ends = [text_of(item.get(key)) for key in ("source_node_uuid", "target_node_uuid")]
        subject, object = (self.names.get(uuid, "") for uuid in ends)
        relation = text_of(item.get("name"))
        text = text_of(item.get("fact"))
        metadata = self._metadata(
            "source_node_uuid", "target_node_uuid", "episodes", "attributes", "group_id"
        )
        metadata |= {
            key: value
            for key, value in (("subject", subject), ("relation", relation), ("object", object))
            if value
        }
        message: dict[str, Any] = {"role": "user", "content": text, "id": self._id(text)}
        if subject and relation and object:
            message["triples"] = [[subject, relation, object]]
        try:
            valid = interval(item.get("valid_at"), item.get("invalid_at"))
            known = interval(item.get("created_at"), item.get("expired_at"))
        except ValueError as error:
            return Skipped(self.place, str(error), {"text": text[:80]}, lost=True)
        time = moment(item.get("valid_at")) or moment(item.get("created_at"))
        return self._made(message, time, "fact", metadata, valid=valid, known=known)

    def _made(
        self, message: dict[str, Any], time: str | None, kind: str, metadata: dict[str, Any], **where: Any
    ) -> Incoming | Skipped:
        """The message with its time and metadata, of the user who is named, known since it was created."""
        if time is not None:
            message["time"] = time
        if metadata:
            message["metadata"] = metadata
        created = moment(self.item.get("created_at"))
        if created is not None:
            where.setdefault("known", (created, None))
        return made(message, self.place, kind=kind, user_id=self._user(), **where)

    def _metadata(self, *keys: str) -> dict[str, Any]:
        given = dict(mapped(self.item.get("metadata")))
        fields = {key: self.item[key] for key in keys if self.item.get(key) not in (None, "", [], {})}
        return {**given, **fields}

    def _id(self, *parts: str | None) -> str:
        created = text_of(self.item.get("created_at"))
        return _uuid(self.item) or self.ids.of(*parts, created, timed=bool(created))

    def _user(self) -> str | None:
        """Whose it is: the thread's user, else the partition of the graph, where it has a name."""
        user = text_of(self._around("user_id")) or text_of(self.item.get("group_id"))
        return user if any(mark.isalnum() for mark in user) else None

    def _around(self, *keys: str) -> Any:
        values = (where.get(key) for key in keys for where in (self.item, self.around))
        return next((value for value in values if text_of(value)), None)
