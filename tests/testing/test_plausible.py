"""A model that says anything of the form asked for: always valid, of what is shown, the same again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from engram.engine.typed import parse, reply_schema
from engram.kernel.chat import ChatRequest, Message
from engram.testing.plausible import PlausibleModel


@dataclass(frozen=True)
class Part:
    """A nested value."""

    number: int
    kind: Literal["one", "two"]
    when: str | None = None


class Whole(BaseModel):
    """Everything that replies of policies are made of."""

    parts: list[Part]
    share: Annotated[float, Field(ge=0.5, le=0.75)]
    grade: Annotated[int, Field(ge=1, le=10)]
    tags: Annotated[list[str], Field(min_length=1, max_length=2)]
    sure: bool = True
    pair: tuple[int, str] = (0, "")
    by_name: dict[str, int] = Field(default_factory=dict)


@dataclass
class Tree:
    """A value inside itself."""

    name: str
    below: list[Tree] = field(default_factory=list)


def asked(wanted: type[Any], prompt: str = 'Turns:\n{"turn": 3, "text": "I like tea"}') -> ChatRequest:
    return ChatRequest((Message("user", prompt),), reply_schema(wanted))


@pytest.mark.parametrize("wanted", [str, Whole, Part, list[str], list[Part], bool, Tree])
def test_every_reply_has_the_form_asked_for(wanted: type[Any]) -> None:
    replies = {PlausibleModel(seed).reply(asked(wanted)).text for seed in range(40)}
    for reply in replies:
        parse(reply, wanted)
    assert len(replies) > 1


def test_the_same_question_gets_the_same_reply() -> None:
    assert PlausibleModel(1).reply(asked(Whole)) == PlausibleModel(1).reply(asked(Whole))


def test_numbers_and_words_are_of_the_question() -> None:
    parts = [
        part
        for seed in range(60)
        for part in parse(PlausibleModel(seed).reply(asked(Whole)).text, Whole).parts
    ]
    assert {1, 2, 3} < {part.number for part in parts} <= set(range(5))
    assert "I like tea" in {part.when for part in parts}


def test_a_schema_of_nothing_known_is_refused() -> None:
    with pytest.raises(TypeError, match="no plausible value"):
        PlausibleModel().reply(ChatRequest((Message("user", "?"),), {"type": "tree"}))
