"""Adding, correcting, taking back, erasing: with what a person types in between."""

from __future__ import annotations

import re
from pathlib import Path

from terminal.conftest import Kept
from terminal.driver import CTRL_C, Terminal, drives


def added(terminal: Terminal, *arguments: str) -> str:
    """Add something; its id, which is shown."""
    event, id = terminal.run("add", *arguments).lines[0].split()
    assert event == "stored"
    return id


@drives("add", "search", "edit", "undo", "history")
def test_a_memory_is_added_corrected_and_the_correction_taken_back(terminal: Terminal) -> None:
    id = added(terminal, "The key is under the mat.", "--name", "Ines", "--time", "2 May 2024")
    found = terminal.run("search", "key")
    assert "2024-05-02 00:00  Ines" in found.text
    edited = terminal.run("edit", id, "The key is in the shed.").words
    assert f"superseded {id} (edited)" in edited
    undo = re.search(r"engram undo (\d+) takes it back", edited)
    assert undo
    assert "The key is in the shed." in terminal.run("search", "key").words
    back = terminal.run("undo", undo[1]).words
    assert f"{id} back to version 1" in back
    assert "The key is under the mat." in back
    assert "The key is under the mat." in terminal.run("search", "key").words
    assert len(re.findall(r"change \d+", terminal.run("history", id).text)) == 3
    refused = terminal.run("undo", undo[1], code=1).words
    assert "undo those first" in refused or "taken back already" in refused


@drives("edit")
def test_without_a_text_the_editor_opens(terminal: Terminal, tmp_path: Path) -> None:
    id = added(terminal, "The key is under the mat.")
    editor = tmp_path / "an editor"
    editor.write_text('#!/bin/sh\nread answer\nsed -i "s/the mat/$answer/" "$1"\n', encoding="utf-8")
    editor.chmod(0o755)
    with terminal.but(EDITOR=f"'{editor}'").talk("edit", id) as talk:
        talk.type("the pot\n")
    assert "(edited)" in talk.seen.words
    assert "The key is under the pot." in terminal.run("show", id).lines
    unchanged = terminal.but(VISUAL="true").run("edit", id).words
    assert f"duplicate {id} (nothing changed)" in unchanged
    gone = terminal.but(EDITOR="no-such-editor").run("edit", id, code=1).words
    assert "set EDITOR, or give the text" in gone


@drives("forget")
def test_erasing_asks_first(terminal: Terminal) -> None:
    added(terminal, "My door code is 4711.", "--user", "ana")
    with terminal.talk("forget", "--user", "ana", code=1) as talk:
        talk.until("Erase 1 for good? [y/N]")
        talk.type("n\n")
    assert "My door code is 4711." in talk.seen.text
    assert talk.seen.lines[-1] == "engram: nothing was done"
    with terminal.talk("forget", "--user", "ana", code=130) as talk:
        talk.until("[y/N]")
        talk.type(CTRL_C)
    assert talk.seen.lines[-1] == "engram: interrupted; what was committed stays"
    assert "1 would be erased" in terminal.run("forget", "--user", "ana", "--dry-run").words
    with terminal.talk("forget", "--user", "ana") as talk:
        talk.until("[y/N]")
        talk.type("y\n")
    assert "1 erased, bytes on disk: done" in talk.seen.words
    assert "out of reach" in talk.seen.words
    assert "the store is empty" in terminal.run("search", "code", "--user", "ana").words


@drives("add")
def test_what_is_typed_is_read_until_its_end(terminal: Terminal) -> None:
    """`add -` on a terminal takes lines until Ctrl-D."""
    with terminal.talk("add", "-") as talk:
        talk.type("The kettle is in the loft.\n\x04")
    assert "stored" in talk.seen.words
    assert "The kettle is in the loft." in terminal.run("list").words
    told = terminal.run("add", "x", "--time", "05/06/2024", code=2).words
    assert "may be two days; write the year first" in told


def test_an_interrupt_while_reading_leaves_nothing(terminal: Terminal) -> None:
    with terminal.talk("add", "-", code=130) as talk:
        talk.until("Ctrl-C gives up.")
        talk.type("The kettle\n")
        talk.until("kettle")
        talk.type(CTRL_C)
    assert "Traceback" not in talk.seen.raw
    assert talk.seen.lines[-1].startswith("engram: interrupted")


def test_an_undo_of_an_erasure_is_refused(reader: Terminal, kept: Kept) -> None:
    assert "there is no change set '999'" in reader.run("undo", "999", code=1).words
    assert "is none; receipts and histories name them" in reader.run("undo", kept.ids[0], code=1).words
