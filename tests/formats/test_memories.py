"""Memories of other systems: mem0, Zep and Graphiti, Letta."""

from pathlib import Path
from typing import Any

import pytest

from engram.kernel.errors import InvalidInput
from formats.exports import archive, messages, read, skipped, write
from formats.samples import APOC, GRAPH, LETTA, LETTA_FLAT, MEM0, MEM0_MARKDOWN, THREADS

# mem0 ---------------------------------------------------------------------------------------------


def test_what_mem0_remembers(tmp_path: Path) -> None:
    path = write(tmp_path / "memories.json", MEM0)
    first, second, relation = messages(path)
    assert (first.kind, first.user_id, first.agent_id, first.run_id) == ("fact", "ana", "helper", None)
    assert first.message == {
        "role": "user",
        "content": "Fires a kiln every winter",
        "id": "m-1",
        "time": "2026-01-02T10:00:00-08:00",
        "metadata": {"topic": "pottery", "categories": ["hobbies"]},
    }
    assert (first.known, first.valid) == (("2026-01-05T10:00:00-08:00", None), None)
    assert second.valid == ("2026-01-02T10:00:00Z", "2026-01-10")
    assert second.known == ("2026-01-02T10:00:00Z", None)
    assert (relation.message["content"], relation.message["triples"], relation.user_id) == (
        "ana works with ben",
        [["ana", "works with", "ben"]],
        "ana",
    )
    assert skipped(path) == [("memories.json: results[2]", "no text")]


@pytest.mark.parametrize("shape", ["list", "memories", "lines", "points", "page"])
def test_other_shapes_of_mem0(tmp_path: Path, shape: str) -> None:
    memory = {"id": "m-1", "memory": "Likes clay", "session_id": "s-1"}
    content: Any = {
        "list": [memory],
        "memories": {"memories": [{"id": "m-1", "content": "Likes clay", "session_id": "s-1"}], "total": 1},
        "lines": '{"id": "m-1", "memory": "Likes clay", "run_id": "s-1"}\n',
        "points": [{"id": "m-1", "payload": {"data": "Likes clay", "hash": "0f", "run_id": "s-1"}}],
        "page": {"count": 9, "next": "https://api.example/2", "previous": None, "results": [memory]},
    }[shape]
    path = write(tmp_path / ("m.jsonl" if shape == "lines" else "m.json"), content)
    (found,) = messages(path, "mem0")
    assert (found.message["id"], found.message["content"], found.run_id) == ("m-1", "Likes clay", "s-1")
    notes = [reason for _, reason in skipped(path, "mem0")]
    assert notes == (
        ["note: this is one page of 9 memories; export the others as well"] if shape == "page" else []
    )


def test_what_mem0s_plugin_exports(tmp_path: Path) -> None:
    path = write(tmp_path / "mem0-export-kiln-2026-01-05.md", MEM0_MARKDOWN)
    first, second = messages(path)
    assert first.message == {
        "role": "user",
        "content": "Likes matt glazes.",
        "id": "m-1",
        "time": "2026-01-02T10:00:00Z",
        "metadata": {"type": "preference", "confidence": "0.9", "categories": ["hobbies", "craft"]},
    }
    assert (second.message["id"], second.place) == ("m-2", f"{path}:11")


@pytest.mark.parametrize(
    ("memory", "reason"),
    [
        (
            {
                "id": "m",
                "memory": "a",
                "replaced_by": "n",
                "created_at": "2026-01-02",
                "updated_at": "2026-01-01",
            },
            "ends",
        ),
        ({"id": "m", "memory": "a", "created_at": "2026-01-02", "expiration_date": "2025-01-01"}, "ends"),
        (
            {"memory_id": "m", "id": "h", "old_memory": "a", "new_memory": "b"},
            "an entry of a memory's history",
        ),
        ({"id": "m", "memory": None}, "no text"),
        ("text", "is no object but str"),
    ],
)
def test_what_of_mem0_is_left_out(tmp_path: Path, memory: object, reason: str) -> None:
    (left,) = skipped(write(tmp_path / "m.json", [memory]), "mem0")
    assert left[1].startswith(reason)


def test_an_export_with_a_schema_of_ones_own_has_no_memories(tmp_path: Path) -> None:
    path = write(tmp_path / "profile.json", {"full_name": "Ana Reis", "skills": ["glaze"]})
    with pytest.raises(InvalidInput, match=r"no memories are in it; give the JSON of get_all\(\)"):
        read(path, "mem0")
    assert read(write(tmp_path / "none.json", {"results": []}), "mem0") == []


# Zep and Graphiti ---------------------------------------------------------------------------------


def test_a_graph(tmp_path: Path) -> None:
    path = write(tmp_path / "graph.json", GRAPH)
    fact, ana, porto, episode = messages(path)
    assert [item.kind for item in (fact, ana, porto, episode)] == ["fact", "entity", "entity", "episode"]
    assert (fact.user_id, fact.message["id"], fact.message["content"]) == ("ana", "e-1", "Ana lives in Porto")
    assert fact.message["triples"] == [["Ana", "LIVES_IN", "Porto"]]
    assert fact.message["metadata"] == {
        "source_node_uuid": "n-1",
        "target_node_uuid": "n-2",
        "episodes": ["p-1"],
        "group_id": "ana",
        "subject": "Ana",
        "relation": "LIVES_IN",
        "object": "Porto",
    }
    assert fact.valid == ("2025-05-01T00:00:00Z", "2026-02-01T00:00:00Z")
    assert fact.known == ("2026-01-02T10:00:00Z", "2026-03-01T00:00:00Z")
    assert (ana.message["title"], ana.message["content"]) == ("Ana", "A potter.")
    assert ana.message["metadata"] == {"labels": ["Person"], "name": "Ana"}
    assert (porto.message.get("title"), porto.message["content"]) == (None, "Porto")
    assert episode.message == {
        "role": "user",
        "name": "Ana",
        "content": "I moved to Porto.",
        "id": "p-1",
        "time": "2026-01-02T09:00:00Z",
        "metadata": {"source": "message", "source_description": "chat"},
    }
    assert episode.known == ("2026-01-02T10:00:00Z", None)
    (left,) = skipped(path)
    assert left[1].startswith("ends (2026-01-01T00:00:00Z) before it starts")


def test_threads(tmp_path: Path) -> None:
    for content in (THREADS, THREADS[0], {"threads": THREADS}):
        found = messages(write(tmp_path / "threads.json", content))
        assert [(item.run_id, item.user_id, item.message["id"], item.message["role"]) for item in found] == [
            ("t-1", "ana", "a", "user"),
            ("t-1", "ana", "b", "assistant"),
        ]
        assert found[0].message["name"] == "Ana"
    page = {"messages": THREADS[0]["messages"], "row_count": 2, "user_id": "ana"}
    found = messages(archive(tmp_path / "zep.zip", {"threads/t-7.json": page}))
    assert {(item.run_id, item.user_id) for item in found} == {("threads/t-7", "ana")}


def test_a_graph_from_neo4j(tmp_path: Path) -> None:
    path = write(tmp_path / "graph.jsonl", APOC)
    ana, porto, fact = messages(path)
    assert (ana.message["content"], porto.message["metadata"]["attributes"]) == ("A potter.", {"age": 9})
    assert fact.message["triples"] == [["Ana", "LIVES_IN", "Porto"]]
    assert skipped(path) == [("graph.jsonl:4", "only ties one thing to another")]


def test_what_of_zep_is_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "z.json", {"users": [{"user_id": "ana"}], "nodes": [1], "threads": [{"thread_id": "t"}]}
    )
    assert skipped(path, "zep") == [
        ("z.json: nodes[0]", "is no object"),
        ("z.json: threads[0]", "a thread without messages"),
        ("z.json: users", "neither episodes, entities, facts nor messages"),
    ]
    with pytest.raises(InvalidInput, match="nothing of Zep or Graphiti is in it; give an object with lists"):
        read(write(tmp_path / "z.json", {"name": "Ana"}), "zep")


# Letta --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [LETTA_FLAT, LETTA], ids=["flat", "agents"])
def test_what_an_agent_was_told(tmp_path: Path, content: dict[str, Any]) -> None:
    path = write(tmp_path / "helper.af", content)
    said = [item for item in messages(path) if item.kind == "episode"]
    assert {item.agent_id for item in said} == {"kiln-helper"}
    user, agent, tool = (item.message for item in said)
    assert (user["role"], user["content"], user["time"]) == (
        "user",
        "The kiln is hot.",
        "2026-01-02T10:00:02Z",
    )
    assert (agent["role"], agent["content"]) == ("assistant", "Take care.")
    assert agent["tool_calls"][0]["function"]["name"] == "send_message"
    assert agent["metadata"] == {"thoughts": "They mean the kiln in the yard."}
    assert (tool["role"], tool["content"], tool["tool_call_id"]) == ("tool", "1200", "c2")
    reasons = [reason for _, reason in skipped(path)]
    assert {"the system prompt", "Letta's own event (login)", "a tool that returned nothing"} < set(reasons)


def test_what_an_agent_keeps_in_mind(tmp_path: Path) -> None:
    flat = [item for item in messages(write(tmp_path / "a.af", LETTA_FLAT)) if item.kind == "core"]
    newer = [item for item in messages(write(tmp_path / "b.af", LETTA)) if item.kind == "core"]
    assert [(item.agent_id, item.message["title"], item.message["content"]) for item in newer] == [
        ("kiln-helper", "human", "Ana, a potter."),
        (None, "rules", "Never open a hot kiln."),
    ]
    assert flat[0].message["id"] == newer[0].message["id"]
    assert ("a.af: core_memory[1]", "an empty block") in skipped(tmp_path / "a.af")


def test_files_and_the_archive_of_an_agent(tmp_path: Path) -> None:
    path = write(tmp_path / "a.af", LETTA)
    found = [item for item in messages(path) if item.kind in ("resource", "fact")]
    assert [(item.kind, item.message.get("title"), item.message["content"]) for item in found] == [
        ("resource", "Firing", "Slowly."),
        ("resource", "Glaze", "Later."),
        ("fact", None, "Ana fires in winter."),
    ]
    assert found[2].message["metadata"] == {"tags": ["kiln"]}
    left = dict(skipped(path))
    assert left["a.af: files[1]"] == "a file whose content is not in the Agent File"
    assert left["a.af: sources"] == "no memory of the agent"


def test_messages_that_letta_packs(tmp_path: Path) -> None:
    def user(text: str) -> dict[str, Any]:
        return {
            "role": "user",
            "content": [{"type": "text", "text": text}],
            "created_at": "2026-01-02T10:00:00Z",
        }

    summary = (
        "Note: 9 messages are hidden. The following is a summary of the previous 9 messages:\\n They talked."
    )
    content = {
        "core_memory": [],
        "agent_type": "memgpt_agent",
        "name": "a",
        "messages": [
            user('{"type": "system_alert", "message": "' + summary + '"}'),
            user('{"type": "heartbeat"}'),
            user('{"some": "json"}'),
            user("{broken"),
            {"role": "assistant", "content": [{"type": "reasoning", "reasoning": "Hm."}, {"type": "image"}]},
            {"role": "approval", "content": None},
        ],
    }
    path = write(tmp_path / "a.af", content)
    assert [(item.kind, item.message["content"]) for item in messages(path)] == [
        ("summary", "They talked."),
        ("episode", '{"some": "json"}'),
        ("episode", "{broken"),
    ]
    assert [reason for _, reason in skipped(path)] == [
        "Letta's own event (heartbeat)",
        "no text",
        "an approval of a tool's call",
    ]


def test_other_json_is_no_agent_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no Agent File: give one with agents and blocks, or"):
        read(write(tmp_path / "a.af", {"name": "a"}), "letta")
