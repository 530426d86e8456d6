"""What a memory wants of what is said: types of facts and entities, and instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field

from engine.conftest import Open
from engram import ConfigError, InvalidInput, Memory, Record, Schema
from engram.engine.typed import reply_schema
from engram.models.structured import strict_schema
from engram.operators.extraction.schema import reply_type
from engram.policies.mem0 import Mem0
from engram.testing.doubles import ScriptedModel


class Person(BaseModel):
    """Somebody by name."""

    role: str | None = None


class Company(BaseModel):
    """A firm."""

    city: str | None = Field(None, description="where it sits")


class WorksAt(BaseModel):
    """Where somebody is employed."""

    subject: Person
    object: Company
    single: ClassVar[bool] = False
    position: str | None = Field(None, description="as what")


class Age(BaseModel):
    object: Annotated[int, Field(ge=0, le=130)]


class Drinks(BaseModel):
    single: ClassVar[bool] = True
    object: Literal["tea", "coffee"]


class Bought(BaseModel):
    price: Annotated[float, Field(gt=0)]


wrong: Callable[[Any], Any] = lambda value: value  # noqa: E731 - what a caller without type checks gives
SCHEMA = Schema("Only what concerns work.", facts=[WorksAt, Age, Drinks, Bought])
Reply = dict[str, Any]


def fact(relation: str, value: Any, subject: str = "Ana", **more: Any) -> Reply:
    return {"turn": 1, "subject": subject, "relation": relation, "object": value, **more}


def reply(*facts: Reply, entities: tuple[Reply, ...] = ()) -> Reply:
    return {"facts": list(facts), "entities": list(entities)}


@pytest.fixture
def scripted(open_memory: Open) -> Callable[..., tuple[Memory, ScriptedModel]]:
    def open_one(*script: Any, schema: Schema = SCHEMA, **more: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script)
        return open_memory(policy=Mem0(**more), model=model, schema=schema), model

    return open_one


Scripted = Callable[..., tuple[Memory, ScriptedModel]]


def say(memory: Memory, text: str, day: str = "2026-01-01", user: str = "ana") -> list[str]:
    receipt = memory.add({"content": text, "name": "Ana", "time": f"{day}T12:00Z"}, user_id=user)
    return [f"{item.event} {item.reason}" for item in receipt.items[1:]]


def kept(memory: Memory, kind: str = "fact", user: str = "ana") -> list[Record]:
    return [record for record in memory.get_all(user_id=user) if record.kind == kind]


def test_the_model_is_told_of_types_and_instructions_and_shown_their_schema(scripted: Scripted) -> None:
    memory, model = scripted(reply())
    say(memory, "I work at Galp.")
    told, schema = model.requests[0].messages[0].text, model.requests[0].schema
    assert "Only what concerns work." in told
    assert "works_at (Person → Company): Where somebody is employed. With position (as what)." in told
    assert "drinks (anything → a value, one at a time)" in told
    assert "Company: A firm. With city (where it sits)." in told
    assert schema is not None
    assert {"position", "object"} <= schema["$defs"]["WorksAt"]["properties"].keys()
    assert strict_schema(reply_schema(reply_type(SCHEMA)) or {}) is not None


def test_attributes_and_types_land_in_metadata_where_filters_find_them(scripted: Scripted) -> None:
    memory, _ = scripted(
        reply(
            fact("Works at", "Galp", position="chemist"),
            fact("age", 30),
            fact("likes", "plums"),
            entities=({"name": "Galp", "type": "company", "city": "Lisbon"}, {"name": "plums"}),
        )
    )
    say(memory, "I am 30, a chemist at Galp, and like plums.")
    found = {record.metadata["relation"]: record for record in kept(memory)}
    assert {"subject_type", "object_type", "position"} <= found["works_at"].metadata.keys()
    assert found["works_at"].metadata["position"] == "chemist"
    assert (found["age"].text, found["age"].metadata["object"]) == ("Ana is aged 30", "30")
    assert "object_type" not in found["likes"].metadata
    hits = memory.search("job", filters={"metadata.position": "chemist"}, user_id="ana")
    assert [hit.text for hit in hits] == ["Ana works at Galp"]
    assert {record.text: dict(record.metadata) for record in kept(memory, "entity")} == {
        "Galp": {"type": "Company", "city": "Lisbon"},
        "plums": {},
    }


def test_what_is_learnt_of_an_entity_and_a_fact_later_is_added_to_them(scripted: Scripted) -> None:
    memory, _ = scripted(
        reply(fact("works_at", "Galp"), entities=({"name": "Galp", "type": "Company"},)),
        reply(
            fact("works_at", "Galp", position="chemist"),
            fact("bought", "a share of Galp", price=20),
            entities=({"name": "galp", "type": "Company", "city": "Lisbon"},),
        ),
        form="add",
    )
    say(memory, "I work at Galp.")
    say(memory, "I am a chemist at Galp of Lisbon, and bought a share for 20.", "2026-01-02")
    (company,) = kept(memory, "entity")
    assert (company.version, dict(company.metadata)) == (2, {"type": "Company", "city": "Lisbon"})
    job = next(record for record in kept(memory) if record.metadata["relation"] == "works_at")
    assert (job.metadata["position"], len(job.sources)) == ("chemist", 2)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (reply(fact("age", 300)), "facts.0.age.object: Input should be less than or equal to 130"),
        (reply(fact("age", "old")), "facts.0.age.object: Input should be a valid integer"),
        (reply(fact("drinks", "wine")), "facts.0.drinks.object: Input should be 'tea' or 'coffee'"),
        (reply(fact("bought", "a car")), "facts.0.bought.price: Field required"),
        (
            reply(fact("works_at", "Galp"), entities=({"name": "galp", "type": "Person"},)),
            "facts.0.object: 'Galp' is of type Person, and works_at wants Company there",
        ),
    ],
)
def test_a_reply_that_breaks_the_schema_is_asked_for_again_with_the_error_then_parked(
    scripted: Scripted, bad: Reply, problem: str
) -> None:
    memory, model = scripted(bad, reply(fact("age", 30)), bad, bad)
    say(memory, "I am 30.")
    assert problem in model.requests[1].messages[-1].text
    assert [record.text for record in kept(memory)] == ["Ana is aged 30"]
    (told,) = say(memory, "Once more.")
    assert told.startswith("failed parked: BadReply")
    assert problem in told
    assert [record.text for record in kept(memory, "episode")] == ["I am 30.", "Once more."]


def test_only_what_is_declared_is_taken_where_the_schema_says_so(scripted: Scripted) -> None:
    only = Schema(facts=[WorksAt, Age], only=True)
    memory, model = scripted(reply(fact("likes", "tea")), reply(fact("age", 30)), schema=only)
    say(memory, "I am 30 and like tea.")
    assert "'likes' found using" in model.requests[1].messages[-1].text
    assert "Take nothing else." in model.requests[0].messages[0].text
    assert [record.text for record in kept(memory)] == ["Ana is aged 30"]


def test_a_declared_relation_is_single_or_not_whatever_its_name(open_memory: Open) -> None:
    memory = open_memory(policy="mem0", schema=SCHEMA)
    say(memory, "I work at Galp.", "2026-01-01")
    say(memory, "I work at Shell.", "2026-01-02")
    assert [record.text for record in kept(memory)] == ["Ana works at Galp", "Ana works at Shell"]
    assert [record.metadata["object_type"] for record in kept(memory)] == ["Company", "Company"]
    bare = open_memory(policy="mem0")
    say(bare, "I work at Galp.", "2026-01-01", "bo")
    say(bare, "I work at Shell.", "2026-01-02", "bo")
    assert [record.text for record in kept(bare, user="bo")] == ["Ana works at Shell"]


def test_a_single_relation_of_ones_own_ends_the_value_before(scripted: Scripted) -> None:
    added = {"decisions": [{"fact": 1, "action": "ADD"}]}
    memory, _ = scripted(reply(fact("drinks", "tea")), reply(fact("drinks", "coffee")), added)
    say(memory, "Tea for me.", "2026-01-01")
    say(memory, "Coffee for me now.", "2026-01-02")
    assert [record.text for record in kept(memory)] == ["Ana drinks coffee"]


def test_rules_keep_what_fits(open_memory: Open) -> None:
    class Likes(BaseModel):
        object: Literal["tea", "plums"]

    memory = open_memory(policy="mem0", schema=Schema(facts=[Likes]))
    say(memory, "I love tea. I love rain. I live in Porto.")
    assert [record.text for record in kept(memory)] == ["Ana likes tea", "Ana lives in Porto"]
    strict = open_memory(policy="mem0", schema=Schema(facts=[Likes], only=True))
    say(strict, "I love tea. I love rain. I live in Porto.", user="bo")
    assert [record.text for record in kept(strict, user="bo")] == ["Ana likes tea"]


def test_facts_added_directly_are_held_to_what_is_declared(open_memory: Open) -> None:
    memory = open_memory(policy="mem0", schema=SCHEMA)

    def add(relation: str, value: Any, **more: Any) -> None:
        metadata = {"subject": "Ana", "relation": relation, "object": value, **more}
        memory.add({"content": "So it is.", "metadata": metadata}, kind="fact", infer=False, user_id="ana")

    add("age", "41")
    add("bought", "a car", price=20)
    add("owns", "a car")
    with pytest.raises(InvalidInput, match=r"messages\[0\].metadata.object: .*less than or equal to 130"):
        add("age", 200)
    with pytest.raises(InvalidInput, match=r"metadata.price: Field required"):
        add("Bought", "a boat")
    memory.add("Ana is 200 years old.", kind="fact", infer=False, user_id="ana")
    assert len(kept(memory)) == 4


def test_another_schema_leaves_what_was_derived_where_it_is(open_memory: Open) -> None:
    assert Mem0().made_by == open_memory(policy=Mem0(), schema=SCHEMA)._bound.core.policy.made_by


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda: Schema(facts=[dict]), "is no pydantic model; derive a class from BaseModel"),
        (lambda: Schema(entities=[wrong("Person")]), "'Person' is no pydantic model"),
        (lambda: Schema(facts=[Age, Age]), "facts name 'age' twice"),
        (lambda: Schema("x" * 8001), "instructions of over 8,000 characters"),
        (lambda: Memory("ram:", schema=wrong("tea")), r"schema: expected Schema\(…\), got str"),
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused(made: Callable[[], Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        made()


def test_attributes_may_not_be_called_as_engrams_own_fields() -> None:
    class Met(BaseModel):
        date: str

    class Place(BaseModel):
        type: str

    with pytest.raises(ConfigError, match=r"Met.date is a name of engram's own; rename it"):
        Schema(facts=[Met])
    with pytest.raises(ConfigError, match=r"Place.type is a name of engram's own"):
        Schema(entities=[Place])


def test_an_attribute_goes_with_the_turn_that_told_it(scripted: Scripted) -> None:
    with_position = fact("works_at", "Galp", position="chemist")
    memory, _ = scripted(
        reply(with_position), reply(fact("works_at", "Galp")), reply(fact("works_at", "Galp"))
    )
    first = memory.add("I am a chemist at Galp.", user_id="ana")
    memory.add("I work at Galp.", user_id="ana")
    memory.forget([first.ids[0]], user_id="ana")
    memory.wait()
    (record,) = [found for found in memory.get_all(user_id="ana") if found.kind == "fact"]
    assert (record.text, record.metadata.get("position")) == ("Ana works at Galp", None)
