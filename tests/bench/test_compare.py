"""Comparing policies on conversations made up here, with and without a model."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from engram.bench.answers import f1
from engram.bench.compare import Outcome, Settings, compare, kept, units
from engram.bench.compared import compared, winners
from engram.bench.load import Conversation, DataSet, Question, Session
from engram.bench.plots_compare import draw_compared
from engram.bench.replies import KeptReplies
from engram.bench.report_compare import category_table, winner_table
from engram.kernel.chat import ChatReply, ChatRequest, Message
from engram.kernel.errors import InvalidInput, ModelUnavailable
from engram.testing.doubles import ScriptedModel

THINGS = ["kettle", "lantern", "compass", "violin", "ladder", "anchor", "saddle", "barrel"]
PLACES = ["cellar", "attic", "harbour", "orchard", "stable", "chapel", "mill", "quarry"]


def talk(name: str) -> Conversation:
    """Eight things in eight places, a session a day, and a question for each and one for what is nowhere."""
    sessions = tuple(
        Session(
            f"day {day}",
            (
                {
                    "role": "user",
                    "content": f"The {thing} is in the {place}.",
                    "id": f"{name}{day}",
                    "time": f"2024-05-0{day + 1}T09:00:00Z",
                },
            ),
        )
        for day, (thing, place) in enumerate(zip(THINGS, PLACES, strict=True))
    )
    questions = [
        Question(f"Where is the {thing}?", frozenset({f"{name}{day}"}), "even" if day % 2 else "odd", place)
        for day, (thing, place) in enumerate(zip(THINGS, PLACES, strict=True))
    ]
    nowhere = Question("Who won the chess tournament?", frozenset(), "never said", "")
    return Conversation(name, sessions, (*questions, nowhere), "2024-05-08T09:00:00Z")


DATA = [DataSet("things", (talk("ada"), talk("bo")))]


def reader(request: ChatRequest) -> Any:
    """Answers with the place that stands in the first quotation that names the thing; judges by inclusion."""
    prompt = request.messages[-1].text
    if "<reference>" in prompt:
        reference = prompt.partition("<reference>")[2].partition("<")[0]
        return {"correct": reference in prompt.partition("<answer>")[2], "reason": ""}
    thing = next((thing for thing in THINGS if f"the {thing}?" in prompt), None)
    if thing is None:
        return {"cited": [], "answer": "", "answered": False}
    place = prompt.partition(f"The {thing} is in the ")[2].partition(".")[0]
    return {"cited": [1], "answer": f"In the {place}", "answered": True}


def without_times(outcome: Outcome) -> Outcome:
    """What does not differ from run to run."""
    asked = tuple(replace(item, seconds=0.0) for item in outcome.asked)
    return replace(
        outcome, add={**outcome.add, "seconds": 0}, tend={**outcome.tend, "seconds": 0}, asked=asked
    )


def test_every_policy_is_asked_the_same_and_the_sum_is_right() -> None:
    wanted = units(DATA, ["bm25", "dense"], Settings(ks=(1, 3)))
    outcomes = compare(wanted, {}, 1, lambda _: None)
    assert [(item.policy, item.conversation) for item in outcomes] == [
        ("bm25", "ada"), ("bm25", "bo"), ("dense", "ada"), ("dense", "bo"),
    ]  # fmt: skip
    assert all(len(item.asked) == 9 and item.turns == item.adds == 8 for item in outcomes)
    first = compared(outcomes, "bm25")[0]
    assert first.questions == 16
    assert first.recall["1"].value == 1.0
    assert first.p is None
    assert first.calls == first.tokens == 0
    assert first.f1 is None
    assert first.kept == 1.0
    assert {item.category for item in winners(compared(outcomes, "bm25"))} == {"even", "odd"}


def test_who_is_best_in_a_category_is_said_in_every_form(tmp_path: Path) -> None:
    outcomes = compare(units(DATA, ["bm25", "dense", "recency"], Settings(ks=(1,))), {}, 1, lambda _: None)
    found = compared(outcomes, "recency")
    own = {item.policy: item for item in found}
    best = [max(found, key=lambda item: item.by_category[name]["recall"]).policy for name in ("even", "odd")]
    assert own["bm25"].best_in == ("even", "odd")
    assert best == ["bm25", "bm25"]
    assert own["recency"].best_in == ()
    assert own["bm25"].to_dict()["best_in"] == ["even", "odd"]
    even, _ = winners(found)
    assert (even.questions, even.policies[0], even.recall.value, even.against) == (8, "bm25", 1.0, 0.25)
    assert even.recall.low <= even.recall.value <= even.recall.high
    console = Console(width=200, record=True)
    console.print(category_table(found), winner_table(winners(found)))
    printed = console.export_text()
    assert re.search(r"bm25 +1\.00\* +1\.00\*", printed)
    assert re.search(r"recency +0\.25 +0\.00", printed)
    draw_compared(found, tmp_path / "best.svg")
    drawn = (tmp_path / "best.svg").read_text(encoding="utf-8")
    assert "Best in things, even (8 questions): bm25" in drawn
    assert 'id="best/things/odd"' in drawn


def test_everything_is_shown_to_the_reader_by_full_context_alone() -> None:
    """Its budget is the whole conversation, that of the others the settings'; both say what they show."""
    long = replace(talk("ada"), sessions=tuple(longer(item) for item in talk("ada").sessions))
    model = ScriptedModel(reader)
    settings = Settings(model=model, budget=500)
    outcomes = compare(
        units([DataSet("long", (long,))], ["full_context", "bm25"], settings), {}, 1, lambda _: None
    )
    every, some = compared(outcomes, "bm25")
    assert some.shown <= 500 < 8 * 100 < every.shown
    shown = [prompt for prompt in model.asked if "<reference>" not in prompt][:9]
    assert all(thing in prompt for prompt in shown for thing in THINGS)
    assert every.correct is not None
    assert every.correct.value == 1.0
    assert every.recall["5"].value == 5 / 8


def longer(session: Session) -> Session:
    """The same with much more in it."""
    (message,) = session.messages
    return replace(session, messages=({**message, "content": message["content"] + " And so on." * 40},))


def test_the_same_comparison_gives_the_same_outcomes_with_more_processes() -> None:
    wanted = units(DATA, ["bm25"], Settings())
    alone = compare(wanted, {}, 1, lambda _: None)
    together = compare(wanted, {}, 2, lambda _: None)
    assert list(map(without_times, alone)) == list(map(without_times, together))


def test_a_comparison_that_was_stopped_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    wanted = units(DATA, ["bm25", "dense"], Settings())
    whole = compare(wanted, {}, 1, lambda _: None)
    lines = [json.dumps(item.to_dict()) + "\n" for item in whole]
    path.write_text("".join(lines[:2]) + lines[2][:40], encoding="utf-8")
    new: list[Outcome] = []
    done = kept(path)
    assert len(done) == 2
    again = compare(wanted, done, 1, new.append)
    assert [item.key for item in new] == [item.key for item in whole[2:]]
    assert list(map(without_times, again)) == list(map(without_times, whole))


def test_outcomes_of_an_older_form_are_read_and_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    wanted = units(DATA, ["bm25"], Settings())
    line = compare(wanted[:1], {}, 1, lambda _: None)[0].to_dict()
    del line["shown"]
    path.write_text(json.dumps({**line, "key": "of an older form"}) + "\n", encoding="utf-8")
    new: list[Outcome] = []
    compare(wanted[:1], kept(path), 1, new.append)
    assert len(new) == 1


def test_other_settings_are_measured_anew() -> None:
    keys = {
        unit.key
        for settings in (Settings(), Settings(ks=(1,)), Settings(seed=1), Settings(model="openai:x"))
        for unit in units(DATA, ["bm25"], settings)
    }
    assert len(keys) == 8
    same = {unit.key for unit in units(DATA, ["bm25"], Settings(replies=Path("elsewhere")))}
    assert same < keys


def test_a_file_of_something_else_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("{}\nmine\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"notes\.txt:1: no outcome of engram compare"):
        kept(path)


def test_answers_are_marked_and_paid_for_once(tmp_path: Path) -> None:
    """One reader and one judge for all; a second run asks nobody and says the same."""
    model = ScriptedModel(reader)
    settings = Settings(model=model, replies=tmp_path / "replies")
    wanted = units(DATA, ["bm25"], settings)
    outcomes = compare(wanted, {}, 1, lambda _: None)
    found = compared(outcomes, "bm25")[0]
    assert found.correct is not None
    assert found.correct.value == 1.0
    assert found.f1 is not None
    assert found.f1.value == pytest.approx((16 * 2 / 3 + 2) / 18)  # "in", "the" aside, one word of two
    assert found.reading_calls > 0
    calls = len(model.requests)
    again = compare(wanted, {}, 1, lambda _: None)
    assert len(model.requests) == calls
    assert list(map(without_times, again)) == list(map(without_times, outcomes))


def test_kept_replies_are_of_the_same_request_alone(tmp_path: Path) -> None:
    model = KeptReplies(ScriptedModel(["one", ChatReply("two"), ModelUnavailable("busy")]), tmp_path / "r")
    first, second = (ChatRequest((Message("user", name),)) for name in "ab")
    assert [model.reply(item).text for item in (first, second, first, second)] == ["one", "two", "one", "two"]
    with pytest.raises(ModelUnavailable):
        model.reply(replace(first, seed=1))


@pytest.mark.parametrize(
    ("answer", "gold", "mark"),
    [
        ("The cellar", "cellar", 1.0),
        ("in the cellars", "cellar", 2 / 3),
        ("the attic", "cellar", 0.0),
        ("", "", 1.0),
        ("", "cellar", 0.0),
        ("2,000 sheep", "2000 sheep", 1.0),
        ("walking, walking", "walked", 2 / 3),
    ],
)
def test_f1(answer: str, gold: str, mark: float) -> None:
    assert f1(answer, gold) == pytest.approx(mark)


def test_no_evidence_at_all_is_said() -> None:
    bare = Conversation("bare", talk("ada").sessions, (Question("Who sang?", frozenset(), ""),), None)
    outcomes = compare(units([DataSet("none", (bare,))], ["bm25"], Settings()), {}, 1, lambda _: None)
    with pytest.raises(InvalidInput, match="none: no question has evidence"):
        compared(outcomes, "bm25")


def test_the_picture_says_in_words_what_it_shows(tmp_path: Path) -> None:
    outcomes = compare(units(DATA, ["bm25", "dense"], Settings()), {}, 1, lambda _: None)
    path = tmp_path / "cost.svg"
    draw_compared(compared(outcomes, "bm25"), path)
    drawn = path.read_text(encoding="utf-8")
    assert "things, dense: recall@10" in drawn
    assert 'id="compare/things/bm25"' in drawn
