"""Text and JSON, piece by piece: the same values as json, and every fault with its line and column."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.formats.source import Limits, Source
from engram.formats.streaming import json_items, text_lines
from engram.kernel.errors import InvalidInput

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def items(text: str, path: str = "item", size: int = 7, **limits: int) -> list[Any]:
    """The values of a text that comes in pieces of so many characters."""
    pieces = (text[start : start + size] for start in range(0, len(text), size))
    most = {"longest": 1 << 20, "deepest": 100, **limits}
    return list(json_items(pieces, "a.json", path.split(".") if path else [], **most))


def fault(text: str, path: str = "item", size: int = 7, **limits: int) -> str:
    """What is said of a text that is no JSON."""
    with pytest.raises(InvalidInput) as caught:
        items(text, path, size, **limits)
    return str(caught.value)


@given(st.lists(JSON, max_size=5), st.sampled_from([None, 1]), st.booleans(), st.integers(1, 40))
def test_items_are_those_of_json_however_the_text_is_cut(
    values: list[Any], indent: int | None, ascii: bool, size: int
) -> None:
    text = json.dumps(values, indent=indent, ensure_ascii=ascii)
    assert items(text, size=size) == values
    assert items(text, "", size=size) == [values]
    assert items(json.dumps({"a": 1, "b": values, "c": [2]}, indent=indent), "b.item", size=size) == values


def test_a_path_leads_through_keys_and_lists() -> None:
    text = '{"x": [{"a": [1, 2]}, {"b": [3]}, 4, {"a": [5]}], "a": [6], "x": [{"a": [7]}]}'
    assert items(text, "x.item.a.item") == [1, 2, 5, 7]
    assert items(text, "a") == [[6]]
    assert items(text, "item") == []
    assert items("[[1], [2]]", "item.item") == [1, 2]
    assert items("7", "") == [7]
    assert items("7", "item") == []


FAULTS = [
    ("", "1: not JSON (it ends too early, column 1)"),
    (" \n ", "2: not JSON (it ends too early, column 2)"),
    ("[1, 2", "1: not JSON (it ends too early, column 6)"),
    ("[1,\n 2,\n  x]", "3: not JSON (expecting value, column 3)"),
    ("[1, 2] [3]", "1: not JSON (more follows after its end, column 8)"),
    ("[1, 2,]", "1: not JSON (expecting value, column 7)"),
    ("[1 2]", "1: not JSON (, or ] is missing, column 4)"),
    ("[01]", "1: not JSON (, or ] is missing, column 3)"),
    ("[1.]", "1: not JSON (, or ] is missing, column 3)"),
    ("[tru]", "1: not JSON (expecting value, column 2)"),
    ("[NaN]", "1: not JSON (NaN is no number of JSON, column 2)"),
    ("[-Infinity]", "1: not JSON (-Infinity is no number of JSON, column 2)"),
    ("[1e999]", "1: not JSON (1e999 is too large a number, column 2)"),
    (f"[{'9' * 5000}]", "1: not JSON (a number has too many digits, column 2)"),
    ('["a\nb"]', "1: not JSON (invalid control character, column 4)"),
    ('["a\0b"]', "1: not JSON (invalid control character, column 4)"),
    ('["ab', "1: not JSON (a string has no end, column 2)"),
    ('["\\q"]', "1: not JSON (invalid \\escape, column 3)"),
    ('[{"a": {"b": 1,}}]', "1: not JSON (illegal trailing comma before end of object, column 15)"),
    ("{x: 1}", "1: not JSON (a key in double quotes is missing, column 2)"),
    ('{"x" 1}', "1: not JSON (: is missing, column 6)"),
    ('{"x": 1,}', "1: not JSON (a key in double quotes is missing, column 9)"),
    ('{"x": [1, 2, }', "1: not JSON (expecting value, column 14)"),
    ("[1} ", "1: not JSON (, or ] is missing, column 3)"),
]


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
@pytest.mark.parametrize("text, message", FAULTS)
def test_a_fault_is_named_with_line_and_column_however_the_text_is_cut(
    text: str, message: str, size: int
) -> None:
    said = fault(text, size=size)
    if "trailing comma" in message:  # later versions of Python say so
        assert said.startswith("a.json:1: not JSON (")
    else:
        assert said == f"a.json:{message}"


def test_a_fault_far_into_one_long_line_is_named_by_its_column() -> None:
    text = "[" + "1234, " * 10_000 + "x]"
    assert fault(text, size=1000) == f"a.json:1: not JSON (expecting value, column {len(text) - 1})"
    text = "[\n" + '{"a": "b"},\n' * 5_000 + '{"a" "b"}]'
    assert fault(text, size=1000).startswith("a.json:5002: not JSON (")


@given(st.text(alphabet='[]{}",:0123456789.eE+-truefalsn \n\\ud8', max_size=40), st.integers(1, 9))
def test_anything_is_taken_as_json_takes_it_or_refused(text: str, size: int) -> None:
    try:
        wanted = json.loads(text, parse_constant=float)
    except ValueError:
        fault(text, "", size)
    else:
        if not any(mark in text for mark in ("e", "E")) or math.isfinite(_largest(wanted)):
            assert items(text, "", size) == [wanted]


def _largest(value: Any) -> float:
    if isinstance(value, float):
        return value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return max((_largest(part) for part in inner), key=abs, default=0.0)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("mark", ["[", '{"a":'])
def test_too_deep_nesting_is_refused_and_a_hundred_levels_are_not(mark: str, closed: bool) -> None:
    end = "]" if mark == "[" else "}"
    assert len(items(mark * 100 + ("1" if mark != "[" else "") + end * 100, "")) == 1
    for levels in (101, 900, 100_000):
        text = mark * levels + ("1" + end * levels if closed else "")
        said = fault(text, "", size=10_000)
        assert "nested deeper than 100 levels" in said or not closed


def test_a_value_that_is_too_long_is_refused_before_it_fills_the_memory() -> None:
    def pieces() -> Any:
        yield '["'
        while True:
            yield "x" * 1000

    with pytest.raises(InvalidInput, match=r"a\.json:1: not JSON \(a value is longer than 5000 characters"):
        list(json_items(pieces(), "a.json", ["item"], longest=5000, deepest=9))
    with pytest.raises(InvalidInput, match=r"a\.txt:2: the line is longer than 5000 characters"):
        list(text_lines(iter(["one\n", *["x" * 1000] * 9]), "a.txt", 5000))


def test_escapes_of_half_a_character_are_kept_for_whoever_looks(tmp_path: Path) -> None:
    assert items('["\\ud83d\\ude00", "\\ud83d"]', size=5) == ["😀", "\ud83d"]


@given(
    st.text(
        alphabet=st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]) | st.just("\n"),
        max_size=200,
    ),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"]),
    st.booleans(),
)
def test_lines_are_those_of_the_text_in_any_unicode_encoding(
    tmp_path_factory: pytest.TempPathFactory, text: str, encoding: str, returns: bool
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    text = text.lstrip("\ufeff\0")  # a mark, and with it the beginning of UTF-32
    path.write_bytes(mark + (text.replace("\n", "\r\n") if returns else text).encode(encoding))
    wanted = text.split("\n")
    if not wanted[-1]:
        wanted.pop()
    assert list(Source(path).lines("a.txt")) == list(enumerate(wanted, 1))


ENCODINGS = [
    ("Grüße\nin Latin-1: é\n".encode("latin-1"), "a.txt:1: not UTF-8 (byte 2: "),
    (b"fine\nGr\xc3\xbc\xc3\x9fe\n\xe9t\xe9\n", "a.txt:3: not UTF-8 (byte 13: "),
    (b"cut\n\xf0\x9f\x8d", "a.txt:2: not UTF-8 (byte 4: unexpected end of data)"),
    (b"\xed\xa0\x80", "a.txt:1: not UTF-8 (byte 0: "),
    ("ab\ncd".encode("utf-16") + b"\n", "a.txt:2: not UTF-16 (byte 12: truncated data)"),
    (b"\xff\xfea\0\n\0\x00\xdc", "a.txt:2: not UTF-16 (byte 6: "),
    ("ab".encode("utf-32"), "a.txt:1: not UTF-8 (it is UTF-32)"),
]


@pytest.mark.parametrize("data, message", ENCODINGS)
def test_another_encoding_is_refused_with_line_and_byte(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    source = Source(tmp_path / "a.txt")
    before: list[tuple[int, str]] = []
    with pytest.raises(InvalidInput) as caught:
        before.extend(source.lines("a.txt"))
    assert message in str(caught.value)


def test_what_stands_before_a_wrong_byte_is_given_first(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n\xff")
    lines = Source(tmp_path / "a.txt").lines("a.txt")
    assert [next(lines), next(lines)] == [(1, "one"), (2, "two")]
    with pytest.raises(InvalidInput, match=r"a\.txt:3: not UTF-8 \(byte 8"):
        next(lines)


def test_json_lines_are_numbered_and_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n  \n[2]\n{"b": }\n', encoding="utf-8")
    lines = Source(path).json_lines("a.jsonl")
    assert [next(lines), next(lines)] == [(1, {"a": 1}), (4, [2])]
    with pytest.raises(InvalidInput, match=r"a\.jsonl:5: not JSON \(expecting value, column 7\)"):
        next(lines)
    for text, message in (("[" * 5000 + "]" * 5000, "nested deeper"), ("[NaN]", "NaN is no number")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InvalidInput, match=message):
            list(Source(path).json_lines("a.jsonl"))


def test_the_limits_of_a_source_hold_for_its_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([["x" * 100]]), encoding="utf-8")
    with pytest.raises(InvalidInput, match="nested deeper than 0 levels"):
        list(Source(path, Limits(depth=0)).items("a.json"))
