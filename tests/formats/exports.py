"""Small made-up exports of each shape, as the programs write them."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engram.formats import Incoming, Skipped, Source, detect, load_format

__all__ = [
    "CLAUDE",
    "GPT",
    "archive",
    "claude_message",
    "gpt_message",
    "gpt_talk",
    "messages",
    "read",
    "skipped",
    "write",
]


def write(path: Path, content: object) -> Path:
    """A file of text, bytes or anything that becomes JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        path.write_text(text, encoding="utf-8")
    return path


def archive(path: Path, members: Mapping[str, object]) -> Path:
    """A zip of members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content if isinstance(content, str | bytes) else json.dumps(content))
    return path


def read(path: Path, format: str | None = None) -> list[Incoming | Skipped]:
    """Everything that the format, named or recognised, gives for a path."""
    with Source(path) as source:
        found = load_format(format) if format else detect(source)
        return list(found.read(source))


def messages(path: Path, format: str | None = None) -> list[Incoming]:
    """What of it are messages."""
    return [item for item in read(path, format) if isinstance(item, Incoming)]


def skipped(path: Path, format: str | None = None) -> list[tuple[str, str]]:
    """What is left out: the end of the place, and the reason."""
    return [
        (item.place.rpartition("/")[2], item.reason)
        for item in read(path, format)
        if isinstance(item, Skipped)
    ]


def gpt_message(id: str, role: str, *parts: object, **changes: Any) -> dict[str, Any]:
    """A message of ChatGPT's export; `content` and `metadata` replace what is made of the parts."""
    metadata = changes.pop("metadata", {})
    message: dict[str, Any] = {
        "id": id,
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": 1767348000.5,
        "update_time": None,
        "content": {"content_type": "text", "parts": list(parts)},
        "status": "finished_successfully",
        "end_turn": True,
        "weight": 1.0,
        "metadata": {"model_slug": "gpt-9", **metadata} if role == "assistant" else metadata,
        "recipient": "all",
    }
    return {**message, **changes}


def gpt_talk(nodes: dict[str, tuple[str | None, Any]], **changes: Any) -> dict[str, Any]:
    """A conversation of ChatGPT's export from ids, each with its parent and its message."""
    mapping = {
        id: {
            "id": id,
            "message": message,
            "parent": parent,
            "children": [child for child, (above, _) in nodes.items() if above == id],
        }
        for id, (parent, message) in nodes.items()
    }
    talk: dict[str, Any] = {
        "title": "Plums",
        "create_time": 1767347999.0,
        "update_time": 1767348100.0,
        "mapping": mapping,
        "moderation_results": [],
        "current_node": next(reversed(nodes), None),
        "conversation_id": "talk-1",
        "default_model_slug": "gpt-8",
        "gizmo_id": None,
        "id": "talk-1",
    }
    return {**talk, **changes}


GPT: list[dict[str, Any]] = [
    gpt_talk(
        {
            "root": (None, None),
            "sys": (
                "root",
                gpt_message("sys", "system", "", metadata={"is_visually_hidden_from_conversation": True}),
            ),
            "ask": ("sys", gpt_message("ask", "user", "Which plum keeps best?")),
            "old": ("ask", gpt_message("old", "assistant", "None of them.")),
            "new": (
                "ask",
                gpt_message("new", "assistant", "Quetsch — it dries well.", create_time=1767348010),
            ),
            "end": ("new", gpt_message("end", "user", "Thank you! 🍑", create_time=None)),
        }
    ),
    gpt_talk({"only": (None, gpt_message("only", "user", "Hello."))}, title=None, conversation_id="talk-2"),
]
"""Two conversations, one with an answer that was regenerated."""


def claude_message(id: str, sender: str, text: str, **changes: Any) -> dict[str, Any]:
    """A message of Claude's export."""
    message: dict[str, Any] = {
        "uuid": id,
        "text": text,
        "content": [{"type": "text", "text": text, "citations": []}] if text else [],
        "sender": sender,
        "created_at": "2026-01-02T10:00:00.000000Z",
        "updated_at": "2026-01-02T10:00:00.000000Z",
        "attachments": [],
        "files": [],
    }
    return {**message, **changes}


CLAUDE: list[dict[str, Any]] = [
    {
        "uuid": "talk-1",
        "name": "Kiln",
        "summary": "",
        "created_at": "2026-01-02T10:00:00.000000Z",
        "updated_at": "2026-01-02T10:05:00.000000Z",
        "account": {"uuid": "account-1"},
        "chat_messages": [
            claude_message("m1", "human", "How hot is a kiln?"),
            claude_message("m2", "assistant", "About 1,200 °C for stoneware."),
        ],
    }
]
"""One conversation."""
