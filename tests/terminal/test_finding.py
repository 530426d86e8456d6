"""What was stored, as somebody at a terminal looks it up."""

from __future__ import annotations

import base64
import json
import re

from engram.testing.server import ScriptedServer, failing
from terminal.conftest import Kept
from terminal.driver import Terminal, drives


@drives("search")
def test_a_hit_says_what_who_when_how_sure_and_under_which_id(reader: Terminal, kept: Kept) -> None:
    seen, other = reader.each(
        ("search", "Where does Ana live?", "--user", "ana", "-k", "2", "--explain"), ("search", "heron")
    )
    head, text, why = seen.lines[0], seen.lines[1], seen.lines[2]
    assert re.match(r" 0\.\d\d  2024-05-02 10:00  Ana  ", head)
    assert head.split()[-1] == kept.ids[0]
    assert text.strip() == "I moved to Lisbon in May, to a flat by the river."
    assert "named +" in why
    assert sum(line.startswith(" 0.") for line in seen.lines) == 2
    assert seen.width <= 80
    assert seen.coloured
    assert "nothing is stored for user_id 'default'; users with records: 'ana', 'bo'" in other.words


def test_hits_fit_terminals_narrow_and_wide(reader: Terminal, kept: Kept) -> None:
    for columns in (40, 120):
        seen = reader.but(columns).run("search", "Where does Ana live?", "--user", "ana", "-k", "1")
        assert seen.width <= columns
        assert any(line.strip().endswith(kept.ids[0]) for line in seen.lines)  # whole, to be copied
        assert "I moved to Lisbon in May, to a flat by the river." in seen.words


@drives("ask")
def test_a_question_is_answered_quoted_or_left_open(reader: Terminal, kept: Kept) -> None:
    """Without a model the best records are quoted; where none answers, it is said, and all is well."""
    quoted, unknown, nobody, before = reader.each(
        ("ask", "Where does Ana live?", "--user", "ana"),
        ("ask", "Where does Ana live?", "--user", "ana", "--min-score", "1"),
        ("ask", "Where does Ana live?"),
        ("ask", "What does the boat rental cost?", "--user", "ana", "--known", "yesterday"),
    )
    assert re.match(rf"  \[\d\]  2024-05-02 10:00  Ana  {kept.ids[0]}", quoted.text)
    assert "I moved to Lisbon in May, to a flat by the river." in quoted.words
    assert "an extract, not an answer: the memory has no chat model" in quoted.words
    assert quoted.width <= 80
    assert quoted.coloured
    assert "nothing that is remembered answers it: the best score is" in unknown.words
    assert "nothing is stored for user_id 'default'; users with records: 'ana', 'bo'" in nobody.words
    assert "nothing that is remembered has to do with it" in before.words


@drives("ask")
def test_a_models_answer_is_shown_with_what_it_stands_on(reader: Terminal, kept: Kept) -> None:
    good = {"cited": [1, 9], "answer": "In \x1b[31mLisbon.", "answered": True}
    bad = {"cited": [], "answer": "", "answered": False}
    with ScriptedServer([json.dumps(good), json.dumps(bad), failing(401)]) as server:
        asking = reader.but(
            ENGRAM_MODEL="openai:small", OPENAI_BASE_URL=server.url, OPENAI_API_KEY="none", ENGRAM_API_KEY=""
        )
        told = asking.run("ask", "Where does Ana live?", "--user", "ana", "-k", "1")
        unknown = asking.run("ask", "Where does Ana's sister live?", "--user", "ana")
        refused = asking.run("ask", "Where does Ana live?", "--user", "ana", code=1)
    assert told.lines[0] == "In \N{REPLACEMENT CHARACTER}[31mLisbon."
    assert kept.ids[0] in told.text
    assert "I moved to Lisbon in May" in told.words
    assert "which was dropped: [9]" in told.words
    assert "the model finds no answer in what is remembered" in unknown.words
    assert "In " not in unknown.lines[0]
    assert len(refused.text) < 400
    assert "401" in refused.words


@drives("context")
def test_a_context_for_a_prompt_is_shown_or_copied_through_the_terminal(reader: Terminal) -> None:
    asked = ("context", "the heron on the weir", "--user", "ana", "--budget", "200")
    shown, copied = reader.each(asked, (*asked, "--copy"))
    assert shown.lines[0].startswith("<memory note=")
    assert shown.lines[-1] == "</memory>"
    assert "A heron stood on the weir" in shown.words
    order = re.search(r"\x1b\]52;c;([A-Za-z0-9+/=]+)\x07", copied.raw)
    assert order
    clipboard = base64.b64decode(order[1]).decode()
    assert clipboard.startswith("<memory note=")
    assert "A heron stood on the weir this morning — grey, 鷺, très calme 🪶." in clipboard
    assert re.match(r"\d+ tokens, \d records copied by the terminal \(OSC 52\)", copied.words)


@drives("add", "context", "list")
def test_a_block_begins_each_context_and_a_secret_is_not_listed(terminal: Terminal) -> None:
    terminal.run(
        "add", "I am Pip. " + "I row. " * 100, "--kind", "core", "--metadata", '{"block": "persona"}'
    )
    terminal.run("add", "hunter2 opens the safe.", "--kind", "secret")
    shown, listed, found = terminal.each(
        ("context", "hunter2", "--budget", "90"), ("list",), ("search", "hunter2 opens the safe")
    )
    assert any(line.startswith("[1] persona (always shown): I am Pip.") for line in shown.lines)
    assert "block 'persona' was cut to keep to the budget" in shown.words
    assert "(secret not shown)" in listed.words
    assert "hunter2" not in shown.text + listed.text + found.text


@drives("as-of")
def test_the_memory_as_it_was(reader: Terminal, kept: Kept) -> None:
    now, before, listed = reader.each(
        ("as-of", "What does the boat rental cost?", "--user", "ana", "-k", "1", "--known", "now"),
        ("as-of", "What does the boat rental cost?", "--user", "ana", "--known", "yesterday"),
        ("as-of", "--valid", "3 May 2024", "--user", "ana"),
    )
    assert "45 euros" in now.words
    assert "nothing found that held then" in before.words
    assert [line.split()[0] for line in listed.lines] == list(kept.ids[:3])
    assert "give --valid TIME, --known TIME or both" in reader.run("as-of", "x", code=2).words


@drives("list")
def test_a_list_is_a_line_a_record_with_whole_ids(reader: Terminal, kept: Kept) -> None:
    some = ("--filter", "name = Ana", "--filter", "time >= 2024-06", "--user", "ana")
    listed, every, filtered = reader.each(
        ("list", "--user", "ana", "--limit", "3"),
        ("list", "--user", "ana", "--limit", "2", "--all"),
        ("list", *some),
    )
    assert [line.split()[0] for line in listed.lines[:3]] == list(kept.ids[:3])
    assert listed.width <= 80
    place = re.search(r"--after (\d+) goes on", listed.words)
    assert place
    assert [line.split()[0] for line in every.lines] == list(kept.ids)
    assert [line.split()[0] for line in filtered.lines] == [kept.ids[3]]
    rest = reader.but(40).run("list", "--user", "ana", "--after", place[1])
    assert [line for line in rest.lines if line in kept.ids] == list(kept.ids[3:])
    assert rest.width <= 40
    assert "2024-06-11 18:31 Bo: Herons like that weir." in rest.words


@drives("list")
def test_a_filter_that_is_none_says_which_there_are(reader: Terminal) -> None:
    wrong, none = reader.each(
        ("list", "--filter", "nme = Ana", "--user", "ana"), ("list", "--filter", "Ana"), code=2
    )
    assert "did you mean 'name'?" in wrong.words
    assert "write FIELD OPERATOR VALUE" in none.words


@drives("show", "history")
def test_one_record_and_its_versions(reader: Terminal, kept: Kept) -> None:
    shown, versions = reader.each(("show", kept.ids[-1], "--user", "ana"), ("history", kept.ids[-1]))
    facts = dict(line.split(maxsplit=1) for line in shown.lines if line and line[0].islower())
    assert facts["id"] == kept.ids[-1]
    assert facts["time"] == "2024-06-11 18:31"
    assert facts["versions"] == "2"
    assert facts["metadata"] == '{"topic": "heron"}'
    assert facts["change"] == f"{kept.edit} (engram undo {kept.edit} takes it back)"
    assert shown.lines[-1] == "Herons like that weir. My boat rental costs 45 euros a day now."
    told = versions.words
    assert told.index("40 euros") < told.index(f"change {kept.edit}") < told.index("45 euros")
    assert "there is no record" in reader.run("show", kept.ids[0], "--user", "bo", code=1).words


@drives("show")
def test_text_is_shown_as_it_was_said(reader: Terminal, kept: Kept) -> None:
    """Markup of ours and characters of any width stay what they are, in any locale."""
    marked, heron = reader.each(("show", kept.ids[2]), ("show", kept.ids[3]))
    assert "Mr. [bold]Quill[/bold], comes" in marked.words
    assert "A heron stood on the weir this morning — grey, 鷺" in heron.text.replace("鷺 ", "鷺")
    poor = reader.cold(LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii").run("show", kept.ids[3])
    assert r"grey, \u9dfa, tr\xe8s calme" in poor.joined.replace("\n", "")
    assert poor.raw.isascii()
