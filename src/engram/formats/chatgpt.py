"""ChatGPT's data export."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engram.formats.base import Incoming, Skipped
from engram.formats.making import digest, made, moment
from engram.formats.shapes import branch, found, listed, mapped, opening, text_of, values, without_nothing
from engram.formats.source import Source

__all__ = ["ChatGPT"]

_FILES: Final = re.compile(r"conversations(-\d+)?\.json(\.gz)?")
_COMPANIONS: Final = re.compile(r"chat\.html|user\.json|message_feedback\.json")
_TREE: Final = re.compile(r'"mapping"\s*:\s*\{')
_EMPTY: Final = re.compile(r"\s*\[\s*\]\s*")
_ROLES: Final = ("user", "assistant", "system", "tool")
_MARK: Final = re.compile("\ue200([^\ue200\ue201]*)\ue201")
_OWN: Final = {
    "thoughts": "the model's thinking",
    "reasoning_recap": "the model's thinking",
    "model_editable_context": "what ChatGPT told the model",
    "tether_browsing_display": "a page that was read",
    "tether_browsing_code": "a page that was read",
    "tether_quote": "a page that was read",
    "sonic_webpage": "a page that was read",
    "system_error": "an error of a tool",
    "computer_output": "what a tool gave back",
}
"""Content that nobody said."""
_SHOWN: Final = ("all", "bio", "python", "")
"""To whom an assistant's words go that are kept: everybody, ChatGPT's memory, the code interpreter."""


class ChatGPT:
    """The data export of ChatGPT: the zip, its folder, or `conversations.json` alone (or one conversation).

    Newer exports cut it into `conversations-000.json` and so on. A conversation has `title`, `create_time`,
    `current_node` and `mapping`, a tree of nodes with `parent` and `message`; the branch that ends in
    `current_node` is the current one. The run is the conversation, a message's id its node, its time
    `create_time`. In the metadata: `title`, `conversation`, `model`, `gizmo`, names of `files`, and under
    `left_out` the parts of a message that are no text (pictures, sound).

    Read as text: `text`, `multimodal_text` with transcribed speech, `code` and `execution_output`, documents
    on the canvas as they are made, what goes into ChatGPT's memory (`bio`), and each version of the custom
    instructions once. Left out, with the reason: other branches, hidden and empty messages, thinking, pages
    that were read, calls of other tools and what they gave back.

    The shape follows public readers of such exports (convoviz, chatgpt-export-parser), as of 2026.
    """

    name = "chatgpt"
    title = "ChatGPT data exports (zip, folder or conversations.json)"

    def recognises(self, source: Source) -> bool:
        """Whether a file of conversations holds a tree, or holds nothing beside ChatGPT's other files."""
        for name in _files(source):
            start = opening(source, name)
            if _TREE.search(start) or (_EMPTY.fullmatch(start) and found(source, _COMPANIONS)):
                return True
        return False

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """The messages of the current branches. Raises `InvalidInput` for what is not JSON."""
        names = _files(source)
        source.expect(names)
        instructions: set[str] = set()
        for name in names:
            for place, conversation in values(source, name):
                yield from _conversation(conversation, place, instructions)


def _files(source: Source) -> list[str]:
    alone = not source.is_folder and not source.is_archive
    return list(source.names) if alone else found(source, _FILES)


@dataclass
class _Talk:
    """What the messages of a conversation share, and the time that was seen last."""

    id: str
    metadata: Mapping[str, Any]
    model: str
    instructions: set[str]
    time: str | None


def _conversation(value: Any, place: str, instructions: set[str]) -> Iterator[Incoming | Skipped]:
    whole = mapped(value)
    nodes = whole.get("mapping")
    if not isinstance(nodes, dict):
        yield Skipped(place, "no conversation: it has no mapping", lost=True)
        return
    talk = _Talk(
        id=text_of(whole.get("conversation_id")) or text_of(whole.get("id")) or digest(*sorted(nodes)),
        metadata=without_nothing(title=text_of(whole.get("title")), gizmo=text_of(whole.get("gizmo_id"))),
        model=text_of(whole.get("default_model_slug")),
        instructions=instructions,
        time=moment(whole.get("create_time")),
    )
    ids, wrong = branch(_parents(nodes), _leaf(whole, nodes))
    if wrong:
        yield Skipped(place, wrong)
    for id in ids:
        if mapped(nodes[id]).get("message") is not None:
            yield _message(id, nodes[id]["message"], f"{place}.mapping.{id:.80}", talk)
    current = set(ids)
    for id, node in nodes.items():
        if id not in current and mapped(mapped(node).get("message")):
            yield Skipped(f"{place}.mapping.{id:.80}", "on a branch that was left")


def _parents(nodes: Mapping[str, Any]) -> dict[str, str | None]:
    return {id: text_of(mapped(node).get("parent")) or None for id, node in nodes.items()}


def _leaf(whole: Mapping[str, Any], nodes: Mapping[str, Any]) -> str:
    """The node in which the current branch ends; where the export does not say, the one written last."""
    current = text_of(whole.get("current_node"))
    if current in nodes:
        return current
    inner = {parent for parent in _parents(nodes).values() if parent is not None}

    def written(id: str) -> float:
        time = mapped(mapped(nodes[id]).get("message")).get("create_time")
        return time if isinstance(time, int | float) else 0.0

    leaves = [id for id in nodes if id not in inner] or list(nodes)
    return max(reversed(leaves), key=written, default="")


def _message(id: str, value: Any, place: str, talk: _Talk) -> Incoming | Skipped:
    message = mapped(value)
    content, more = mapped(message.get("content")), mapped(message.get("metadata"))
    author, to = mapped(message.get("author")), text_of(message.get("recipient"))
    role = text_of(author.get("role"))
    talk.time = moment(message.get("create_time")) or talk.time
    if content.get("content_type") == "user_editable_context":
        return _instructions(content, more, place, talk)
    said, title, left_out = _said(content), "", _left_out(content)
    if role == "assistant" and to.startswith("canmore."):
        title, said = _canvas(said)
    reason = _unwanted(content, more, role, "all" if title else to)
    if reason is None and not said.strip():
        reason = f"no text: {', '.join(left_out)}" if left_out else "no text"
    if reason is not None:
        return Skipped(place, reason, lost=role not in _ROLES)
    files = [text_of(mapped(file).get("name")) for file in listed(more.get("attachments"))]
    metadata = without_nothing(
        conversation=talk.id,
        **talk.metadata,
        model=text_of(more.get("model_slug")) or (talk.model if role == "assistant" else ""),
        to="" if to == "all" else to,
        files=list(filter(None, files)),
        left_out=left_out,
    )
    whole = {"role": role, "content": said, "id": id, "metadata": metadata}
    whole |= without_nothing(name=text_of(author.get("name")).strip(), time=talk.time, title=title)
    return made(whole, place, run_id=talk.id)


def _unwanted(content: Mapping[str, Any], more: Mapping[str, Any], role: str, to: str) -> str | None:
    """Why a message is left out, whatever it says."""
    kind = text_of(content.get("content_type"))
    if more.get("is_visually_hidden_from_conversation"):
        return "hidden in ChatGPT"
    if kind in _OWN:
        return _OWN[kind]
    if role not in _ROLES:
        return f"role {role[:40]!r} is unknown"
    if role == "tool" and kind != "execution_output":
        return "what a tool gave back"
    if role == "assistant" and to not in _SHOWN:
        return f"a call of {to.partition('.')[0][:40]}"
    return None


def _said(content: Mapping[str, Any]) -> str:
    """The words of a message."""
    if "parts" not in content:
        return _MARK.sub(_mark, text_of(content.get("text")))
    parts = (
        part if isinstance(part, str) else text_of(mapped(part).get("text"))
        for part in listed(content["parts"])
    )
    return _MARK.sub(_mark, "\n".join(part for part in parts if part))


def _left_out(content: Mapping[str, Any]) -> list[str]:
    """The kinds of parts that hold no text, such as `image_asset_pointer`."""
    parts = [mapped(part) for part in listed(content.get("parts"))]
    return sorted(
        {text_of(part.get("content_type")) for part in parts if part and not part.get("text")} - {""}
    )


def _mark(match: re.Match[str]) -> str:
    """What ChatGPT shows in place of a mark: a thing's name, a link's title, and nothing of a citation."""
    kind, _, rest = match[1].partition("\ue202")
    if kind == "url":
        return rest.partition("\ue202")[0]
    if kind.startswith("entity"):
        try:
            names = json.loads(rest or kind.removeprefix("entity"))
        except (ValueError, RecursionError):
            return ""
        return text_of(names[1]) if isinstance(names, list) and len(names) > 1 else ""
    return ""


def _canvas(call: str) -> tuple[str, str]:
    """Title and text of a document that is written with this call; nothing where it only changes one."""
    try:
        document = mapped(json.loads(call))
    except (ValueError, RecursionError):
        return "", ""
    return text_of(document.get("name")), text_of(document.get("content"))


def _instructions(
    content: Mapping[str, Any], more: Mapping[str, Any], place: str, talk: _Talk
) -> Incoming | Skipped:
    """The custom instructions, which stand in every conversation, when they are new."""
    told = mapped(more.get("user_context_message_data"))
    about = text_of(told.get("about_user_message")) or text_of(content.get("user_profile"))
    manner = text_of(told.get("about_model_message")) or text_of(content.get("user_instructions"))
    said = "\n\n".join(part for part in (about, manner) if part.strip())
    if not said:
        return Skipped(place, "no text")
    key = digest(said)
    if key in talk.instructions:
        return Skipped(place, "custom instructions that were there before")
    talk.instructions.add(key)
    whole = {"role": "user", "content": said, "id": key, "metadata": {"title": "Custom instructions"}}
    whole |= without_nothing(time=talk.time)
    return made(whole, place, run_id="custom instructions")
