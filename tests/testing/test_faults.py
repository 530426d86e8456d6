"""Bad luck comes from the seed alone, and only to those it can befall."""

from typing import Any

import numpy as np
import pytest

from engram.kernel.drive import run
from engram.kernel.effects import Ask, Effect, Embed, Now, Rank, each
from engram.kernel.errors import BadReply, ModelUnavailable
from engram.testing.doubles import HashEmbedder, ScriptedModel
from engram.testing.faults import Crash, Faulty


def perform(effect: Effect[Any], path: str) -> Any:
    """A world in which everything works."""
    if isinstance(effect, Embed):
        return HashEmbedder().embed(effect.texts)
    if isinstance(effect, Rank):
        return [0.5] * len(effect.texts)
    return "a reply that is long enough to be cut"


async def program() -> list[str]:
    return await each([Ask("one?", str), Ask("two?", str), Ask("three?", str)])


def fates(seed: int, **options: Any) -> list[tuple[int, str, str]]:
    """What befalls forty questions and forty looks at the clock."""
    faulty = Faulty(perform, seed, **options)
    effects: list[Effect[Any]] = [Ask("?", str), Now()]
    for effect in effects * 40:
        try:
            faulty(effect, "0")
        except (Crash, ModelUnavailable, BadReply):
            continue
    return faulty.log


def test_the_same_seed_brings_the_same_luck() -> None:
    assert fates(1, rate=0.3) == fates(1, rate=0.3)
    assert fates(1, rate=0.3) != fates(2, rate=0.3)
    assert fates(1, rate=0.0) == []


def test_only_a_crash_befalls_what_no_model_performs() -> None:
    log = fates(3, rate=1.0)
    assert {kind for _, kind, effect in log if effect == "Now"} == {"crash"}
    assert {kind for _, kind, effect in log if effect == "Ask"} == {"crash", "timeout", "garble", "refuse"}
    assert {effect for _, _, effect in fates(3, rate=1.0, kinds=("timeout",))} == {"Ask"}


def test_a_crash_passes_through_the_driver_and_comes_before_or_after_the_effect() -> None:
    done: list[str] = []

    def counting(effect: Effect[Any], path: str) -> Any:
        done.append(path)
        return perform(effect, path)

    for seed in range(8):
        with pytest.raises(Crash):
            run(program(), Faulty(counting, seed, kinds=("crash",), at=[1]))
    assert done.count("0.0") == 8
    assert 0 < done.count("0.1") < 8
    assert done.count("0.2") == 0


def test_a_garbled_answer_holds_both_sides() -> None:
    with pytest.raises(BadReply) as caught:
        run(program(), Faulty(perform, 0, kinds=("garble",), at=[2]))
    assert caught.value.prompt == "three?"
    assert caught.value.reply in repr(perform(Ask("", str), ""))


def test_a_refusal_comes_from_a_chat_model_alone() -> None:
    with pytest.raises(BadReply, match="declined") as caught:
        run(program(), Faulty(perform, 0, kinds=("refuse",), at=[2]))
    assert caught.value.prompt == "three?"
    assert "I cannot" in caught.value.reply
    faulty = Faulty(perform, 0, kinds=("refuse",), rate=1.0)
    assert faulty(Rank("q", ("a", "b")), "1") == [0.5, 0.5]


def test_garbled_vectors_and_scores_are_one_too_few() -> None:
    faulty = Faulty(perform, 0, kinds=("garble",), rate=1.0)
    assert faulty(Embed(("a", "b")), "0").shape == (1, 16)
    assert len(faulty(Rank("q", ("a", "b")), "1")) == 1


def test_a_kind_of_fault_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="crash, timeout, garble"):
        Faulty(perform, 0, kinds=("flood",))


def test_hash_embedder_gives_unit_rows_and_zeros() -> None:
    rows = HashEmbedder().embed(["tea with milk", "milk and tea", "coal", "?!"])
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1, 0])
    assert rows[0] @ rows[1] > rows[0] @ rows[2]
    assert HashEmbedder().count("tea with milk") == 3


def test_scripted_model_answers_in_order_and_says_when_it_is_over() -> None:
    model = ScriptedModel(["a", "b"])
    with pytest.raises(ModelUnavailable, match=r"three\?"):
        run(program(), model)
    assert model.asked == ["one?", "two?", "three?"]
