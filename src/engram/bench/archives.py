"""Made-up data exports in the shape of ChatGPT's, of any size, written as they are made."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from engram.bench import texts
from engram.kernel.clock import parse_time

__all__ = ["chats", "write_export"]

TURNS = 20
_MEMBER = "conversations.json"
_encode = json.JSONEncoder(ensure_ascii=False).encode


def chats(count: int, *, start: int = 0, turns: int = TURNS, repeat: int = 1) -> Iterator[dict[str, Any]]:
    """Conversations that together have `count` turns, `turns` each; a text is said `repeat` times over.

    Without `turns` (0) it is one long conversation, whatever the `start`. The same number is always the
    same turn.
    """
    said = texts.turns(count, start=start)
    first = start
    while block := list(islice(said, turns or count)):
        name = f"chat-{first // turns}" if turns else "chat"
        yield _chat(name, block, first, repeat)
        first += len(block)


def write_export(path: Path, conversations: Iterable[Mapping[str, Any]], *, compressed: bool = True) -> None:
    """Write them as an export: `conversations.json`, in a zip where the path ends in `.zip`."""
    if path.suffix != ".zip":
        with path.open("w", encoding="utf-8") as file:
            file.writelines(_lines(conversations))
        return
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with (
        zipfile.ZipFile(path, "w", method, compresslevel=1) as archive,
        archive.open(_MEMBER, "w", force_zip64=True) as member,
        io.TextIOWrapper(member, encoding="utf-8") as text,
    ):
        text.writelines(_lines(conversations))


def _lines(conversations: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    before = "["
    for conversation in conversations:
        yield f"{before}{_encode(conversation)}"
        before = ",\n"
    yield "]" if before != "[" else "[]"


def _chat(name: str, block: Sequence[Mapping[str, Any]], first: int, repeat: int) -> dict[str, Any]:
    """One conversation: a chain of nodes behind an empty root."""
    times = [parse_time(turn["time"])[0].timestamp() for turn in block]
    nodes = [f"{name}-{first + place}" for place in range(len(block))]
    root = f"{name}-root"
    mapping: dict[str, Any] = {root: {"id": root, "message": None, "parent": None, "children": nodes[:1]}}
    for place, (node, turn) in enumerate(zip(nodes, block, strict=True)):
        message = {
            "id": node,
            "author": {"role": "assistant" if (first + place) % 2 else "user"},
            "create_time": times[place],
            "content": {"content_type": "text", "parts": [" ".join([turn["content"]] * repeat)]},
            "status": "finished_successfully",
            "recipient": "all",
        }
        mapping[node] = {
            "id": node,
            "message": message,
            "parent": nodes[place - 1] if place else root,
            "children": nodes[place + 1 : place + 2],
        }
    return {
        "title": name,
        "conversation_id": name,
        "create_time": times[0],
        "update_time": times[-1],
        "mapping": mapping,
        "current_node": nodes[-1],
    }
