"""Small made-up conversations, notes and memories in the shapes that programs write them."""

import json
from typing import Any

__all__ = [
    "ANDROID",
    "APOC",
    "GRAPH",
    "IOS",
    "LETTA",
    "LETTA_FLAT",
    "MEM0",
    "MEM0_MARKDOWN",
    "NOTES",
    "SLACK",
    "TALK",
    "THREADS",
]

TALK = """\
[2026-01-02 10:00] Ana: The kiln is hot.
It took all night.
[2026-01-02 10:01] Ben: How hot?

[2026-01-03 09:30] Ana: Cold again.
"""
"""A transcript of two sessions."""

IOS = (
    "\u200e[30/01/2026, 21:58:01] Pottery: \u200eMessages and calls are end-to-end encrypted.\n"
    "[30/01/2026, 21:58:05] Ana: The kiln is hot.\nIt took all night: 12 hours.\n"
    "\u200e[30/01/2026, 21:59:09] Ben: \u200eimage omitted\n"
    "[31/01/2026, 00:01:19] ~\u202fCarl: @\u2068Ana\u2069 how hot? \u200e<This message was edited>\n"
    "\u200e[31/01/2026, 00:02:00] Ben: look at that \u200e<attached: 00000012-PHOTO-2026-01-31.jpg>\n"
    "[31/01/2026, 00:03:00] Ben: \u200eThis message was deleted.\n"
)
"""A chat as an iPhone exports it."""

ANDROID = (
    "1/2/26, 9:58\u202fPM - Messages and calls are end-to-end encrypted. Tap to learn more.\n"
    "1/2/26, 9:59\u202fPM - Ana: The kiln is hot.\n"
    "1/2/26, 9:59\u202fPM - Ana: ok\n"
    "1/2/26, 9:59\u202fPM - Ana: ok\n"
    "1/13/26, 12:05\u202fAM - Ben: IMG-20260113-WA0001.jpg (file attached)\nThe glaze\n"
    "1/13/26, 12:06\u202fAM - Ben: <Media omitted>\n"
    '1/13/26, 12:07\u202fPM - Ben changed the subject to "Kiln: hot"\n'
)
"""A chat as an Android phone in the United States exports it."""

SLACK: dict[str, Any] = {
    "users.json": [
        {"id": "U1", "name": "ana", "profile": {"display_name": "Ana", "real_name": "Ana Reis"}},
        {"id": "U2", "name": "ben", "profile": {"display_name": "", "real_name": "Ben Ito"}},
    ],
    "channels.json": [{"id": "C1", "name": "kiln", "members": ["U1", "U2"]}],
    "integration_logs.json": [],
    "kiln/2026-01-02.json": [
        {
            "type": "message",
            "subtype": "channel_join",
            "user": "U2",
            "text": "<@U2> has joined",
            "ts": "1767347000.000100",
        },
        {"type": "message", "user": "U1", "text": "Is it hot, <@U2>?", "ts": "1767348000.000200"},
        {
            "type": "message",
            "user": "U2",
            "text": "1200 &lt; 1300, see <https://kiln.example/chart|the chart> in <#C1|kiln>",
            "ts": "1767348060.000300",
            "thread_ts": "1767348000.000200",
            "edited": {"user": "U2", "ts": "1767348070.000000"},
        },
    ],
    "kiln/2026-01-03.json": [
        {
            "type": "message",
            "subtype": "bot_message",
            "bot_id": "B1",
            "username": "Thermo",
            "text": "",
            "ts": "1767434400.000100",
            "attachments": [{"title": "Kiln 1", "text": "cold", "fallback": "Kiln 1: cold"}],
        },
        {"type": "message", "user": "U9", "text": "", "ts": "1767434500.0", "files": [{"name": "glaze.png"}]},
    ],
}
"""A workspace of two people and one channel."""

NOTES = """\
---
title: Kiln notes
tags: [pottery, heat]
date: 2026-01-02
---
Before the first heading.

# Firing

Slowly at first.

```sh
# no heading
make heat
```

## Bisque

Up to 1,000 degrees.

Glaze
-----

Later.

# Empty
"""
"""A document with front matter, two kinds of headings and a heading with nothing under it."""

MEM0: dict[str, Any] = {
    "results": [
        {
            "id": "m-1",
            "memory": "Fires a kiln every winter",
            "hash": "0f",
            "metadata": {"topic": "pottery"},
            "categories": ["hobbies"],
            "created_at": "2026-01-02T10:00:00-08:00",
            "updated_at": "2026-01-05T10:00:00-08:00",
            "user_id": "ana",
            "agent_id": "helper",
            "score": 0.9,
        },
        {
            "id": "m-2",
            "memory": "Is in Porto this week",
            "created_at": "2026-01-02T10:00:00Z",
            "updated_at": None,
            "user_id": "ana",
            "expiration_date": "2026-01-09",
        },
        {"id": "m-3", "memory": "", "created_at": "2026-01-02T10:00:00Z", "user_id": "ana"},
    ],
    "relations": [{"source": "ana", "relationship": "works_with", "target": "ben"}],
}
"""What get_all() gives."""

MEM0_MARKDOWN = """\
---
id: m-1
created_at: 2026-01-02T10:00:00Z
type: preference
confidence: 0.9
files:
categories: hobbies, craft
---
Likes matt glazes.

---
id: m-2
created_at: 2026-01-03T10:00:00Z
---
Fires in winter.
"""
"""What mem0's plug-in exports."""

GRAPH: dict[str, Any] = {
    "edges": [
        {
            "uuid": "e-1",
            "name": "LIVES_IN",
            "fact": "Ana lives in Porto",
            "source_node_uuid": "n-1",
            "target_node_uuid": "n-2",
            "group_id": "ana",
            "episodes": ["p-1"],
            "created_at": "2026-01-02T10:00:00Z",
            "expired_at": "2026-03-01T00:00:00Z",
            "valid_at": "2025-05-01T00:00:00Z",
            "invalid_at": "2026-02-01T00:00:00Z",
            "fact_embedding": [0.1, 0.2],
        },
        {
            "uuid": "e-2",
            "name": "OWNS",
            "fact": "Ana owns a kiln",
            "source_node_uuid": "n-1",
            "target_node_uuid": "n-9",
            "created_at": "2026-01-02T10:00:00Z",
            "valid_at": "2026-02-01T00:00:00Z",
            "invalid_at": "2026-01-01T00:00:00Z",
        },
    ],
    "nodes": [
        {
            "uuid": "n-1",
            "name": "Ana",
            "summary": "A potter.",
            "labels": ["Person"],
            "created_at": "2026-01-02T10:00:00Z",
        },
        {"uuid": "n-2", "name": "Porto", "summary": "", "created_at": "2026-01-02T10:00:00Z"},
    ],
    "episodes": [
        {
            "uuid": "p-1",
            "content": "Ana: I moved to Porto.",
            "source": "message",
            "source_description": "chat",
            "valid_at": "2026-01-02T09:00:00Z",
            "created_at": "2026-01-02T10:00:00Z",
        },
    ],
}
"""A graph as Graphiti's models dump it, the facts before the entities that they join."""

THREADS: list[dict[str, Any]] = [
    {
        "thread_id": "t-1",
        "user_id": "ana",
        "messages": [
            {
                "uuid": "a",
                "role": "user",
                "name": "Ana",
                "content": "The kiln is hot.",
                "created_at": "2026-01-02T10:00:00Z",
            },
            {
                "uuid": "b",
                "role": "assistant",
                "content": "Take care.",
                "created_at": "2026-01-02T10:00:05Z",
            },
        ],
    }
]
"""A thread as Zep's client gives it."""

_ENTITY = {"labels": ["Entity"], "properties": {"uuid": "n-1", "name": "Ana", "summary": "A potter."}}
APOC = "\n".join(
    json.dumps(line)
    for line in (
        {"type": "node", "id": "0", **_ENTITY},
        {
            "type": "node",
            "id": "1",
            "labels": ["Entity"],
            "properties": {"uuid": "n-2", "name": "Porto", "age": 9},
        },
        {
            "type": "relationship",
            "id": "0",
            "label": "RELATES_TO",
            "properties": {"uuid": "e-1", "name": "LIVES_IN", "fact": "Ana lives in Porto"},
            "start": {"id": "0", **_ENTITY},
            "end": {"id": "1", "properties": {"uuid": "n-2"}},
        },
        {"type": "relationship", "id": "1", "label": "MENTIONS", "properties": {"uuid": "x"}},
    )
)
"""A Graphiti graph as Neo4j exports it."""


def _text(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _say(text: str) -> dict[str, Any]:
    arguments = json.dumps({"message": text})
    return {"id": "c1", "type": "function", "function": {"name": "send_message", "arguments": arguments}}


_SAID: list[dict[str, Any]] = [
    {"role": "system", "content": _text("You are an agent."), "created_at": "2026-01-02T10:00:00Z"},
    {
        "role": "user",
        "content": _text(json.dumps({"type": "login", "time": "now"})),
        "created_at": "2026-01-02T10:00:01Z",
    },
    {
        "role": "user",
        "content": _text(json.dumps({"type": "user_message", "message": "The kiln is hot."})),
        "created_at": "2026-01-02T10:00:02Z",
    },
    {
        "role": "assistant",
        "content": _text("They mean the kiln in the yard."),
        "tool_calls": [_say("Take care.")],
        "created_at": "2026-01-02T10:00:03Z",
    },
    {
        "role": "tool",
        "name": "send_message",
        "content": _text(json.dumps({"status": "OK", "message": "None"})),
        "tool_call_id": "c1",
        "created_at": "2026-01-02T10:00:04Z",
    },
    {
        "role": "tool",
        "name": "thermometer",
        "content": _text(json.dumps({"status": "OK", "message": "1200"})),
        "tool_call_id": "c2",
        "created_at": "2026-01-02T10:00:05Z",
    },
]

LETTA_FLAT: dict[str, Any] = {
    "agent_type": "memgpt_agent",
    "core_memory": [
        {"label": "human", "value": "Ana, a potter.", "limit": 5000, "created_at": "2026-01-02T10:00:00Z"},
        {"label": "persona", "value": "", "limit": 5000},
    ],
    "in_context_message_indices": [0, 1, 2],
    "messages": _SAID,
    "name": "kiln-helper",
    "system": "You are an agent.",
    "tools": [{"name": "thermometer", "source_code": "pass"}],
    "tool_exec_environment_variables": [],
    "version": "0.6",
}
"""The older Agent File, of one agent."""

LETTA: dict[str, Any] = {
    "agents": [
        {
            "id": "agent-0",
            "name": "kiln-helper",
            "agent_type": "letta_v1_agent",
            "block_ids": ["block-0", "block-1"],
            "in_context_message_ids": ["message-0"],
            "messages": [{"id": f"message-{number}", **said} for number, said in enumerate(_SAID)],
        },
        {"id": "agent-1", "name": "night-watch", "block_ids": ["block-1"], "messages": []},
    ],
    "groups": [],
    "blocks": [
        {"id": "block-0", "label": "human", "value": "Ana, a potter.", "description": "who she is"},
        {"id": "block-1", "label": "rules", "value": "Never open a hot kiln."},
    ],
    "files": [
        {"id": "file-0", "file_name": "notes.md", "content": "# Firing\n\nSlowly.\n\n# Glaze\n\nLater."},
        {"id": "file-1", "file_name": "photo.pdf", "content": None},
    ],
    "passages": [
        {
            "id": "passage-1",
            "text": "Ana fires in winter.",
            "tags": ["kiln"],
            "created_at": "2026-01-02T10:00:00Z",
        }
    ],
    "sources": [{"id": "source-0"}],
    "tools": [],
    "mcp_servers": [],
    "metadata": {"revision_id": "abc"},
}
"""The newer Agent File, of two agents that share a block."""
