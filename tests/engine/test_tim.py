"""TiM: thoughts, their hashed groups, and how they are inserted, forgotten and merged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engram
from engine.conftest import Open
from engine.replies import held, reasons, say
from engram import Memory
from engram.kernel.errors import ConfigError
from engram.kernel.protocols import SelectEdges
from engram.kernel.record import Edge
from engram.operators.thoughts.hashing import GROUP, group_of, projection
from engram.policies.tim import TiM
from engram.testing.doubles import HashEmbedder, ScriptedModel

Scripted = Callable[..., tuple[Memory, ScriptedModel]]
ACTOR, DIRECTOR = ("John", "works as", "an actor"), ("John", "works as", "a director")
BOTH = {"thoughts": [1, 2], "head": "John", "relation": "works as", "tail": "an actor and a director"}
DOG, GONE = ("Ana", "owns a dog called", "Rex"), ("Ana", "owns no dog called", "Rex")


def found(*triples: tuple[str, str, str]) -> dict[str, Any]:
    """Thoughts of turn 1."""
    names = ("turn", "subject", "relation", "object")
    return {"facts": [dict(zip(names, (1, *triple), strict=True)) for triple in triples]}


def order(forget: list[dict[str, Any]] | None = None, *merge: dict[str, Any]) -> dict[str, Any]:
    return {"forget": forget or [], "merge": list(merge)}


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    """One group for whatever points into one half of the space of two dimensions: all of these texts."""

    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script)
        policy = TiM(**{"groups": 2, "seed": 1, "near": 0.0, **parameters})
        return open_memory(policy=policy, model=model, embedder=Near()), model

    return open_one


class Near(HashEmbedder):
    """Texts that share nothing are alike still, so that they fall into one of two groups."""

    def __init__(self) -> None:
        super().__init__(8)
        self.name = "near-8"

    def embed(self, texts: Any) -> Any:
        rows = super().embed(texts) * 0.2 + projection(1, 8, 2)[:, 0]
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def groups_kept(memory: Memory, user: str = "ana") -> dict[str, Edge]:
    core = memory._bound.core
    asked = SelectEdges(scope=memory._bound.scope({"user_id": user}), types=(GROUP,))
    return {edge.source: edge for edge in core.store.edges(asked) if edge.current}


def independent(vector: list[float], seed: int, groups: int) -> int:
    """F(x) = argmax([xR; -xR]), number by number, without arrays."""
    r = np.random.RandomState(seed).standard_normal((len(vector), groups // 2)).tolist()
    projected = [
        sum(x * row[column] for x, row in zip(vector, r, strict=True)) for column in range(groups // 2)
    ]
    values = [*projected, *(-value for value in projected)]
    return max(range(groups), key=lambda place: (values[place], -place))


@pytest.mark.parametrize("groups", [2, 8, 32])
@pytest.mark.parametrize("dimensions", [3, 64])
def test_the_hash_is_that_of_the_paper(dimensions: int, groups: int) -> None:
    vectors = np.random.default_rng(dimensions).standard_normal((200, dimensions)).astype(np.float32)
    reckoned = group_of(vectors, 5, groups)
    assert reckoned == [independent(list(map(float, row)), 5, groups) for row in vectors]
    assert len(set(reckoned)) >= min(groups, 2 * dimensions) // 2
    assert group_of(-vectors, 5, groups) == [(own + groups // 2) % groups for own in reckoned]


def test_what_points_alike_shares_a_group_more_often_than_what_does_not() -> None:
    draw = np.random.default_rng(0)
    one = draw.standard_normal((500, 32))
    alike, other = one + 0.3 * draw.standard_normal((500, 32)), draw.standard_normal((500, 32))
    share = [
        np.mean([a == b for a, b in zip(group_of(one, 0, 8), group_of(x, 0, 8), strict=True)])
        for x in (alike, other)
    ]
    assert share[0] > 0.6
    assert share[1] < 0.3


def test_the_projection_is_the_same_for_ever() -> None:
    written_down = [1.690525703800356, -0.4659373705408328, 0.0328201636785844, 0.40751628299650783]
    assert projection(7, 2, 4).ravel().tolist() == pytest.approx(written_down, abs=1e-12)


def test_the_store_keeps_the_group_of_every_thought_with_what_it_was_reckoned_of(open_memory: Open) -> None:
    embedder = HashEmbedder(32)
    memory = open_memory(policy=TiM(groups=8, seed=3), embedder=embedder)
    for text in ("I live in Porto.", "My favourite tea is sencha.", "My sister Berta works at Acme."):
        say(memory, text)
    thoughts, kept = held(memory), groups_kept(memory)
    assert len(thoughts) == len(kept) >= 3
    for thought in thoughts:
        edge = kept[thought.id]
        (vector,) = embedder.embed([thought.text]).tolist()
        assert edge.weight == pytest.approx(independent(vector, 3, 8), abs=1e-6)
        assert {name: edge.metadata[name] for name in ("seed", "groups", "embedder")} == {
            "seed": 3,
            "groups": 8,
            "embedder": "hash-32",
        }


def test_a_search_finds_the_nearest_of_the_querys_group_and_nothing_of_another(open_memory: Open) -> None:
    embedder = HashEmbedder(32)
    memory = open_memory(policy=TiM(groups=4, turns=False), embedder=embedder)
    for place in ("Porto", "Oslo", "Rome", "Lima", "Bonn", "Kyiv", "Graz", "Nice"):
        say(memory, f"I visited {place}. I like {place} cake.")
    thoughts = held(memory)
    query = "Which cake does Ana like?"
    (target,) = group_of(embedder.embed([query]), 0, 4)
    vectors = embedder.embed([thought.text for thought in thoughts])
    inside = [one for one, own in zip(thoughts, group_of(vectors, 0, 4), strict=True) if own == target]
    cosine = {
        one.id: float(row @ embedder.embed([query])[0]) for one, row in zip(thoughts, vectors, strict=True)
    }
    hits = memory.search(query, user_id="ana", k=50, explain=True)
    assert 0 < len(inside) < len(thoughts)
    assert sorted(hit.id for hit in hits) == sorted(one.id for one in inside)
    assert [cosine[hit.id] for hit in hits] == pytest.approx(
        sorted((cosine[one.id] for one in inside), reverse=True), abs=0.02
    )
    assert {hit.why["group"] for hit in hits} == {float(target)}
    beside = open_memory(policy=TiM(groups=4), embedder=embedder)
    say(beside, "Good morning.")
    assert [hit.text for hit in beside.search("morning", user_id="ana", k=5)][:1] == ["Good morning."]


def test_another_embedder_has_other_groups_at_once_and_tend_writes_them_down(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'memory.db'}"
    first, second = HashEmbedder(32), HashEmbedder(48)
    with Memory(url, policy=TiM(groups=8), embedder=first) as memory:
        for text in ("I live in Porto.", "My favourite tea is sencha.", "I work at Acme."):
            say(memory, text)
        before = {id: edge.weight for id, edge in groups_kept(memory).items()}
    assert engram.reembed(url, embedder=second).ok
    with Memory(url, policy=TiM(groups=8, turns=False), embedder=second) as memory:
        thoughts = held(memory)
        now = dict(
            zip(
                (one.id for one in thoughts),
                group_of(second.embed([one.text for one in thoughts]), 0, 8),
                strict=True,
            )
        )
        assert now != {id: int(group) for id, group in before.items()}
        for thought in thoughts:
            own = group_of(second.embed([thought.text]), 0, 8)
            expected = {id for id, group in now.items() if [group] == own}
            assert {hit.id for hit in memory.search(thought.text, user_id="ana", k=20)} == expected
        memory.tend(user_id="ana")
        kept = groups_kept(memory)
        assert {id: int(edge.weight) for id, edge in kept.items()} == now
        assert {edge.metadata["embedder"] for edge in kept.values()} == {"hash-48"}
        versions = {id: edge.opened for id, edge in kept.items()}
        memory.tend(user_id="ana")
        assert {id: edge.opened for id, edge in groups_kept(memory).items()} == versions


def test_thoughts_are_inserted_merged_and_forgotten_step_by_step(scripted: Scripted) -> None:
    memory, model = scripted(
        found(ACTOR),
        found(DIRECTOR), order(None, BOTH),
        found(DOG), order(),
        found(GONE), order([{"thought": 1, "reason": "the dog is gone"}]),
    )  # fmt: skip
    first = say(memory, "I act.", "2026-01-01")
    assert (first.usage["model_calls"], [one.text for one in held(memory)]) == (1, ["John works as an actor"])
    second = say(memory, "I direct.", "2026-01-02")
    (merged,) = held(memory)
    assert second.usage["model_calls"] == 2
    assert merged.text == "John works as an actor and a director"
    assert merged.metadata["object"] == "an actor and a director"
    assert set(merged.sources) == {first.ids[0], second.ids[0]}
    assert reasons(second) == ["merged"]
    assert '{"thought": 1, "since": "2026-01-01", "text": "John works as an actor"}' in model.asked[2]
    assert (
        '{"thought": 2, "since": "2026-01-02", "text": "John works as a director", "new": true}'
        in model.asked[2]
    )
    say(memory, "I have a dog, Rex.", "2026-01-03")
    last = say(memory, "We gave Rex away.", "2026-01-04")
    texts = {one.text for one in memory.get_all(user_id="ana") if one.kind == "fact"}
    assert texts == {"John works as an actor and a director", "Ana owns no dog called Rex"}
    assert "the dog is gone" in reasons(last)
    then = memory.as_of(valid="2026-01-03T18:00Z").search("dog Rex", user_id="ana", filters={"kind": "fact"})
    assert "Ana owns a dog called Rex" in [hit.text for hit in then]
    memory.undo(last.derived or "", user_id="ana")
    assert "Ana owns a dog called Rex" in {one.text for one in held(memory)}
    assert memory.verify().problems == ()


def test_a_thought_alone_in_its_group_asks_nothing_and_what_is_known_is_confirmed(scripted: Scripted) -> None:
    memory, _ = scripted(found(ACTOR), found(ACTOR), found(), found(ACTOR, DIRECTOR))
    assert [say(memory, f"I act {n}.").usage["model_calls"] for n in range(4)] == [1, 1, 1, 1]
    assert [len(one.sources) for one in held(memory)] == [3, 1]


def test_new_thoughts_of_one_add_become_one_before_they_are_added(scripted: Scripted) -> None:
    memory, model = scripted(found(ACTOR, DIRECTOR, DOG), order([{"thought": 3, "reason": "a joke"}], BOTH))
    receipt = say(memory, "I act and direct, and my dog is called Rex, haha.")
    assert [one.text for one in held(memory)] == ["John works as an actor and a director"]
    assert receipt.usage["model_calls"] == len(model.asked) == 2
    assert len(groups_kept(memory)) == 1


def test_three_kept_thoughts_and_a_new_one_become_one_and_erasing_takes_all_of_it(scripted: Scripted) -> None:
    three = [(DOG[0], "owns", pet) for pet in ("a dog", "a cat", "a crow")]
    every = {
        "thoughts": [1, 2, 3, 4],
        "head": "Ana",
        "relation": "owns",
        "tail": "a dog, a cat, a crow and a hen",
    }
    memory, _ = scripted(
        found(three[0]), found(three[1]), order(), found(three[2]), order(),
        found((DOG[0], "owns", "a hen")), order(None, every),
        *(found(one) for one in three), order(), order(),
    )  # fmt: skip
    receipts = [say(memory, f"I have {pet}.") for pet in ("a dog", "a cat", "a crow", "a hen")]
    (one,) = held(memory)
    assert one.text == "Ana owns a dog, a cat, a crow and a hen"
    assert set(one.sources) == {receipt.ids[0] for receipt in receipts}
    assert {item.event for item in receipts[3].items} == {"stored", "superseded", "merged"}
    memory.forget([receipts[3].ids[0]], user_id="ana")
    assert memory.wait()
    assert not any("hen" in record.text for record in memory.get_all(user_id="ana"))
    assert memory.verify().problems == ()


@pytest.mark.parametrize(
    "reply",
    [
        order([{"thought": 9, "reason": "gone"}, {"thought": 0, "reason": "gone"}]),
        order([{"thought": 1, "reason": " "}]),
        order(None, {**BOTH, "thoughts": [1]}, {**BOTH, "thoughts": [1, 7]}, {**BOTH, "tail": " "}),
        order(None, {**BOTH, "thoughts": []}),
    ],
    ids=["not shown", "no reason", "no merge", "nothing to merge"],
)
def test_what_a_reply_says_of_what_was_not_shown_is_refused_and_told(scripted: Scripted, reply: Any) -> None:
    memory, _ = scripted(found(ACTOR), found(DIRECTOR), reply)
    say(memory, "I act.")
    receipt = say(memory, "I direct.")
    assert len(held(memory)) == 2
    assert reasons(receipt)[0].startswith("refused ")


def test_thoughts_of_different_groups_do_not_become_one(open_memory: Open) -> None:
    model = ScriptedModel([found(ACTOR, DIRECTOR, DOG, GONE), order(None, {**BOTH, "thoughts": [1, 4]})])
    memory = open_memory(policy=TiM(groups=2, seed=1, near=0.0), model=model, embedder=HashEmbedder(16))
    say(memory, "All of it.")
    texts = [f"{' '.join(triple)}" for triple in (ACTOR, DIRECTOR, DOG, GONE)]
    assert group_of(HashEmbedder(16).embed(texts), 1, 2) in ([0, 0, 1, 1], [1, 1, 0, 0])
    assert len(held(memory)) == 4
    assert model.asked[1].count("Group ") == 2


def test_without_a_model_facts_are_taken_and_the_receipt_says_so(open_memory: Open) -> None:
    memory = open_memory(policy="tim")
    first = say(memory, "I live in Porto.", "2026-01-01")
    second = say(memory, "I moved to Oslo.", "2026-02-01")
    assert reasons(first) == ["by rules: no model is configured"]
    assert [one.text for one in memory.get_all(user_id="ana") if one.kind == "fact"] == ["Ana lives in Oslo"]
    assert (first.usage, second.usage) == ({}, {})
    assert len(groups_kept(memory)) == 2
    assert (
        memory.search("Ana lives in Oslo", user_id="ana", filters={"kind": "fact"})[0].text
        == "Ana lives in Oslo"
    )


def test_the_group_follows_what_a_thought_says(scripted: Scripted) -> None:
    memory, _ = scripted(found(ACTOR), found(DIRECTOR), order(None, BOTH))
    say(memory, "I act.")
    (before,) = groups_kept(memory).values()
    say(memory, "I direct.")
    (after,) = groups_kept(memory).values()
    assert before.metadata["of"] != after.metadata["of"]
    assert before.source == after.source


def test_many_thoughts_of_one_add_share_questions(scripted: Scripted) -> None:
    many = found(*(("Ana", "owns", f"thing {n}") for n in range(30)))
    memory, model = scripted(many, order(), order(), order(), order())
    receipt = say(memory, "I own much.")
    assert receipt.usage["model_calls"] == len(model.asked) == 2
    assert max(map(len, model.asked)) < 4000
    assert len(held(memory)) == 30


@pytest.mark.parametrize(
    "wrong", [{"groups": 3}, {"groups": 0}, {"seed": -1}, {"k": 0}, {"near": 2}, {"earlier": -1}]
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="tim: "):
        TiM(**wrong)


def test_tokens_of_an_add(scripted: Scripted) -> None:
    """Thoughts of the group shown beside a new one: what one message takes at most."""
    likes = [found(("Ana", "likes", f"the tea number {n} of the shop")) for n in range(9)]
    memory, _ = scripted(likes[0], *(reply for one in likes[1:] for reply in (one, order())))
    said = [say(memory, f"I like the tea number {n} of the shop, it is good. " * 2).usage for n in range(9)]
    assert [usage["model_calls"] for usage in said] == [1, *[2] * 8]
    assert said[0]["tokens_in"] + said[0]["tokens_out"] < 330
    assert max(usage["tokens_in"] + usage["tokens_out"] for usage in said) < 800
