"""Letta's Agent File (`.af`): what an agent keeps in mind, what was said, and its archive."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engram.formats.base import Incoming, Skipped
from engram.formats.cutting import sections
from engram.formats.making import Ids, made, moment, run_name
from engram.formats.peek import JSON_ENDINGS, Entry, entries, json_files, keys_at
from engram.formats.shapes import listed, mapped, text_of
from engram.formats.source import Source
from engram.formats.talk import LOOKED_AT
from engram.kernel.errors import InvalidInput

__all__ = ["Letta"]

_ENDINGS = (".af", ".af.gz", *JSON_ENDINGS)
_OLD = {"core_memory", "messages"}
_NEW = {"agents", "blocks"}
_PASSAGES = ("passages", "archival_memory", "archival_passages")
_READ = ("agents", "core_memory", "blocks", "messages", "files", *_PASSAGES)
_OTHERS = ("groups", "tools", "sources", "mcp_servers", "skills", "tool_rules", "tags")
_EVENTS = ("login", "heartbeat", "system_alert", "bootup")
_THOUGHTS = ("reasoning", "summarized_reasoning", "redacted_reasoning", "omitted_reasoning")
_SAY = "send_message"
_SUMMARY = "following is a summary of the previous "


class Letta:
    """Agent Files of Letta (MemGPT), the flat one of one agent and the newer one with lists of agents.

    The shapes are those of Letta's source: `AgentSchema` in `serialize_schemas/pydantic_agent_schema.py`
    (keys `core_memory`, `messages`, `name`), and `AgentFileSchema` in `schemas/agent_file.py` (`agents`,
    `blocks`, `files`).

    | there | here |
    |---|---|
    | core memory block | kind `core`, its label as title |
    | message of the user, the assistant or a tool | kind `episode`; tool calls stay in the message |
    | passage of the archive | kind `fact`: the agent wrote it down; one of a file, kind `resource` |
    | attached file with its content | kind `resource`, cut at headings |
    | the summary that replaced older messages | kind `summary` |

    An Agent File holds no archive today; passages are taken where somebody added what the API lists
    (`passages`). What a MemGPT agent says is the `message` of its call of `send_message`; its thoughts are
    kept as `thoughts` in the metadata, and the kinds of parts that are not (images) as `not_kept`. Packed
    user messages are unpacked. What is in the context window at the moment makes no difference.

    Agent: its name. Messages have new ids in each file, so theirs are hashes of agent, time, role and text.

    Left out, with the reason: system prompts, logins, heartbeats and alerts, what `send_message` returns,
    empty blocks; tools, sources, groups, skills and servers; environment variables and secrets.
    """

    name = "letta"
    title = "Letta Agent File (.af)"

    def recognises(self, source: Source) -> bool:
        """Whether every `.af` (or JSON) file of it starts as an Agent File does."""
        names = json_files(source, _ENDINGS)
        return bool(names) and all(_recognised(source, name) for name in names[:LOOKED_AT])

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """Blocks, messages and the rest, as they stand; each file is read twice.

        Raises `InvalidInput` for what is not JSON or no Agent File.
        """
        names = json_files(source, _ENDINGS)
        source.expect([*names, *names])
        for name in names:
            yield from _File.looked_at(source, name).read()


def _recognised(source: Source, name: str) -> bool:
    if not name.lower().endswith(_ENDINGS):
        return False
    found = keys_at(source.head(name))
    top, agent = found.get("", set()), found.get("agents.item", set())
    if name.lower().endswith((".af", ".af.gz")):
        return bool(top & (_OLD | _NEW)) or {"agent_type", "llm_config"} <= top
    agents = bool(agent & {"block_ids", "agent_type", "in_context_message_ids", "memory_blocks"})
    return {"agent_type", "core_memory"} <= top or ("agents" in top and agents)


@dataclass
class _File:
    """One Agent File: first its names and who shares which block, then what it holds."""

    source: Source
    name: str
    agents: dict[str, str] = field(default_factory=dict)
    owners: dict[str, list[str]] = field(default_factory=dict)
    known: bool = False
    ids: Ids = field(default_factory=Ids)

    @classmethod
    def looked_at(cls, source: Source, name: str) -> _File:
        file = cls(source, name)
        for entry in entries(source, name):
            file.known = file.known or entry.key in _OLD | _NEW
            if entry.key == "name":
                file.agents[""] = text_of(entry.value)
            item = mapped(entry.value)
            if entry.key == "agents" and item:
                called = text_of(item.get("name")) or text_of(item.get("id"))
                file.agents[text_of(item.get("id"))] = called
                for block in listed(item.get("block_ids")):
                    file.owners.setdefault(text_of(block), []).append(called)
        return file

    def read(self) -> Iterator[Incoming | Skipped]:
        if not self.known:
            raise InvalidInput(
                f"{self.source.place(self.name)}: no Agent File: give one with agents and blocks, or with "
                "core_memory and messages"
            )
        others: Counter[str] = Counter()
        for entry in entries(self.source, self.name):
            if entry.key in _OTHERS or "environment" in entry.key or "secret" in entry.key:
                others[entry.key] += entry.number is not None or bool(entry.value)
            elif entry.number is not None and entry.key in _READ:
                yield from self._entry(entry)
        for key, count in others.items():
            if count:
                yield Skipped(
                    f"{self.source.place(self.name)}: {key}", "no memory of the agent", {"items": count}
                )

    def _entry(self, entry: Entry) -> Iterator[Incoming | Skipped]:
        item, agent = mapped(entry.value), self.agents.get("", "")
        if not item:
            yield Skipped(entry.place, f"is no object but {type(entry.value).__name__}", lost=True)
        elif entry.key == "agents":
            yield from self._agent(item, entry.place)
        elif entry.key == "core_memory":
            yield self._block(item, [agent], entry.place)
        elif entry.key == "blocks":
            yield self._block(item, self.owners.get(text_of(item.get("id")), []), entry.place)
        elif entry.key == "messages":
            yield self._message(item, agent, entry.place)
        elif entry.key in _PASSAGES:
            owner = self.agents.get(text_of(item.get("agent_id")), agent)
            yield self._passage(item, owner, entry.place)
        elif entry.key == "files":
            yield from self._document(item, entry.place)

    def _agent(self, item: Mapping[str, Any], place: str) -> Iterator[Incoming | Skipped]:
        agent = text_of(item.get("name")) or text_of(item.get("id"))
        for key, read in (("messages", self._message), *((key, self._passage) for key in _PASSAGES)):
            for number, part in enumerate(listed(item.get(key))):
                yield read(mapped(part), agent, f"{place}.{key}[{number}]")
        for number, part in enumerate(listed(item.get("memory_blocks"))):
            yield self._block(mapped(part), [agent], f"{place}.memory_blocks[{number}]")
        if item.get("tool_exec_environment_variables") or item.get("secrets"):
            yield Skipped(place, "environment variables and secrets are not read")

    def _block(self, item: Mapping[str, Any], owners: list[str], place: str) -> Incoming | Skipped:
        label, value = text_of(item.get("label")), text_of(item.get("value"))
        if not value.strip():
            return Skipped(place, "an empty block", {"label": label})
        agent = owners[0] if len(owners) == 1 else ""
        metadata = {key: item[key] for key in ("description", "limit", "read_only") if item.get(key)}
        message: dict[str, Any] = {"role": "user", "content": value}
        message["id"] = self.ids.of("block", agent, label, timed=False)
        message["metadata"] = {"label": label, **metadata}
        if label:
            message["title"] = label
        time = moment(item.get("created_at"))
        if time is not None:
            message["time"] = time
        return made(message, place, kind="core", agent_id=agent or None)

    def _message(self, item: Mapping[str, Any], agent: str, place: str) -> Incoming | Skipped:
        said = _Said.of(item)
        if said.reason is not None:
            return Skipped(place, said.reason, {"text": said.text[:80]} if said.text else {})
        time = moment(item.get("created_at"))
        message: dict[str, Any] = {"role": said.role, "content": said.text or None}
        if said.calls:
            message["tool_calls"] = said.calls
        if said.role == "tool" and text_of(item.get("tool_call_id")):
            message["tool_call_id"] = text_of(item.get("tool_call_id"))
        calls = json.dumps(said.calls, sort_keys=True) if said.calls else None
        message["id"] = self.ids.of(agent, time, said.role, said.text, calls, timed=time is not None)
        if time is not None:
            message["time"] = time
        aside = {"thoughts": said.thoughts, "not_kept": _others(item.get("content"))}
        if any(aside.values()):
            message["metadata"] = {key: value for key, value in aside.items() if value}
        return made(message, place, agent_id=agent or None, kind=said.kind)

    def _passage(self, item: Mapping[str, Any], agent: str, place: str) -> Incoming | Skipped:
        text = text_of(item.get("text")) or text_of(item.get("content"))
        time = moment(item.get("created_at")) or moment(item.get("timestamp"))
        metadata = {key: item[key] for key in ("tags", "file_name", "file_id") if item.get(key)}
        message: dict[str, Any] = {"role": "user", "content": text}
        message["id"] = text_of(item.get("id")) or self.ids.of("passage", agent, time, text, timed=bool(time))
        message["metadata"] = {**mapped(item.get("metadata")), **metadata}
        if time is not None:
            message["time"] = time
        kind = "resource" if item.get("file_id") or item.get("file_name") else "fact"
        return made(message, place, kind=kind, agent_id=agent or None)

    def _document(self, item: Mapping[str, Any], place: str) -> Iterator[Incoming | Skipped]:
        called = text_of(item.get("file_name")) or text_of(item.get("original_file_name")) or "file"
        content = text_of(item.get("content"))
        if not content.strip():
            yield Skipped(place, "a file whose content is not in the Agent File", {"name": called})
            return
        rst = called.lower().endswith(".rst")
        for section in sections(enumerate(content.splitlines(), 1), rst=rst):
            id, part = self.ids.numbered("file", called, *section.headings)
            metadata = {"source": called, "headings": list(section.headings), "part": part}
            message = {"role": "user", "content": section.text, "id": id, "metadata": metadata}
            message["title"] = " > ".join(section.headings) or called
            yield made(message, f"{place}:{section.line}", kind="resource", run_id=run_name(called))


@dataclass
class _Said:
    """What a message of an Agent File says, to whom, and why it is left out, if it is."""

    role: str
    text: str = ""
    calls: list[Any] = field(default_factory=list)
    thoughts: str = ""
    reason: str | None = None
    kind: str = "episode"

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> _Said:
        role = text_of(item.get("role"))
        text, thoughts = _content(item.get("content"))
        packed = _packed(text)
        if role == "system":
            return cls(role, reason="the system prompt")
        if role == "user":
            return cls._of_user(text, packed)
        if role == "tool":
            result = text if packed is None else _result(packed)
            empty = text_of(item.get("name")) == _SAY or result in ("", "None")
            empty = empty or result == "Sent message successfully."
            return cls(role, result, reason="a tool that returned nothing" if empty else None)
        if role == "approval" and not item.get("tool_calls"):
            return cls(role, text, reason="an approval of a tool's call")
        if role not in ("assistant", "approval"):
            return cls(role, text, reason=f"no one's message (role {role or 'missing'})")
        return cls._of_assistant(item, text, thoughts)

    @classmethod
    def _of_user(cls, text: str, packed: Mapping[str, Any] | None) -> _Said:
        kind = text_of(packed.get("type")) if packed else ""
        if packed is not None and kind == "user_message":
            return cls("user", text_of(packed.get("message")))
        if kind in _EVENTS:
            words = text_of(mapped(packed).get("message"))
            _, mark, summary = words.partition(_SUMMARY)
            if mark and ":" in summary:
                return cls("user", summary.partition(":")[2].strip(), kind="summary")
            return cls("user", words, reason=f"Letta's own event ({kind})")
        return cls("user", text)

    @classmethod
    def _of_assistant(cls, item: Mapping[str, Any], text: str, thoughts: str) -> _Said:
        calls = [dict(call) for call in listed(item.get("tool_calls")) if isinstance(call, Mapping)]
        said = [words for words in map(_spoken, calls) if words]
        if said:
            thoughts = "\n".join(part for part in (thoughts, text) if part.strip())
            text = "\n".join(said)
        return cls("assistant", text.strip(), calls, thoughts.strip())


def _content(content: Any) -> tuple[str, str]:
    """The words of a message's parts, and the thoughts among them."""
    if isinstance(content, str):
        return content, ""
    parts = [mapped(part) for part in listed(content)]
    words = [text_of(part.get("text")) for part in parts if part.get("type") == "text"]
    words += [text_of(part.get("content")) for part in parts if part.get("type") == "tool_return"]
    thoughts = [text_of(part.get("reasoning")) for part in parts if part.get("type") in _THOUGHTS]
    return "\n".join(filter(None, words)), "\n".join(filter(None, thoughts))


def _others(content: Any) -> list[str]:
    """The kinds of parts of a message that are neither words nor thoughts, such as images."""
    kinds = {text_of(mapped(part).get("type")) or "unknown" for part in listed(content)}
    return sorted(kinds - {"text", "tool_return", "tool_call", *_THOUGHTS})


def _packed(text: str) -> Mapping[str, Any] | None:
    """The object that Letta packs a message, an event or a tool's result into; `None` where it is plain."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and ("type" in value or "status" in value) else None


def _result(packed: Mapping[str, Any]) -> str:
    result = packed.get("message")
    if result is None or isinstance(result, str):
        return result or ""
    return json.dumps(result, ensure_ascii=False)


def _spoken(call: Mapping[str, Any]) -> str:
    """What a call of `send_message` says; nothing for another tool."""
    function = mapped(call.get("function"))
    if function.get("name") != _SAY:
        return ""
    try:
        return text_of(mapped(json.loads(text_of(function.get("arguments")) or "{}")).get("message"))
    except (ValueError, RecursionError):
        return ""
