"""Reading the plain conversation format, whole and broken."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from engram.bench.load import bare, data_sets, read_conversation
from engram.kernel.errors import InvalidInput

TALK: dict[str, Any] = {
    "name": "ada-and-ben",
    "turns": [
        {"id": "a", "session": 1, "speaker": "Ada", "text": "My cat is Plum.", "time": "2024-01-02T10:00:00"},
        {"id": "b", "session": 1, "speaker": "Ben", "text": "Hello Plum.", "time": "2024-01-02T10:01:00"},
        {
            "id": "c",
            "session": 2,
            "speaker": "assistant",
            "text": "How can I help?",
            "time": "2024-02-01T09:00:00",
        },
        {"id": "d", "session": 2, "speaker": "user", "text": "A recipe, please."},
    ],
    "questions": [
        {"question": "What is Ada's cat called?", "answer": "Plum", "evidence": ["a"], "category": 4},
        {"question": "What is Ben's car?", "answer": None, "evidence": [], "category": "never said"},
    ],
}
CORPUS: dict[str, Any] = {
    "name": "shelf",
    "documents": [
        {
            "id": 7,
            "title": "Plum",
            "text": "A stone fruit.",
            "entities": ["plum"],
            "triples": [["plum", "is", "fruit"]],
        },
        {"id": 8, "title": "Pear", "text": "A pome."},
    ],
    "questions": [{"question": "What is a plum?", "evidence": [7], "category": "1hop"}],
}


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_turns_become_messages_in_sessions(tmp_path: Path) -> None:
    talk = read_conversation(write(tmp_path / "talk.json", TALK))
    assert [session.run_id for session in talk.sessions] == ["1", "2"]
    assert talk.sessions[0].messages == (
        {
            "role": "user",
            "content": "My cat is Plum.",
            "id": "a",
            "time": "2024-01-02T10:00:00",
            "name": "Ada",
        },
        {"role": "user", "content": "Hello Plum.", "id": "b", "time": "2024-01-02T10:01:00", "name": "Ben"},
    )
    assert talk.sessions[1].messages[0]["role"] == "assistant"
    assert talk.sessions[1].messages[1] == {"role": "user", "content": "A recipe, please.", "id": "d"}
    assert talk.last == "2024-02-01T09:00:00"
    assert talk.turns == 4


def test_questions_keep_evidence_and_category_as_text(tmp_path: Path) -> None:
    first, second = read_conversation(write(tmp_path / "talk.json", TALK)).questions
    assert (first.evidence, first.category, first.answer) == (frozenset({"a"}), "4", "Plum")
    assert second.evidence == frozenset()


def test_a_session_that_is_taken_up_again_keeps_its_run_and_the_order(tmp_path: Path) -> None:
    turns = [{"id": str(n), "session": s, "speaker": "Ada", "text": "words"} for n, s in enumerate("xyx")]
    talk = read_conversation(write(tmp_path / "talk.json", {"turns": turns}))
    assert [session.run_id for session in talk.sessions] == ["x", "y", "x"]
    assert talk.name == "talk"
    assert talk.last is None


def test_documents_are_turns_of_one_session_each(tmp_path: Path) -> None:
    corpus = read_conversation(write(tmp_path / "shelf.json.gz", CORPUS))
    assert [session.run_id for session in corpus.sessions] == ["7", "8"]
    assert corpus.sessions[0].messages[0] == {
        "role": "user",
        "content": "A stone fruit.",
        "id": "7",
        "title": "Plum",
        "entities": ["plum"],
        "triples": [["plum", "is", "fruit"]],
    }
    assert corpus.questions[0].evidence == frozenset({"7"})


def test_a_folder_is_a_data_set_for_each_folder_with_files(tmp_path: Path) -> None:
    write(tmp_path / "data" / "talks" / "one.json", TALK)
    write(tmp_path / "data" / "talks" / "two.json.gz", TALK)
    write(tmp_path / "data" / "shelf" / "all.json", CORPUS)
    (tmp_path / "data" / "README.md").write_text("notes", encoding="utf-8")
    found = data_sets([tmp_path / "data", tmp_path / "data" / "talks" / "two.json.gz"])
    assert [(data.name, len(data.conversations)) for data in found] == [
        ("shelf", 1),
        ("talks", 2),
        ("two", 1),
    ]


def turn(**changes: object) -> dict[str, Any]:
    whole = {"id": "1", "session": 1, "speaker": "Ada", "text": "words"}
    return {"turns": [{key: value for key, value in {**whole, **changes}.items() if value is not ...}]}


BROKEN: list[tuple[object, str]] = [
    ([], "expected an object with turns or documents, got list"),
    ({"name": "x"}, "neither turns nor documents"),
    ({"turns": {}}, "turns: expected a list, got dict"),
    ({"turns": ["words"]}, r"turns\[0\]: expected an object, got str"),
    (turn(text=...), r"turns\[0\]\.text is missing"),
    (turn(text=3), r"turns\[0\]\.text: expected text, got int"),
    (turn(text="a\0b"), r"turns\[0\]\.text: a NUL character at position 1"),
    (turn(id=...), r"turns\[0\]\.id: expected a number, or 1 to 512 printable"),
    (turn(id=""), r"turns\[0\]\.id: expected a number, or 1 to 512 printable"),
    (turn(time="yesterday"), r"turns\[0\]\.time: 'yesterday' is not a time"),
    (turn(session=[1]), r"turns\[0\]\.session: expected a number, or 1 to 512 printable"),
    (turn(speaker=" "), r"turns\[0\]\.speaker: expected a number, or 1 to 512 printable"),
    ({**turn(), "name": "a\nb"}, r"name: expected a number, or 1 to 512 printable"),
    ({"turns": turn()["turns"] * 2}, r"turns\[1\]\.id: '1' is the id of number 0 already"),
    ({"documents": [{"id": "1", "text": "t", "title": 4}]}, r"documents\[0\]\.title: expected text"),
    ({**turn(), "questions": {}}, "questions: expected a list, got dict"),
    ({**turn(), "questions": [{}]}, r"questions\[0\]\.question is missing"),
    (
        {**turn(), "questions": [{"question": "q", "evidence": "1"}]},
        r"questions\[0\]\.evidence: expected a list",
    ),
    (
        {**turn(), "questions": [{"question": "q", "evidence": [None]}]},
        r"questions\[0\]\.evidence\[0\]: expected a number, or 1",
    ),
]


@pytest.mark.parametrize("content, message", BROKEN)
def test_a_broken_file_is_refused_by_file_and_field(tmp_path: Path, content: object, message: str) -> None:
    path = write(tmp_path / "broken.json", content)
    with pytest.raises(InvalidInput, match=message) as caught:
        read_conversation(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_is_no_json_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "half.json"
    path.write_text('{"turns": [', encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"half\.json:1: not JSON \(it ends too early, column 12\)"):
        read_conversation(path)


def test_what_is_no_gzip_or_no_text_is_refused(tmp_path: Path) -> None:
    squeezed, binary = tmp_path / "a.json.gz", tmp_path / "b.json"
    squeezed.write_bytes(b"plainly not")
    binary.write_bytes(b'{"name": "\xff"}')
    with pytest.raises(InvalidInput, match=r"a\.json\.gz:1: truncated or damaged"):
        read_conversation(squeezed)
    with pytest.raises(InvalidInput, match=r"b\.json:1: not UTF-8 \(byte 10"):
        read_conversation(binary)
    squeezed.write_bytes(gzip.compress(b'{"turns": []}' + b" " * 1000)[:-9])
    with pytest.raises(InvalidInput, match=r"a\.json\.gz:1: truncated or damaged"):
        read_conversation(squeezed)


def test_a_path_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no such file or folder"):
        data_sets([tmp_path / "nowhere"])
    with pytest.raises(InvalidInput, match=r"no \.json or \.json\.gz file is there"):
        data_sets([tmp_path])


def test_a_bare_corpus_has_its_texts_only(tmp_path: Path) -> None:
    whole = data_sets([write(tmp_path / "shelf.json", CORPUS)])[0]
    left = bare(whole)
    messages = [message for session in left.conversations[0].sessions for message in session.messages]
    assert [message["content"] for message in messages] == ["A stone fruit.", "A pome."]
    assert not {"entities", "triples"} & {key for message in messages for key in message}
    assert messages[0]["title"] == "Plum"
    assert left.name == "shelf (bare)"
    assert left.conversations[0].questions == whole.conversations[0].questions
