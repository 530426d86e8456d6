"""Looking on: `engram top` and `engram audit` at a terminal."""

from __future__ import annotations

import json
from pathlib import Path

from engram import Memory
from engram.kernel.clock import utc_now
from engram.kernel.operations import Job
from engram.kernel.protocols import Batch, PutJob
from engram.kernel.scope import Scope
from terminal.driver import CTRL_C, Terminal, drives


def begin(terminal: Terminal) -> None:
    """A store with a record, and a parked job."""
    with Memory(terminal.environment["ENGRAM_URL"]) as memory:
        id = memory.add("the heron is back", user_id="ana").ids[0]
        job = Job("", "write", Scope(user_id="ana"), utc_now(), "p:1", (id,), "parked", error="BadReply: odd")
        memory._bound.core.store.commit(Batch((PutJob(job),)))


@drives("top")
def test_top_is_a_screen_that_q_ends(terminal: Terminal) -> None:
    begin(terminal)
    with terminal.but(100).talk("top", "--every", "0.2") as talk:
        talk.until("Parked or put off")
        talk.until("BadReply: odd")
        talk.until("engram top")  # it looks again
        talk.type("q")
    assert talk.seen.raw.endswith("\x1b[?25h\x1b[?1049l")  # a cursor, and the screen from before
    with terminal.but(100).talk("top", "--every", "60") as talk:
        talk.until("1 parked")
        talk.type(CTRL_C)
    assert "Traceback" not in talk.seen.raw


@drives("top")
def test_one_look_is_printed(terminal: Terminal) -> None:
    begin(terminal)
    seen = terminal.but(100).run("top", "--once")
    assert "0 pending, 0 running, 1 parked" in seen.words
    assert "user_id" in seen.words
    told = json.loads("".join(terminal.but(3000).run("top", "--once", "--json").lines))
    assert (told["records"], told["jobs"]["parked"], told["requests_per_second"]) == (1, 1, None)
    assert "there is no store" in terminal.but(100).run("top", "--url", "sqlite:///nowhere.db", code=1).words


@drives("audit")
def test_the_audit_is_a_table_of_who_did_what(terminal: Terminal, tmp_path: Path) -> None:
    assert "there is no audit" in terminal.run("audit", code=1).words
    scope = {"tenant": "acme", "user_id": "ana"}
    line = {"time": "2026-03-01T09:00:00+00:00", "request": "r1", "key": "5f0c2d9be1a4", "call": "search",
            "scope": scope, "ids": ["06GZ"], "count": 1, "outcome": "done"}  # fmt: skip
    other = {**line, "call": "forget", "scope": {"tenant": "acme", "user_id": "\x1b[31mbo"}}
    file = tmp_path / "memory.db.audit.jsonl"
    file.write_text(f"{json.dumps(line)}\n{{damaged\n{json.dumps(other)}\n", encoding="utf-8")
    seen = terminal.but(100).run("audit", "--since", "2026-02-28")
    assert seen.words.index("forget") < seen.words.index("search")
    assert "1 line of the audit cannot be read" in seen.words
    assert "\x1b[31mbo" not in seen.raw
    told = terminal.but(300).run("audit", "--user", "ana", "--json", "--file", str(file)).lines
    assert json.loads(told[-1]) == line
    assert "no line of the audit fits" in terminal.run("audit", "--call", "ask").words
