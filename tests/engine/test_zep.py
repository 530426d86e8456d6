"""The policy `zep`: what its graph holds after each step, what it asks, what it finds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from engine.conftest import Open
from engine.helpers import Ticking
from engine.replies import held, reasons, say, unusable
from engine.woven import edges_of
from engram import Memory
from engram.kernel.chat import ChatRequest
from engram.kernel.errors import ConfigError, ModelUnavailable
from engram.kernel.record import Edge
from engram.policies.zep import Zep
from engram.testing.doubles import ScriptedModel


def fact(subject: str, relation: str, value: str, **more: Any) -> dict[str, Any]:
    return {"turn": 1, "subject": subject, "relation": relation, "object": value, **more}


def found(*facts: dict[str, Any], entities: Sequence[str] = ()) -> dict[str, Any]:
    return {"facts": list(facts), "entities": list(entities)}


def same(*pairs: tuple[int, int, str]) -> dict[str, Any]:
    return {"same": [{"name": name, "entity": entity, "reason": reason} for name, entity, reason in pairs]}


def decide(*decisions: tuple[int, str, int | None, str]) -> dict[str, Any]:
    return {
        "decisions": [
            {"fact": number, "action": action, "memory": memory, "reason": reason}
            for number, action, memory, reason in decisions
        ]
    }


Scripted = Callable[..., tuple[Memory, ScriptedModel]]


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script)
        return open_memory(policy=Zep(**parameters), model=model), model

    return open_one


def texts(memory: Memory, kind: str = "fact") -> list[str]:
    return sorted(record.text for record in held(memory, kind=kind))


def told(memory: Memory) -> list[tuple[str, str, str]]:
    """The relations that hold now, by the entities' names."""
    names = {record.id: record.text for record in held(memory, kind="entity")}
    return sorted(
        (names[edge.source], edge.type, names[edge.target])
        for edge in edges_of(memory)
        if edge.current and edge.valid.end is None and edge.source in names and edge.target in names
    )


def standing_for(memory: Memory, id: str) -> list[Edge]:
    return [edge for edge in edges_of(memory) if edge.sources == (id,) and edge.current]


ACME = found(fact("Ana Duarte", "works_at", "Kestrel Media"), entities=["Ana Duarte", "Kestrel Media"])
LEFT = found(fact("Ana Duarte", "works_at", "Solaris", date="2026-03-01"), entities=["Ana Duarte", "Solaris"])


def test_an_episode_becomes_entities_a_fact_and_edges_between_them(scripted: Scripted) -> None:
    memory, model = scripted(ACME)
    receipt = say(memory, "I work at Kestrel Media.", "2026-01-01")
    assert receipt.usage["model_calls"] == len(model.requests) == 1
    assert texts(memory) == ["Ana Duarte works at Kestrel Media"]
    assert texts(memory, "entity") == ["Ana Duarte", "Kestrel Media"]
    assert told(memory) == [("Ana Duarte", "works_at", "Kestrel Media")]
    assert sorted(edge.type for edge in edges_of(memory)) == [
        "mentions", "mentions", "object", "subject", "works_at",
    ]  # fmt: skip
    entities = {record.text: record for record in held(memory, kind="entity")}
    assert all(list(record.sources) == list(receipt.ids[:1]) for record in entities.values())
    assert entities["Kestrel Media"].metadata["type"] == "organisation"


def test_a_fact_has_four_times_and_ends_when_the_next_begins(scripted: Scripted, clock: Ticking) -> None:
    memory, _ = scripted(ACME, LEFT, decide((1, "DELETE", 1, "she changed jobs")))
    say(memory, "I work at Kestrel Media.", "2026-01-01")
    (old,) = held(memory)
    created = old.known.start
    told_at = clock.skip(days=3)
    receipt = say(memory, "I have been with Solaris since March.", "2026-03-05")
    assert texts(memory) == ["Ana Duarte works at Solaris"]
    first, last = memory.history(old.id, user_id="ana")
    assert last.valid.to_dict() == {
        "start": "2026-01-01T12:00:00+00:00",
        "end": "2026-03-01T00:00:00+00:00",
    }
    assert first.known.start == created
    assert first.known.end is not None
    assert first.known.end > told_at
    assert any("she changed jobs" in reason for reason in reasons(receipt))
    assert told(memory) == [("Ana Duarte", "works_at", "Solaris")]
    ended = standing_for(memory, old.id)
    assert {edge.valid.end for edge in ended} == {last.valid.end}
    assert len(ended) == 3


def test_earlier_facts_are_found_as_of_either_axis(scripted: Scripted, clock: Ticking) -> None:
    memory, _ = scripted(ACME, LEFT, decide((1, "DELETE", 1, "she changed jobs")), turns=False)
    say(memory, "I work at Kestrel Media.", "2026-01-01")
    before = clock.skip(days=1)
    say(memory, "I have been with Solaris since March.", "2026-03-05")
    question = "Where does Ana work?"
    assert memory.search(question, user_id="ana")[0].text == "Ana Duarte works at Solaris"
    assert "Kestrel" not in " ".join(hit.text for hit in memory.search(question, user_id="ana"))
    then = memory.as_of(valid="2026-02-01").search(question, user_id="ana")
    assert [hit.text for hit in then] == ["Ana Duarte works at Kestrel Media"]
    believed = memory.as_of(known=before).search(question, user_id="ana")
    assert [hit.text for hit in believed] == ["Ana Duarte works at Kestrel Media"]


def test_undo_opens_again_what_a_reply_ended(scripted: Scripted) -> None:
    memory, _ = scripted(ACME, LEFT, decide((1, "DELETE", 1, "a mistake")))
    say(memory, "I work at Kestrel Media.", "2026-01-01")
    edges = [edge.to_dict() for edge in edges_of(memory) if edge.current]
    say(memory, "I have been with Solaris since March.", "2026-03-05")
    (new,) = held(memory)
    memory.undo(str(new.opened))
    assert texts(memory) == ["Ana Duarte works at Kestrel Media"]
    again = [edge.to_dict() for edge in edges_of(memory) if edge.current]
    moving = ("known", "opened", "closed", "version", "sequence")
    assert [{k: v for k, v in edge.items() if k not in moving} for edge in again] == [
        {k: v for k, v in edge.items() if k not in moving} for edge in edges
    ]


@pytest.mark.parametrize("decision", [(1, "DELETE", 99, "so"), (1, "DELETE", 1, "")])
def test_what_was_not_shown_or_has_no_reason_ends_nothing(scripted: Scripted, decision: Any) -> None:
    owns = found(fact("Ana Duarte", "owns", "a dog called Rex"))
    gave = found(fact("Ana Duarte", "gave away", "the dog called Rex"))
    memory, _ = scripted(owns, gave, decide(decision))
    say(memory, "I have a dog, Rex.")
    receipt = say(memory, "I gave Rex away.", "2026-01-02")
    assert texts(memory) == ["Ana Duarte gave away a dog called Rex", "Ana Duarte owns a dog called Rex"]
    assert "refused DELETE" in " ".join(reasons(receipt))


def test_a_short_form_is_the_same_entity_without_asking(scripted: Scripted) -> None:
    bob = found(fact("Bob Marlowe", "likes", "chess"), entities=["Bob Marlowe", "chess"])
    robert = found(fact("Robert Marlowe", "plays", "chess"), entities=["Robert Marlowe"])
    memory, model = scripted(bob, robert, decide((1, "ADD", None, "")))
    say(memory, "Bob Marlowe likes chess.")
    receipt = say(memory, "Robert Marlowe plays chess.", "2026-01-02")
    assert texts(memory, "entity") == ["Bob Marlowe", "chess"]
    assert texts(memory) == ["Bob Marlowe likes chess", "Bob Marlowe plays chess"]
    assert any(reason.startswith("also called Robert Marlowe") for reason in reasons(receipt))
    assert not any("mean which entity" in asked for asked in model.asked)


HALE = found(fact("Elizabeth Hale", "works_at", "Northgate Clinic"), entities=["Elizabeth Hale"])
LIZ = found(fact("Liz", "paints", "in oil"), entities=["Liz"])


def test_names_in_doubt_go_into_one_question(scripted: Scripted) -> None:
    memory, model = scripted(
        HALE, LIZ, same((1, 1, "Liz is short for Elizabeth")), decide((1, "ADD", None, ""))
    )
    say(memory, "Elizabeth Hale works at Northgate Clinic.")
    receipt = say(memory, "Liz paints in oil.", "2026-01-02")
    assert texts(memory, "entity") == ["Elizabeth Hale"]
    assert "Elizabeth Hale paints in oil" in texts(memory)
    assert receipt.usage["model_calls"] <= 4
    assert sum("mean which entity" in asked for asked in model.asked) == 1
    assert "also called Liz: Liz is short for Elizabeth" in reasons(receipt)


@pytest.mark.parametrize("reply", [same(), same((1, 9, "so")), same((7, 1, "so")), same((1, 1, " "))])
def test_a_name_that_the_reply_does_not_place_is_new(scripted: Scripted, reply: Any) -> None:
    memory, _ = scripted(HALE, LIZ, reply, decide((1, "ADD", None, "")))
    say(memory, "Elizabeth Hale works at Northgate Clinic.")
    say(memory, "Liz paints in oil.", "2026-01-02")
    assert texts(memory, "entity") == ["Elizabeth Hale", "Liz"]


def test_two_of_one_name_are_told_apart(scripted: Scripted) -> None:
    old = found(fact("John Smith", "birthday", "3 May"), entities=["John Smith"])
    young = found(fact("John Smith", "birthday", "19 October"), entities=["John Smith"])
    memory, _ = scripted(old, young, decide((1, "ADD", None, "")))
    say(memory, "John Smith's birthday is 3 May.")
    say(memory, "The other John Smith has his birthday on 19 October.", "2026-01-02")
    assert texts(memory, "entity") == ["John Smith", "John Smith (2)"]
    assert texts(memory) == ["John Smith (2) birthday 19 October", "John Smith birthday 3 May"]


def test_two_entities_that_a_name_joins_are_merged_and_undone(scripted: Scripted) -> None:
    one = found(fact("Tidal Bank", "founded in", "1994"), entities=["Tidal Bank"])
    two = found(fact("Meridian Group Bank", "based in", "Hull"), entities=["Meridian Group Bank"])
    told_both = found(
        fact("Meridian Group Bank", "formerly known as", "Tidal Bank"), entities=["Meridian Group Bank"]
    )
    last = found(fact("Tidal Bank", "formerly known as", "Meridian Group Bank"), entities=["Tidal Bank"])
    script = [one, two, told_both, decide((1, "ADD", None, "")), last, decide((1, "ADD", None, ""))]
    memory, _ = scripted(*script)
    for day, text in enumerate(
        ("Tidal Bank, 1994.", "Meridian Group Bank, Hull.", "It was renamed.", "So it was."), 1
    ):
        receipt = say(memory, text, f"2026-01-0{day}")
        assert receipt.items[-1].event != "failed"
    assert len(texts(memory, "entity")) == 1


def test_a_merge_and_both_names_in_one_message(open_memory: Open) -> None:
    memory = open_memory(policy="zep")
    triples = (
        ["Tidal Bank", "founded in", "1994"],
        ["Meridian Group", "sponsors", "rowing"],
        ["Meridian Group", "formerly known as", "Tidal Bank"],
    )
    *_, receipt = [
        memory.add({"content": "(a table)", "triples": [triple]}, user_id="ana") for triple in triples
    ]
    assert any("the same as Tidal Bank" in item.reason for item in receipt.items)
    assert [item.event for item in receipt.items].count("merged") == 1
    assert len([text for text in texts(memory, "entity") if text in ("Tidal Bank", "Meridian Group")]) == 1
    facts = {fact.metadata["relation"]: fact.metadata["subject"] for fact in held(memory)}
    assert facts["founded in"] == facts["sponsors"]
    last = max(fact.opened for fact in held(memory))
    memory.undo(str(last))
    assert {"Tidal Bank", "Meridian Group"} <= set(texts(memory, "entity"))
    assert {fact.metadata["subject"] for fact in held(memory)} == {"Tidal Bank", "Meridian Group"}


def test_given_triples_are_taken_and_no_model_is_asked(scripted: Scripted) -> None:
    memory, model = scripted()
    triples = [["Ana", "lives_in", "Porto"], {"subject": "Ana", "relation": "lives_in", "object": "Oslo",
               "valid_start": "2026-05-01T00:00:00Z"}]  # fmt: skip
    message = {
        "content": "See the table.",
        "time": "2026-01-01T00:00:00Z",
        "triples": triples,
        "entities": [{"name": "Oslo", "type": "city", "aliases": ["Christiania"]}],
    }
    memory.add(message, user_id="ana")
    assert model.requests == []
    assert texts(memory, "entity") == ["Ana", "Oslo", "Porto"]
    spans = {record.text: record.valid.to_dict() for record in held(memory)}
    assert spans["Ana lives in Oslo"] == {"start": "2026-05-01T00:00:00+00:00", "end": None}
    then = memory.as_of(valid="2026-02-01").search("Where does Ana live?", user_id="ana")
    assert next(hit.text for hit in then if hit.record.kind == "fact") == "Ana lives in Porto"


def test_without_a_model_rules_do_and_the_receipt_says_so(open_memory: Open) -> None:
    memory = open_memory(policy="zep")
    receipt = say(memory, "My brother Tomas works at Kestrel Media.")
    assert "by rules: no model is configured" in reasons(receipt)
    assert told(memory) == [
        ("Ana", "brother", "Tomas"),
        ("Tomas", "works_at", "Kestrel Media"),
    ]


def test_an_episode_takes_at_most_four_calls_and_3000_tokens(open_memory: Open) -> None:
    """Long messages, names in doubt, and many facts near: the dearest episode there is."""
    long = "and we talked about it for a good while over dinner with the neighbours " * 5
    firsts = ["Elizabeth", "Robert", "Margaret", "Theodore"]
    shorts = ["Liz", "Bob", "Peggy", "Ted"]

    def reply(request: ChatRequest) -> Any:
        prompt = request.messages[-1].text
        number = sum("Which facts" in asked for asked in model.asked)
        if "Which facts" in prompt:
            names = shorts if number % 2 else [f"{first} Hale" for first in firsts]
            facts = [
                fact(name, "likes", f"green tea of kind {number} from hill {n}")
                for n, name in enumerate(names)
            ]
            return found(*facts, entities=names)
        if "mean which entity" in prompt:
            return same()
        return decide(*[(n, "ADD", None, "another kind of tea") for n in (1, 2, 3, 4)])

    model = ScriptedModel(reply)
    memory = open_memory(policy=Zep(), model=model)
    taken = [say(memory, f"We like green tea, {long}").usage for _ in range(12)]
    assert max(usage["model_calls"] for usage in taken) <= 4
    assert any("mean which entity" in asked for asked in model.asked)
    assert max(usage["tokens_in"] + usage["tokens_out"] for usage in taken) < 3000


def test_several_messages_in_one_add_cost_no_more_calls(scripted: Scripted) -> None:
    facts = [fact("Ana", "likes", f"thing {n}", turn=n) for n in range(1, 9)]
    memory, model = scripted(found(*facts))
    receipt = memory.add([f"I like thing {n}." for n in range(1, 9)], user_id="ana")
    assert receipt.usage["model_calls"] == len(model.requests) == 1
    assert len(texts(memory)) == 8


def sensible(request: ChatRequest) -> dict[str, Any]:
    """Takes "X verb Y." as a fact of two entities, adds every fact, and knows no names."""
    prompt = request.messages[-1].text
    if "mean which entity" in prompt:
        return same()
    lines = [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]
    if "What becomes of them?" in prompt:
        return decide(*[(line["fact"], "ADD", None, "") for line in lines if "fact" in line])
    facts = []
    for line in lines:
        first, last, verb, *rest = line["text"].rstrip(".").split()
        facts.append(fact(f"{first} {last}", verb, " ".join(rest), turn=line["turn"]))
    return found(*facts, entities=[name for item in facts for name in (item["subject"], item["object"])])


def test_an_alias_goes_with_the_turn_that_told_it(open_memory: Open) -> None:
    memory = open_memory(policy=Zep(earlier=0), model=ScriptedModel(sensible))
    texts_said = ("Robert Marlowe likes Leeds.", "Bob Marlowe plays chess.", "Robert Marlowe likes Leeds.")
    ids = [say(memory, text, f"2026-01-0{day}").ids[0] for day, text in enumerate(texts_said, 1)]

    def of_robert() -> list[Any]:
        return [r.metadata.get("aliases") for r in held(memory, kind="entity") if r.text == "Robert Marlowe"]

    assert of_robert() == [["Bob Marlowe"]]
    memory.forget([ids[1]], user_id="ana")
    assert memory.wait()
    assert of_robert() == [[]]
    assert texts(memory) == ["Robert Marlowe likes Leeds"]
    memory.forget([ids[0]], user_id="ana")
    assert memory.wait()
    assert of_robert() == [[]]
    assert texts(memory) == ["Robert Marlowe likes Leeds"]
    assert memory.verify().ok


def test_a_name_goes_with_the_turns_that_told_it_and_so_do_facts_under_it(open_memory: Open) -> None:
    memory = open_memory(policy=Zep(earlier=0), model=ScriptedModel(sensible))
    first = say(memory, "Bob Marlowe plays chess.").ids[0]
    say(memory, "Robert Marlowe likes Leeds.", "2026-01-02")
    assert texts(memory) == ["Bob Marlowe likes Leeds", "Bob Marlowe plays chess"]
    memory.forget([first], user_id="ana")
    assert memory.wait()
    assert texts(memory) == ["Robert Marlowe likes Leeds"]
    assert texts(memory, "entity") == ["Leeds", "Robert Marlowe"]
    assert memory.verify().ok


GOOD = found(fact("Ana", "owns", "a cat"), entities=["Ana"])
BAD = unusable(GOOD, {"graph": ["Ana owns a cat"]})


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_reply_of_no_use_is_asked_for_again_and_then_parked(open_memory: Open, bad: Any) -> None:
    memory = open_memory(policy=Zep(), model=ScriptedModel([bad, GOOD]))
    again = say(memory, "I own a cat.")
    assert (texts(memory), again.usage["model_calls"]) == (["Ana owns a cat"], 2)
    parked = open_memory(policy=Zep(), model=ScriptedModel([bad, bad]))
    receipt = say(parked, "I own a cat.", user="other")
    assert receipt.items[-1].event == "failed"
    assert [hit.text for hit in parked.search("cat", user_id="other")] == ["I own a cat."]
    assert parked.stats()["jobs"]["parked"] == 1


def test_a_bad_reply_on_names_parks_the_whole_episode(scripted: Scripted) -> None:
    memory, _ = scripted(HALE, LIZ, "no idea", "no idea")
    say(memory, "Elizabeth Hale works at Northgate Clinic.")
    assert say(memory, "Liz paints in oil.", "2026-01-02").items[-1].event == "failed"
    assert texts(memory, "entity") == ["Elizabeth Hale"]


def test_a_model_that_never_answers_leaves_the_job_pending(open_memory: Open, clock: Ticking) -> None:
    memory = open_memory(policy=Zep(), model=ScriptedModel([ModelUnavailable("timed out"), GOOD]))
    receipt = say(memory, "I own a cat.")
    assert (receipt.items[-1].event, texts(memory)) == ("pending", [])
    clock.skip(hours=1)
    memory.wait()
    assert texts(memory) == ["Ana owns a cat"]


def test_another_users_entities_are_never_met(scripted: Scripted) -> None:
    memory, model = scripted(HALE, LIZ)
    say(memory, "Elizabeth Hale works at Northgate Clinic.", user="ben")
    say(memory, "Liz paints in oil.")
    assert len(model.requests) == 2
    assert texts(memory, "entity") == ["Liz"]


@pytest.mark.parametrize("settings", [{"rerank": "best"}, {"k": 0}, {"near": 2}, {"steps": -1}])
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="zep"):
        Zep(**settings)
