"""ChatGPT's export: the branch that is current, what is text, and what is left out and why."""

import json
from pathlib import Path
from typing import Any

import pytest

from engram import Memory
from engram.formats import Incoming, Source, detect
from engram.kernel.errors import InvalidInput
from formats.exports import GPT, archive, gpt_message, gpt_talk, messages, read, skipped, write


def said(path: Path) -> list[tuple[Any, ...]]:
    """Role, text and time of what is read."""
    return [
        (item.message["role"], item.message["content"], item.message.get("time")) for item in messages(path)
    ]


def one(tmp_path: Path, message: dict[str, Any], **changes: Any) -> list[Any]:
    """What a conversation of this one message gives."""
    return read(write(tmp_path / "one.json", [gpt_talk({"m": (None, message)}, **changes)]), "chatgpt")


@pytest.mark.parametrize("shape", ["zip", "folder", "file", "numbered", "inner", "gz", "renamed", "object"])
def test_every_shape_of_the_export_gives_the_same(tmp_path: Path, shape: str) -> None:
    others = {"user.json": {"id": "user-1"}, "chat.html": "<html>", "message_feedback.json": []}
    path = tmp_path / "export"
    match shape:
        case "zip":
            path = archive(tmp_path / "a.zip", {"conversations.json": GPT, **others})
        case "inner":
            path = archive(tmp_path / "a.zip", {"export/conversations.json": GPT, "export/x.png": b"\x89PNG"})
        case "numbered":
            path = archive(
                tmp_path / "a.zip", {f"conversations-00{n}.json": [talk] for n, talk in enumerate(GPT)}
            )
        case "folder":
            write(path / "conversations.json", GPT)
            write(path / "user.json", {})
        case "file":
            path = write(path / "conversations.json", GPT)
        case "gz":
            import gzip

            path = write(path / "conversations.json.gz", gzip.compress(json.dumps(GPT).encode()))
        case "renamed":
            path = write(tmp_path / "my chats.json", json.dumps(GPT, indent=2))
        case _:
            path = write(tmp_path / "conversations.json", {"conversations": GPT})
    with Source(path) as source:
        assert detect(source).name == "chatgpt"
    assert said(path) == [
        ("user", "Which plum keeps best?", "2026-01-02T10:00:00.500000+00:00"),
        ("assistant", "Quetsch — it dries well.", "2026-01-02T10:00:10+00:00"),
        ("user", "Thank you! 🍑", "2026-01-02T10:00:10+00:00"),
        ("user", "Hello.", "2026-01-02T10:00:00.500000+00:00"),
    ]
    assert [reason for _, reason in skipped(path)] == ["hidden in ChatGPT", "on a branch that was left"]


def test_a_message_says_where_it_comes_from(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"conversations.json": GPT})
    answer = messages(path)[1]
    assert answer.place == f"{path}/conversations.json: [0].mapping.new"
    assert (answer.run_id, answer.message["id"], answer.kind) == ("talk-1", "new", "episode")
    assert answer.message["metadata"] == {"conversation": "talk-1", "title": "Plums", "model": "gpt-9"}
    assert [item.run_id for item in messages(path)] == ["talk-1"] * 3 + ["talk-2"]


def test_a_single_conversation_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "plums.json", GPT[0])
    assert [item.message["id"] for item in messages(path)] == ["ask", "new", "end"]


KEPT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (gpt_message("m", "user", "one", "two"), {"content": "one\ntwo"}),
    (
        gpt_message(
            "m",
            "user",
            content={
                "content_type": "multimodal_text",
                "parts": [
                    {"content_type": "image_asset_pointer", "asset_pointer": "sediment://x", "width": 3},
                    "What is this?",
                    {"content_type": "audio_transcription", "text": "spoken", "direction": "in"},
                ],
            },
            metadata={"attachments": [{"name": "plum.png", "id": "f"}]},
        ),
        {
            "content": "What is this?\nspoken",
            "metadata": {
                "conversation": "talk-1",
                "title": "Plums",
                "files": ["plum.png"],
                "left_out": ["image_asset_pointer"],
            },
        },
    ),
    (
        gpt_message(
            "m",
            "assistant",
            content={"content_type": "code", "language": "python", "text": "1 + 1"},
            recipient="python",
        ),
        {"content": "1 + 1", "role": "assistant"},
    ),
    (
        gpt_message(
            "m",
            "tool",
            content={"content_type": "execution_output", "text": "2"},
            author={"role": "tool", "name": "python"},
        ),
        {"content": "2", "role": "tool", "name": "python"},
    ),
    (
        gpt_message("m", "assistant", "User dries plums every year.", recipient="bio"),
        {"content": "User dries plums every year."},
    ),
    (
        gpt_message(
            "m",
            "assistant",
            content={
                "content_type": "code",
                "text": '{"name": "Recipe", "type": "document", "content": "Dry them."}',
            },
            recipient="canmore.create_textdoc",
        ),
        {"content": "Dry them.", "title": "Recipe"},
    ),
    (
        gpt_message(
            "m",
            "assistant",
            "See \ue200url\ue202the book\ue202https://b.example\ue201 by "
            '\ue200entity\ue202["person","Ada","author"]\ue201\ue200cite\ue202turn0search1\ue201.',
        ),
        {"content": "See the book by Ada."},
    ),
    (gpt_message("m", "system", "Be brief."), {"content": "Be brief.", "role": "system"}),
    (
        gpt_message("m", "user", "early", create_time=1767348000500),
        {"time": "2026-01-02T10:00:00.500000+00:00"},
    ),
    (gpt_message("m", "user", "no time", create_time="soon"), {"time": "2026-01-02T09:59:59+00:00"}),
    (
        gpt_message("m", "user", "bare", metadata=None, recipient=None, author={"role": "user"}),
        {"content": "bare"},
    ),
    (gpt_message("m", "user", content={"content_type": "new_kind", "text": "kept"}), {"content": "kept"}),
    (gpt_message("m", "user", "x" * 3_000_000), {"content": "x" * 3_000_000}),
]


@pytest.mark.parametrize("message, wanted", KEPT)
def test_what_was_said_is_kept(tmp_path: Path, message: dict[str, Any], wanted: dict[str, Any]) -> None:
    (item,) = one(tmp_path, message)
    assert isinstance(item, Incoming)
    assert {key: item.message[key] for key in wanted} == wanted


def of(kind: str, role: str = "assistant", **content: Any) -> dict[str, Any]:
    return gpt_message("m", role, content={"content_type": kind, **content})


HIDDEN = {"is_visually_hidden_from_conversation": True}
LEFT: list[tuple[Any, str]] = [
    (gpt_message("m", "user", ""), "no text"),
    (gpt_message("m", "user", {"content_type": "audio_asset_pointer"}), "no text: audio_asset_pointer"),
    (
        gpt_message("m", "user", "x", metadata={"is_visually_hidden_from_conversation": True}),
        "hidden in ChatGPT",
    ),
    (of("thoughts", thoughts=[{"summary": "s", "content": "c"}]), "the model's thinking"),
    (of("reasoning_recap", content="Thought for 8s"), "the model's thinking"),
    (of("model_editable_context", model_set_context="x"), "what ChatGPT told the model"),
    (of("tether_browsing_display", "tool", result="page"), "a page that was read"),
    (of("tether_quote", "tool", text="page"), "a page that was read"),
    (of("sonic_webpage", "tool", text="page"), "a page that was read"),
    (of("system_error", "tool", text="error"), "an error of a tool"),
    (gpt_message("m", "tool", "Model set context updated."), "what a tool gave back"),
    (gpt_message("m", "assistant", '{"q": "plums"}', recipient="web.run"), "a call of web"),
    (gpt_message("m", "assistant", "[1]", recipient="canmore.update_textdoc"), "a call of canmore"),
    (gpt_message("m", "critic", "x"), "role 'critic' is unknown"),
    (gpt_message("m", "user", "lone \ud83d half"), "it holds a lone surrogate"),
    (gpt_message("m", "user", "a\0b"), "it holds a NUL character"),
    (gpt_message("m", "user", "é" * 6_000_000), "the text is over 10 MB"),
    (gpt_message("m", "user", content=None), "no text"),
    (gpt_message("m", "user", author="me"), "role '' is unknown"),
    (7, "role '' is unknown"),
]


@pytest.mark.parametrize("message, reason", LEFT)
def test_what_is_left_out_says_why_and_where(tmp_path: Path, message: Any, reason: str) -> None:
    path = write(tmp_path / "one.json", json.dumps([gpt_talk({"m": (None, message)})]))
    assert skipped(path, "chatgpt") == [("one.json: [0].mapping.m", reason)]


def test_custom_instructions_are_read_once_for_each_version(tmp_path: Path) -> None:
    def told(about: str) -> dict[str, Any]:
        message = of("user_editable_context", "user", user_profile="raw", user_instructions="raw")
        message["metadata"] = {
            "is_visually_hidden_from_conversation": True,
            "user_context_message_data": {"about_user_message": about, "about_model_message": "Be brief."},
        }
        return message

    talks = [
        gpt_talk({"m": (None, told(about))}, conversation_id=f"talk-{number}")
        for number, about in enumerate(["I dry plums.", "I dry plums.", "I make jam.", "I dry plums."])
    ]
    path = write(tmp_path / "conversations.json", talks)
    assert [(item.run_id, item.message["content"]) for item in messages(path)] == [
        ("custom instructions", "I dry plums.\n\nBe brief."),
        ("custom instructions", "I make jam.\n\nBe brief."),
    ]
    assert {reason for _, reason in skipped(path)} == {"custom instructions that were there before"}
    (first,) = one(
        tmp_path, of("user_editable_context", "user", user_profile="I am Ada.", user_instructions="")
    )
    assert first.message["content"] == "I am Ada."
    assert one(tmp_path, of("user_editable_context", "user"))[0].reason == "no text"


def tree(**parents: str | None) -> dict[str, tuple[str | None, dict[str, Any]]]:
    times = dict(zip(parents, range(1767348000, 1767349000), strict=False))
    return {
        id: (parent, gpt_message(id, "user", id, create_time=times[id])) for id, parent in parents.items()
    }


TREES: list[tuple[dict[str, Any], dict[str, Any], list[str], str | None]] = [
    (tree(a=None, b="a", c="b", d="a"), {"current_node": "c"}, ["a", "b", "c"], None),
    (tree(a=None, b="a", c="a"), {"current_node": None}, ["a", "c"], None),
    (tree(a=None, b="a", c="a"), {"current_node": "gone"}, ["a", "c"], None),
    (tree(a="b", b="a"), {"current_node": "b"}, ["a", "b"], "its messages stand in a circle"),
    (tree(a="a"), {"current_node": None}, ["a"], "its messages stand in a circle"),
    (tree(a="lost", b="a"), {}, ["a", "b"], "the message before is missing (lost)"),
    ({}, {"current_node": "x"}, [], None),
    ({}, {"current_node": None}, [], None),
]


@pytest.mark.parametrize("nodes, changes, ids, wrong", TREES)
def test_the_current_branch_is_found_in_any_tree(
    tmp_path: Path, nodes: dict[str, Any], changes: dict[str, Any], ids: list[str], wrong: str | None
) -> None:
    path = write(tmp_path / "a.json", [gpt_talk(nodes, **{"current_node": None, **changes})])
    assert [item.message["id"] for item in messages(path, "chatgpt")] == ids
    reasons = [reason for _, reason in skipped(path, "chatgpt") if not reason.startswith("on a branch")]
    assert len(reasons) == (wrong is not None)
    assert all(reason.startswith(wrong or "") for reason in reasons)


def test_what_is_no_conversation_is_left_out(tmp_path: Path) -> None:
    odd: list[Any] = [7, None, [], {}, {"mapping": []}, {"mapping": {"a": 7, "b": {"message": None}}}]
    path = write(tmp_path / "a.json", [*odd, GPT[1]])
    assert [reason for _, reason in skipped(path, "chatgpt")] == ["no conversation: it has no mapping"] * 5
    assert len(messages(path, "chatgpt")) == 1


def test_numbers_as_ids_are_taken_as_text(tmp_path: Path) -> None:
    talk = gpt_talk({"1": (None, gpt_message("1", "user", "x")), "2": ("1", gpt_message("2", "user", "y"))})
    talk["mapping"]["2"]["parent"] = 1
    path = write(tmp_path / "a.json", [{**talk, "current_node": 2, "conversation_id": 5, "id": None}])
    assert [(item.run_id, item.message["id"]) for item in messages(path)] == [("5", "1"), ("5", "2")]


def test_a_conversation_without_id_has_a_stable_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [{"mapping": GPT[0]["mapping"], "current_node": "new"}])
    runs = {item.run_id for item in [*messages(path), *messages(path)]}
    assert len(runs) == 1
    assert runs != {None}


def test_a_later_copy_that_has_grown_gives_the_same_ids(tmp_path: Path) -> None:
    before = messages(write(tmp_path / "a.json", GPT))
    longer = json.loads(json.dumps(GPT))
    longer[0]["mapping"]["more"] = {
        "id": "more",
        "parent": "end",
        "children": [],
        "message": gpt_message("more", "assistant", "You are welcome."),
    }
    longer[0]["current_node"] = "more"
    after = messages(write(tmp_path / "a.json", longer))
    assert [item for item in after if item.message["id"] != "more"] == before


def test_an_empty_export_is_recognised_by_what_lies_beside(tmp_path: Path) -> None:
    assert read(archive(tmp_path / "a.zip", {"conversations.json": "[]", "user.json": "{}"})) == []
    with pytest.raises(InvalidInput, match="no known kind of file"):
        read(archive(tmp_path / "b.zip", {"conversations.json": "[]"}))


def test_a_truncated_export_gives_what_stands_before_and_then_the_place(tmp_path: Path) -> None:
    text = json.dumps(GPT)
    path = write(tmp_path / "conversations.json", text[:-40])
    with pytest.raises(InvalidInput, match=r"conversations\.json:1: not JSON \(.*, column \d+\)"):
        read(path)
    with Source(path) as source:
        reading = detect(source).read(source)
        assert [next(reading).place.rpartition(".")[2] for _ in range(3)] == ["sys", "ask", "new"]


def test_a_history_is_imported_once_and_a_later_copy_adds_what_is_new(tmp_path: Path) -> None:
    with Memory("ram:") as memory:
        first = memory.import_(archive(tmp_path / "a.zip", {"conversations.json": GPT[:1]}), user_id="ada")
        assert (first.format, first.stored, first.skipped, first.failed) == ("chatgpt", 3, 2, 0)
        later = memory.import_(archive(tmp_path / "b.zip", {"conversations-000.json": GPT}), user_id="ada")
        assert (later.stored, later.duplicate) == (1, 3)
        (hit,) = memory.search("Which plum keeps best?", user_id="ada", k=1)
        assert hit.record.scope.run_id == "talk-1"
        assert hit.record.metadata["title"] == "Plums"
