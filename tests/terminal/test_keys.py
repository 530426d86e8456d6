"""Keys of the service at a terminal."""

from __future__ import annotations

import re

from terminal.driver import Terminal, drives


@drives("keys create", "keys list", "keys rotate", "keys revoke")
def test_a_key_is_made_turned_and_ended(terminal: Terminal) -> None:
    assert "there is no key yet" in terminal.run("keys").words
    made = terminal.but(120).run("keys", "create", "--name", "app", "--rights", "write", "--expires", "90d")
    assert "it is not shown again" in made.words
    token = re.search(r"engram_[0-9a-f]{12}_[\w-]{43}", made.text)
    assert token is not None
    id = token[0].split("_")[1]
    assert token[0] not in terminal.run("keys", "rotate", id).joined
    shown = terminal.run("keys", "list")
    assert shown.width <= 80
    assert "app" in shown.words
    with terminal.talk("keys", "revoke", id) as talk:
        talk.until("Revoke the key app")
        talk.type("y\r")
    assert f"{id} is revoked" in talk.seen.words
    assert "revoked" in terminal.run("keys").words
