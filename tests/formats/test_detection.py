"""Which format a file is of: every sample is recognised by its own format and by no other."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from engram.formats import Source, detect, format_names, load_format
from engram.kernel.errors import ConfigError, InvalidInput
from formats.exports import CLAUDE, GPT, archive, write
from formats.samples import (
    ANDROID,
    APOC,
    GRAPH,
    IOS,
    LETTA,
    LETTA_FLAT,
    MEM0,
    MEM0_MARKDOWN,
    NOTES,
    SLACK,
    TALK,
    THREADS,
)

HEADER = '{"type":"header","format":"engram-export/1","analyser":"a","embedder":"b"}\n'
TURNS = {"name": "ana", "turns": [{"id": "1", "session": 1, "speaker": "Ana", "text": "hot"}]}
CHAT = [{"role": "user", "content": "How hot?"}, {"role": "assistant", "content": "Very."}]
FILES: dict[str, tuple[str, object]] = {
    "chatgpt": ("conversations.json", GPT),
    "claude": ("conversations.json", CLAUDE),
    "openai": ("chat.json", CHAT),
    "openai-object": ("chat.json", {"model": "gpt-9", "messages": CHAT}),
    "openai-lines": ("chat.jsonl", "".join(json.dumps({"messages": CHAT}) + "\n" for _ in range(2))),
    "conversation": ("ana.json", TURNS),
    "conversation-documents": ("docs.json", {"documents": [{"id": "1", "text": "hot"}]}),
    "engram": ("export.jsonl", HEADER),
    "triples": ("facts.csv", "subject,relation,object\nAda,likes,tea\n"),
    "triples-lines": ("facts.jsonl", '["Ada", "likes", "tea"]\n'),
    "transcript": ("talk.txt", TALK),
    "transcript-roles": ("talk.log", "User: hot?\nAssistant: very\n"),
    "whatsapp": ("_chat.txt", IOS),
    "whatsapp-android": ("WhatsApp Chat with Ben.txt", ANDROID),
    "whatsapp-sweden": ("_chat.txt", "[2026-01-30 21:58:05] Ana: hot\n[2026-01-30 21:58:09] Ben: ok\n"),
    "markdown": ("kiln.md", NOTES),
    "markdown-text": ("kiln.txt", "Only words.\n\nAnd more: of them.\n"),
    "markdown-rst": ("kiln.rst", "Title\n=====\n\nWords.\n"),
    "mem0": ("memories.json", MEM0),
    "mem0-list": ("memories.json", MEM0["results"]),
    "mem0-markdown": ("mem0-export-kiln-2026-01-05.md", MEM0_MARKDOWN),
    "zep": ("graph.json", GRAPH),
    "zep-threads": ("threads.json", THREADS),
    "zep-neo4j": ("graph.jsonl", APOC),
    "letta": ("helper.af", LETTA),
    "letta-flat": ("helper.af", LETTA_FLAT),
    "letta-json": ("helper.json", LETTA),
}
FOLDERS: dict[str, Mapping[str, object]] = {
    "chatgpt": {"conversations.json": GPT, "user.json": {"id": "u"}, "chat.html": "<html>"},
    "claude": {"conversations.json": CLAUDE, "users.json": [{"uuid": "a"}], "projects.json": []},
    "slack": SLACK,
    "whatsapp": {"_chat.txt": IOS, "00000012-PHOTO.jpg": "x", "00000013-PHOTO.jpg": "x"},
    "markdown": {"a.md": NOTES, "deep/b.txt": "Words.\n", "c.png": "x"},
    "transcript": {"a.txt": TALK, "b.log": TALK},
    "mem0": {"ana.json": MEM0, "ben.json": MEM0},
    "zep": {"graph.json": GRAPH, "threads/t-1.json": THREADS},
    "letta": {"a.af": LETTA, "b.af": LETTA_FLAT},
    "conversation": {"ana.json": TURNS, "ben.json": TURNS},
}


def recognisers(path: Path) -> list[str]:
    """The formats that recognise a path."""
    with Source(path) as source:
        return [name for name in format_names() if load_format(name).recognises(source)]


@pytest.mark.parametrize("sample", FILES)
def test_a_file_is_of_one_format(tmp_path: Path, sample: str) -> None:
    name, content = FILES[sample]
    assert recognisers(write(tmp_path / name, content)) == [sample.partition("-")[0]]


@pytest.mark.parametrize("sample", FOLDERS)
def test_a_folder_or_an_archive_is_of_one_format(tmp_path: Path, sample: str) -> None:
    for name, content in FOLDERS[sample].items():
        write(tmp_path / "export" / name, content)
    assert recognisers(tmp_path / "export") == [sample]
    assert recognisers(archive(tmp_path / "export.zip", FOLDERS[sample])) == [sample]


def test_a_folder_is_what_most_of_it_is(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        write(tmp_path / "notes" / name, "Only words.\n")
    write(tmp_path / "notes" / "talk.txt", TALK)
    assert recognisers(tmp_path / "notes") == ["markdown"]
    write(tmp_path / "chats" / "_chat.txt", IOS)
    for name in ("attached.txt", "attached too.txt", "and this.md"):
        write(tmp_path / "chats" / name, "Only words.\n")
    assert recognisers(tmp_path / "chats") == ["whatsapp"]


def test_every_format_has_a_sample() -> None:
    assert {sample.partition("-")[0] for sample in (*FILES, *FOLDERS)} == set(format_names())


def test_what_nobody_recognises_names_what_there_is(tmp_path: Path) -> None:
    with (
        Source(write(tmp_path / "t.bin", b"\0\1")) as source,
        pytest.raises(InvalidInput, match=r"t\.bin: no known kind of file; .* chatgpt"),
    ):
        detect(source)
    with pytest.raises(ConfigError, match="'pigeon' is unknown; it may be"):
        load_format("pigeon")
