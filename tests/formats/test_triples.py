"""Files of triples: tables with and without names, lines of JSON, and what is wrong with them."""

import gzip
import json
from pathlib import Path

import pytest

from engram import InvalidInput, Memory
from engram.formats import Source, detect
from formats.exports import archive, messages, skipped, write

NAMED = (
    "\ufeffSubject,predicate,object,valid_start,weight,user_id,shelf\n"
    'Ada,lives in,"Porto, Portugal",2025-01-02,2,ada,\n'
    "\n"
    "Ada,works at,Galp,,,,top\n"
)
LINES = (
    json.dumps(["Ada", "lives in", "Porto"]),
    json.dumps(
        {"subject": "Ada", "predicate": "works at", "object": "Galp", "id": "t", "metadata": {"a": 1}}
    ),
)


def named(path: Path) -> str:
    with Source(path) as source:
        return detect(source).name


def test_a_table_with_names(tmp_path: Path) -> None:
    path = write(tmp_path / "facts.csv", NAMED.encode())
    assert named(path) == "triples"
    first, second = messages(path, "triples")
    assert (first.kind, first.place.rpartition("/")[2], first.user_id) == ("fact", "facts.csv:2", "ada")
    assert first.message["content"] == "Ada lives in Porto, Portugal"
    assert first.message["triples"][0]["weight"] == 2
    assert first.message["valid"]["start"].year == 2025
    assert second.message["metadata"]["shelf"] == "top"
    assert first.message["id"] != second.message["id"]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".tsv.gz"])
def test_a_table_without_names(tmp_path: Path, ending: str) -> None:
    text = "Ada\tlives in\tPorto\n" if "tsv" in ending else "Ada,lives in,Porto\n"
    data = gzip.compress(text.encode()) if ending.endswith("gz") else text.encode()
    (item,) = messages(write(tmp_path / f"facts{ending}", data), "triples")
    assert item.message["triples"] == [{"subject": "Ada", "relation": "lives in", "object": "Porto"}]


def test_lines_of_json(tmp_path: Path) -> None:
    path = write(tmp_path / "facts.jsonl", "\n".join(LINES).encode())
    assert named(path) == "triples"
    first, second = messages(path, "triples")
    assert (second.message["id"], second.message["metadata"]["a"]) == ("t", 1)
    assert first.message["content"] == "Ada lives in Porto"


def test_folders_and_archives(tmp_path: Path) -> None:
    packed = archive(tmp_path / "facts.zip", {"a.csv": "Ada,likes,tea\n", "notes.md": "# no"})
    assert [item.message["content"] for item in messages(packed, "triples")] == ["Ada likes tea"]


def test_what_is_no_triple_is_left_out_by_its_line(tmp_path: Path) -> None:
    """The others go in; the same line twice is one, and so is the file."""
    bad = [
        "Ada,likes,tea",
        "Ada,likes",
        "Ada,,tea",
        f"Ada,likes,{'x' * 1001}",
        "Ada,likes,tea",
        "a,b,c,d",
    ]
    path = write(tmp_path / "facts.csv", "\n".join(bad).encode())
    reasons = dict(skipped(path, "triples"))
    assert reasons == {
        "facts.csv:2": "has 2 parts; give [subject, relation, object] or a mapping with these keys",
        "facts.csv:3": "relation: expected 1 to 1,000 characters, got 0",
        "facts.csv:4": "object: expected 1 to 1,000 characters, got 1,001",
        "facts.csv:6": "has 4 parts; give [subject, relation, object] or a mapping with these keys",
    }
    with Memory("ram:") as memory:
        imported = memory.import_(path, format="triples", user_id="ana")
        assert (imported.stored, imported.duplicate, imported.failed) == (1, 1, 4)
        assert memory.import_(path, format="triples", user_id="ana").stored == 0
        (record,) = memory.get_all(user_id="ana")
        assert (record.kind, record.text, record.metadata["object"]) == ("fact", "Ada likes tea", "tea")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("subject,relation,object,weight\na,b,c,heavy", "weight: expected a number above 0, got 'heavy'"),
        ("subject,relation,object\na,b,c,d", "unknown key 'more columns than names'"),
        ("subject,relation,object,valid_start\na,b,c,soon", "valid_start: 'soon' is not a time"),
        ("subject,relation,object,valid_start,valid_end\na,b,c,2026,2025", "not a time"),
        ("subject,relation,object\na,b,c\0", "NUL character"),
        ("subject,relation,object\na,b,", "object is missing"),
    ],
)
def test_hostile_rows(tmp_path: Path, line: str, reason: str) -> None:
    ((place, found),) = skipped(write(tmp_path / "facts.csv", line.encode()), "triples")
    assert place == "facts.csv:2"
    assert reason in found


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.csv", b'a,"b,c\n', r"x.csv:1: not a table"),
        ("x.csv", b"a,b," + b"c" * 200_000, r"x.csv:1: not a table \(field larger"),
        ("x.jsonl", b'["a", "b"\n', r"x.jsonl:1"),
        ("x.csv", b"\xff\xfe\xff", "x.csv"),
    ],
)
def test_hostile_files(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        messages(write(tmp_path / name, data), "triples")


@pytest.mark.parametrize(
    "line",
    ['{"subject": 3, "relation": "b", "object": "c"}', '"a b c"', "3", '["a", "b", ["c"]]', '{"user_id": 3}'],
)
def test_hostile_lines(tmp_path: Path, line: str) -> None:
    assert [place for place, _ in skipped(write(tmp_path / "facts.jsonl", line.encode()), "triples")] == [
        "facts.jsonl:1"
    ]


def test_other_tables_are_not_taken_for_triples(tmp_path: Path) -> None:
    for number, text in enumerate(("name,age\nAda,3\n", "", "subject,object\na,b\n")):
        path = write(tmp_path / f"{number}.csv", text.encode())
        with Source(path) as source, pytest.raises(InvalidInput, match="no known kind of file"):
            detect(source)
