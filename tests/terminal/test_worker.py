"""Workers at a terminal: what they say, and how they are stopped."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from engram import Memory
from engram.kernel.clock import utc_now
from engram.kernel.operations import Job
from engram.kernel.protocols import Batch, PutJob
from engram.kernel.scope import Scope
from terminal.driver import CTRL_C, Terminal, drives


def owe(terminal: Terminal, *users: str, **fields: str) -> list[str]:
    """Leave a job that any policy does for each user; their ids."""
    with Memory(terminal.environment["ENGRAM_URL"]) as memory:
        made: list[str] = []
        for user in users:
            id = memory.add(f"{user} tunes the piano", user_id=user).ids[0]
            job = Job("", fields.get("kind", "embed"), Scope(user_id=user), utc_now(), "digest:1", (id,))
            made += memory._bound.core.store.commit(Batch((PutJob(job),))).jobs
    return made


@drives("worker", "jobs list")
def test_what_is_owed_now_is_done_and_told(terminal: Terminal) -> None:
    ana, bo = owe(terminal, "ana", "bo")
    only = terminal.run("worker", "--once", "--user", "bo")
    assert only.lines[0].startswith(f"done     {bo}  embed  tenant default, user_id bo")
    assert only.lines[-1] == "1 job done"
    shown = terminal.but(400).run("worker", "--once", "--json")
    assert json.loads(shown.lines[0])["id"] == ana
    assert shown.lines[1] == "engram: 1 job done"
    assert terminal.run("worker", "--once").lines == ["0 jobs done"]
    assert "no work is owed" in terminal.run("jobs").words


@drives("worker")
def test_work_of_other_policies_is_named_and_left(terminal: Terminal) -> None:
    owe(terminal, "ana", kind="write")
    seen = terminal.run("worker", "--once")
    assert "0 jobs done" in seen.words
    assert "left, as other policies owe it: 1 job" in seen.words


@drives("worker")
def test_a_worker_waits_works_tends_and_leaves_when_told(terminal: Terminal) -> None:
    [first] = owe(terminal, "ana")
    with terminal.cold().talk("worker", "--poll", "0.1", "--tend", "1h") as talk:
        talk.until("waiting for work; Ctrl-C ends it")
        talk.until(first)
        talk.until("tend  tenant default")
        [second] = owe(terminal, "bo")
        talk.until(second)
        talk.type(CTRL_C)
    assert talk.seen.lines[-1].endswith("2 jobs done, 1 tended; stopped")
    assert "Traceback" not in talk.seen.raw


@drives("worker")
def test_a_service_manager_ends_it_with_a_signal(terminal: Terminal, tmp_path: Path) -> None:
    with terminal.cold().talk("worker", "--poll", "60") as talk:
        talk.until("waiting for work")
        talk.child.kill(signal.SIGTERM)
    assert talk.seen.lines == ["waiting for work; Ctrl-C ends it", "0 jobs done; stopped"]


@drives("worker")
def test_what_is_no_stretch_of_time_is_refused(terminal: Terminal) -> None:
    assert "'often' is no stretch of time" in terminal.run("worker", "--tend", "often", code=1).words
