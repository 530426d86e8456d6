"""The service at a terminal: what it says when it starts, and how it is stopped."""

from __future__ import annotations

import re
import signal
import socket

import httpx

from terminal.driver import CTRL_C, Terminal, drives


@drives("serve")
def test_it_makes_a_key_once_answers_and_ends_with_ctrl_c(terminal: Terminal) -> None:
    with terminal.but(120).cold().talk("serve", "--port", "0") as talk:
        talk.until("audit: ")
        talk.type(CTRL_C)
    found = re.search(r"(http://[\d.:]+); .*(engram_[0-9a-f]{12}_[\w-]{43})", " ".join(talk.seen.lines))
    assert found is not None
    assert talk.seen.lines[-1].endswith("stopped")
    assert "Traceback" not in talk.seen.raw
    with terminal.but(120).cold().talk("serve", "--port", "0", "--no-audit", "--log") as talk:
        talk.until("Ctrl-C ends it")
        where = re.search(rb"http://[\d.:]+", talk._bytes)
        assert where is not None
        shown = httpx.get(f"{where[0].decode()}/engram/v1/stats", headers={"X-API-Key": found[2]}, timeout=60)
        assert shown.status_code == 200
        talk.until("/engram/v1/stats 200")
        talk.child.kill(signal.SIGTERM)
    assert "first key" not in talk.seen.words
    assert found[2] not in talk.seen.joined


@drives("serve")
def test_a_port_that_is_taken_is_told(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "cannot be listened at" in terminal.run("serve", "--port", port, code=1).words
