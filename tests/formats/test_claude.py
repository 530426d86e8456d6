"""Claude's export: messages, documents, memories, and the branch that is current."""

import json
from pathlib import Path
from typing import Any

import pytest

from engram.formats import Source, detect
from engram.kernel.errors import InvalidInput
from formats.exports import CLAUDE, archive, claude_message, messages, read, skipped, write

ROOT = "00000000-0000-4000-8000-000000000000"


def talk(*said: Any, **changes: Any) -> list[dict[str, Any]]:
    """An export of one conversation."""
    return [{**CLAUDE[0], "chat_messages": list(said), **changes}]


def given(path: Path) -> list[tuple[Any, ...]]:
    """Kind, role and text of what is read."""
    return [(item.kind, item.message["role"], item.message["content"]) for item in messages(path, "claude")]


@pytest.mark.parametrize("shape", ["zip", "folder", "file", "numbered", "renamed", "one"])
def test_every_shape_of_the_export_gives_the_same(tmp_path: Path, shape: str) -> None:
    users = [{"uuid": "account-1", "full_name": "Ada", "email_address": "ada@example.com"}]
    match shape:
        case "zip":
            path = archive(tmp_path / "a.zip", {"conversations.json": CLAUDE, "users.json": users})
        case "numbered":
            path = archive(tmp_path / "a.zip", {"data/conversations-000.json": CLAUDE})
        case "folder":
            path = write(tmp_path / "x" / "conversations.json", CLAUDE).parent
            write(path / "users.json", users)
        case "file":
            path = write(tmp_path / "conversations.json", json.dumps(CLAUDE, indent=1))
        case "renamed":
            path = write(tmp_path / "chats.json", CLAUDE)
        case _:
            path = write(tmp_path / "kiln.json", CLAUDE[0])
    with Source(path) as source:
        assert detect(source).name == "claude"
    assert given(path) == [
        ("episode", "user", "How hot is a kiln?"),
        ("episode", "assistant", "About 1,200 °C for stoneware."),
    ]
    first = messages(path)[0]
    assert (first.run_id, first.message["id"]) == ("talk-1", "m1")
    assert first.message["time"] == "2026-01-02T10:00:00.000000Z"
    assert first.message["metadata"] == {"title": "Kiln", "conversation": "talk-1"}
    assert skipped(path) == []


def test_text_is_what_the_parts_say_and_the_rest_is_named(tmp_path: Path) -> None:
    parts = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "First."},
        {"type": "tool_use", "name": "web_search", "input": {"query": "kiln"}},
        {"type": "tool_result", "name": "web_search", "content": [{"type": "text", "text": "page"}]},
        {"type": "text", "text": "Second."},
    ]
    path = write(
        tmp_path / "a.json",
        talk(
            claude_message("m1", "human", "old export", content=[], files=[{"file_name": "kiln.png"}]),
            claude_message("m2", "assistant", "First.\n\nThis block is not supported.", content=parts),
            claude_message("m3", "assistant", "", content=parts[:1]),
            claude_message("m4", "human", ""),
            claude_message("m5", "robot", "x"),
            7,
        ),
    )
    assert given(path)[:2] == [
        ("episode", "user", "old export"),
        ("episode", "assistant", "First.\n\nSecond."),
    ]
    said = messages(path)
    assert said[0].message["metadata"]["files"] == ["kiln.png"]
    assert said[1].message["metadata"]["left_out"] == ["thinking", "tool_result", "tool_use"]
    assert skipped(path) == [
        ("a.json: [0].chat_messages[2]", "no text: thinking"),
        ("a.json: [0].chat_messages[3]", "no text"),
        ("a.json: [0].chat_messages[4]", "sender 'robot' is unknown"),
        ("a.json: [0].chat_messages[5]", "sender '' is unknown"),
    ]


def test_attachments_and_artifacts_are_resources_cut_at_headings(tmp_path: Path) -> None:
    text = "Preface.\n\n# Firing\n\nSlowly.\n\n# Cooling\n\nEven more slowly."
    attached = {"file_name": "kiln.md", "file_type": "md", "extracted_content": text}
    artifact = {
        "type": "tool_use",
        "name": "artifacts",
        "input": {"command": "create", "title": "Plan", "content": "Buy clay."},
    }
    path = write(
        tmp_path / "a.json",
        talk(
            claude_message("m1", "human", "Read this.", attachments=[attached, {"file_name": "photo.png"}]),
            claude_message("m2", "assistant", "", content=[{"type": "text", "text": "Done."}, artifact]),
        ),
    )
    assert given(path) == [
        ("episode", "user", "Read this."),
        ("resource", "user", "Preface."),
        ("resource", "user", "Slowly."),
        ("resource", "user", "Even more slowly."),
        ("episode", "assistant", "Done."),
        ("resource", "user", "Buy clay."),
    ]
    said = messages(path)
    assert said[0].message["metadata"]["files"] == ["kiln.md", "photo.png"]
    assert [item.message.get("title") for item in said[1:4]] == [
        "kiln.md",
        "kiln.md > Firing",
        "kiln.md > Cooling",
    ]
    assert said[2].place == f"{path}: [0].chat_messages[0].attachments[0]:5"
    assert said[5].message["metadata"]["made_by"] == "assistant"
    assert len({item.message["id"] for item in said}) == len(said)
    assert {item.run_id for item in said} == {"talk-1"}


def tree(**parents: str | None) -> list[dict[str, Any]]:
    return [claude_message(id, "human", id, parent_message_uuid=parent) for id, parent in parents.items()]


TREES: list[tuple[list[dict[str, Any]], str | None, list[str], str | None]] = [
    (tree(a=ROOT, b="a", c="a", d="c"), None, ["a", "c", "d"], None),
    (tree(a=ROOT, b="a", c="a", d="c"), "b", ["a", "b"], None),
    (tree(a=ROOT, b="a", c="a"), "gone", ["a", "c"], None),
    (tree(a=None, b=None), None, ["a", "b"], None),
    (tree(a="lost", b="a"), None, ["a", "b"], "the message before is missing (lost)"),
    (tree(a="b", b="a"), None, ["a", "b"], "its messages stand in a circle"),
    (tree(a="a"), None, ["a"], "its messages stand in a circle"),
    ([], None, [], None),
]


@pytest.mark.parametrize("said, leaf, ids, wrong", TREES)
def test_the_current_branch_is_found_in_any_tree(
    tmp_path: Path, said: list[dict[str, Any]], leaf: str | None, ids: list[str], wrong: str | None
) -> None:
    path = write(tmp_path / "a.json", talk(*said, current_leaf_message_uuid=leaf))
    assert [item.message["id"] for item in messages(path, "claude")] == ids
    reasons = [reason for _, reason in skipped(path, "claude")]
    assert reasons.count("on a branch that was left") == len(said) - len(ids)
    assert [reason for reason in reasons if not reason.startswith("on a branch")] == (
        [reasons[0]] if wrong else []
    )
    assert reasons[:1] == [] or reasons[0].startswith(wrong or "on a branch")


PROJECTS: list[dict[str, Any]] = [
    {
        "uuid": "project-1",
        "name": "Pottery",
        "description": "",
        "is_private": True,
        "is_starter_project": False,
        "prompt_template": "Answer like a potter.",
        "created_at": "2026-01-01T09:00:00Z",
        "updated_at": "2026-01-01T09:00:00Z",
        "creator": {"uuid": "account-1", "full_name": "Ada"},
        "docs": [
            {
                "uuid": "doc-1",
                "filename": "glaze.md",
                "content": "# Red\n\nIron.",
                "created_at": "2026-01-01T10:00:00Z",
            }
        ],
    },
    {
        "uuid": "project-2",
        "name": "How to use",
        "is_starter_project": True,
        "prompt_template": "",
        "docs": [],
    },
]
MEMORIES = [
    {
        "conversations_memory": "**Work**\n\nAda is a potter.",
        "project_memories": {"project-1": "The red glaze runs."},
        "account_uuid": "account-1",
    }
]


@pytest.mark.parametrize("apart", [True, False])
def test_projects_and_memories_are_resources(tmp_path: Path, apart: bool) -> None:
    files: dict[str, Any] = {"conversations.json": CLAUDE, "users.json": []}
    if apart:
        files |= {f"projects/{project['uuid']}.json": project for project in PROJECTS}
        files |= {"memories/account-1.json": MEMORIES[0]}
    else:
        files |= {"projects.json": PROJECTS, "memories.json": MEMORIES}
    path = archive(tmp_path / "a.zip", files)
    said = [
        (item.run_id, item.message.get("title"), item.message["content"], item.message.get("time"))
        for item in messages(path)
        if item.kind == "resource"
    ]
    assert said == [
        ("project-1", "Instructions of Pottery", "Answer like a potter.", "2026-01-01T09:00:00Z"),
        ("project-1", "glaze.md > Red", "Iron.", "2026-01-01T10:00:00Z"),
        ("conversations", "What Claude remembers", "**Work**\n\nAda is a potter.", None),
        ("project-1", "What Claude remembers", "The red glaze runs.", None),
    ]
    (left,) = skipped(path)
    assert left[1] == "a starter project: it is the same for everybody"


@pytest.mark.parametrize("content", [PROJECTS, MEMORIES])
def test_one_of_the_files_alone_is_recognised(tmp_path: Path, content: Any) -> None:
    path = write(tmp_path / "some.json", content)
    assert {item.kind for item in messages(path)} == {"resource"}


def test_what_is_no_conversation_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [7, None, [], {}, {"chat_messages": {}}, *CLAUDE])
    assert [reason for _, reason in skipped(path, "claude")] == [
        "no conversation: it has no chat_messages"
    ] * 5
    assert len(messages(path, "claude")) == 2


def test_an_empty_export_is_recognised_by_the_users_beside(tmp_path: Path) -> None:
    assert read(archive(tmp_path / "a.zip", {"conversations.json": "[]", "users.json": "[]"})) == []


def test_a_damaged_export_is_refused_by_member_and_line(tmp_path: Path) -> None:
    text = json.dumps(CLAUDE, indent=1).replace('"sender": "assistant",', '"sender": "assistant"')
    path = archive(tmp_path / "a.zip", {"conversations.json": text})
    with pytest.raises(InvalidInput, match=r"a\.zip/conversations\.json:\d\d: not JSON"):
        read(path)
