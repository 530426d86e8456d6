"""A type gives a schema, a reply gives a value of that type or a `ValueError` that a model can act upon."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Le, MaxLen
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from engram import ConfigError
from engram.engine.typed import MAX_REPLY, parse, reply_schema
from engram.models.structured import strict_schema


@dataclass(frozen=True)
class Fact:
    """A nested reply."""

    text: str
    kind: Literal["likes", "lives"] = "likes"
    since: datetime | None = None
    day: date | None = None
    sure: Annotated[float, Ge(0), Le(1)] = 0.5


@dataclass(frozen=True)
class Facts:
    """A reply with a list in it."""

    facts: Annotated[list[Fact], MaxLen(3)]
    notes: tuple[str, ...] = ()
    more: dict[str, int] = field(default_factory=dict)


class Person(BaseModel):
    """A pydantic reply."""

    name: str
    facts: list[Fact] = []


class Loose(BaseModel):
    """A pydantic reply that takes any further field."""

    model_config = ConfigDict(extra="allow")
    name: str


TEA = Facts([Fact("tea")])
TEA_JSON = '{"facts": [{"text": "tea"}]}'


@pytest.mark.parametrize(
    "reply",
    [
        TEA_JSON,
        f"  \ufeff{TEA_JSON}\n",
        f"```json\n{TEA_JSON}\n```",
        f"Here you are:\n```\n{TEA_JSON}\n```\nAnything else?",
        f"Sure! {TEA_JSON} I hope {{this}} helps [1].",
        f'<think>maybe {{"facts": []}}?</think>\n{TEA_JSON}',
        f'First {{"facts": []}}, no: {TEA_JSON}',
        '{"facts": [{"text": "tea", "kind": "likes", "since": null, "sure": 0.5}], "notes": [], "more": {}}',
    ],
)
def test_the_json_is_found_wherever_it_stands(reply: str) -> None:
    assert parse(reply, Facts) == TEA


def test_values_of_many_types() -> None:
    found = parse('[{"text": "a", "since": "2026-05-01T08:00:00Z", "day": "2026-05-01"}]', list[Fact])
    assert found == [Fact("a", "likes", datetime(2026, 5, 1, 8, tzinfo=UTC), date(2026, 5, 1))]
    assert parse('{"reply": [1, 2]}', list[int]) == [1, 2]
    assert parse('{"a": 1}', dict[str, int]) == {"a": 1}
    assert parse('{"name": "Ana", "facts": [{"text": "tea"}]}', Person) == Person(
        name="Ana", facts=[Fact("tea")]
    )
    assert parse('{"name": "Ana", "age": 3}', Loose).model_dump() == {"name": "Ana", "age": 3}
    assert parse("  plain words\n", str) == "plain words"
    assert parse("3", int) == 3


@pytest.mark.parametrize(
    "reply, told",
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("<think>all thought</think>", "empty"),
        ("I cannot do that.", "no JSON"),
        ("{'facts': []}", "not JSON"),
        ('{"facts": [{"text": "tea"}, {"te', "cut off"),
        ('```json\n{"facts": [{"text": "tea"},\n', "cut off"),
        ('{"facts": [{"text": "te', "cut off"),
        ("[" * 100_000, "nested too deep"),
        ("[]", "object"),
        ("null", "object"),
        ('{"facts": 5}', r"facts: .*array"),
        ('{"facts": [{"text": 5}]}', r"facts\.0\.text"),
        ('{"facts": [{"text": "a", "kind": "hates"}]}', r"facts\.0\.kind: .*'likes' or 'lives'"),
        ('{"facts": [{"text": "a", "since": "2026-13-45"}]}', r"facts\.0\.since"),
        ('{"facts": [{"text": "a", "day": "some day"}]}', r"facts\.0\.day"),
        ('{"facts": [{"text": "a", "sure": 1.5}]}', r"facts\.0\.sure: .*less than or equal to 1"),
        ('{"facts": [{"text": "a", "sure": NaN}]}', "no JSON number"),
        ('{"facts": [{"text": "a", "sure": 1e999}]}', "no JSON number"),
        ('{"facts": [{"text": "a", "colour": "red"}]}', r"facts\.0\.colour"),
        ('{"fact": []}', "facts"),
        ('{"facts": [{"text": "nul \\u0000"}]}', r"U\+0000"),
        ('{"facts": [{"text": "half \\ud800"}]}', r"U\+D800"),
        ('{"facts": [], "more": {"a": ' + "9" * 5000 + "}}", "not JSON"),
        (json.dumps({"facts": [{"text": "same"}] * 10_000}), "at most 3 items"),
        (json.dumps({"facts": [{"text": 5}] * 3}), r"facts\.2\.text"),
        ("x" * (MAX_REPLY + 1), "longer than"),
    ],
)
def test_what_is_wrong_is_said(reply: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        parse(reply, Facts)
    assert len(str(caught.value)) < 1000


def test_text_that_no_record_may_hold() -> None:
    with pytest.raises(ValueError, match=r"U\+0000"):
        parse("nul \0", str)


def test_a_pydantic_model_takes_no_unknown_field_unless_it_says_so() -> None:
    with pytest.raises(ValueError, match="age"):
        parse('{"name": "Ana", "age": 3}', Person)


def test_schemas_are_objects_at_their_root() -> None:
    assert reply_schema(str) is None
    for wanted in (Fact, Facts, Person, list[Fact], int, dict[str, int], Literal["a", "b"]):
        schema = reply_schema(wanted)  # type: ignore[arg-type]
        assert schema is not None
        assert schema["type"] == "object"
    assert reply_schema(list[Fact]) is not None
    with pytest.raises(ConfigError, match="cannot be made into"):
        reply_schema(type("Odd", (), {}))


def test_the_strict_form_names_and_requires_every_field() -> None:
    schema = strict_schema(reply_schema(list[Fact]) or {})
    assert schema is not None
    fact = schema["$defs"]["Fact"]
    assert fact["required"] == ["text", "kind", "since", "day", "sure"]
    assert fact["additionalProperties"] is False
    assert fact["properties"]["sure"] == {"type": "number"}
    assert fact["properties"]["kind"]["enum"] == ["likes", "lives"]
    assert schema["properties"]["reply"]["items"] == {"$ref": "#/$defs/Fact"}
    assert strict_schema(reply_schema(Facts) or {}) is None, "a dict of any fields has no strict form"
    assert strict_schema(reply_schema(list) or {}) is None


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["facts", "text", "kind", "x"]), inner),
    max_leaves=8,
)
GARBAGE = st.one_of(
    st.text(),
    st.text(alphabet='{}[]":, \n`\\ax1'),
    JSONISH.map(json.dumps),
    st.builds(lambda value, cut: json.dumps(value)[:cut], JSONISH, st.integers(0, 60)),
    st.builds(lambda value, words: f"{words}```json\n{json.dumps(value)}\n```{words}", JSONISH, st.text()),
)


@given(GARBAGE, st.sampled_from([str, int, Fact, Facts, Person, list[Fact], dict[str, int]]))
def test_any_garbage_ends_in_a_value_or_a_reason(reply: str, wanted: Any) -> None:
    try:
        value = parse(reply, wanted)
    except ValueError:
        return
    assert wanted is not str or value
