"""Looking after the store: whose records there are, owed work, what is wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engram import Memory
from engram.engine import owners
from engram.kernel.operations import Job
from engram.kernel.protocols import Batch, PutJob
from engram.kernel.scope import Scope
from engram.stores.sqlite import SqliteStore
from engram.stores.sqlite.migrate import built_in
from terminal.conftest import Kept
from terminal.driver import Terminal, drives

CREATED = datetime(2026, 3, 1, 10, tzinfo=UTC)
BAD = {"prompt": "Name the tuner.", "reply": "As a model I cannot", "error": "it is no JSON", "times": 1}


def parked(url: str) -> str:
    """Leave a parked job and a record behind; the job's id."""
    with Memory(url) as memory:
        memory.add("The tuner comes on Friday.", user_id="ana")
        store = memory._bound.core.store
        job = Job(
            "",
            "write",
            Scope(user_id="ana"),
            CREATED,
            policy="digest:1234",
            records=("r1", "r2"),
            status="parked",
            attempts=3,
            error="BadReply: the model's reply is no Summary",
            journal={"0:aa:0": {"text": '{"title": "Music"}', "finish": "stop"}, "bad:1": BAD},
        )
        return store.commit(Batch((PutJob(job),))).jobs[0]


@drives("jobs list", "jobs show", "jobs wait")
def test_a_parked_job_says_what_was_asked_and_replied(terminal: Terminal) -> None:
    id = parked(terminal.environment["ENGRAM_URL"])
    listed, shown = terminal.each(("jobs",), ("jobs", "show", id))
    assert listed.lines[0].startswith(f"{id}  parked  write  2026-03-01 10:00")
    assert "BadReply: the model's reply is no Summary" in listed.words
    for said in (
        "status parked",
        "attempts 3",
        "policy digest:1234",
        'replied {"title": "Music"}',
        "asked Name the tuner.",
        "replied As a model I cannot",
        "of no use it is no JSON",
        "what the policy would derive from 2 records is never derived",
    ):
        assert said in shown.words
    left = terminal.run("jobs", "wait", "--timeout", "1", code=1)
    assert "0 pending, 1 parked" in left.words
    assert "there is no job 'NONE'" in terminal.run("jobs", "show", "NONE", code=1).words


@drives("jobs retry", "jobs drop", "jobs list", "tend")
def test_a_job_is_tried_again_or_dropped(terminal: Terminal) -> None:
    id = parked(terminal.environment["ENGRAM_URL"])
    assert f"{id} is pending; engram worker --once does it now" in terminal.run("jobs", "retry", id).words
    listed, tended = terminal.run("jobs", "list", "--user", "ana"), terminal.run("tend", "--user", "ana")
    assert listed.joined == f"{id}  pending  write  2026-03-01 10:00  tenant default, user_id ana"
    assert "1 jobs are pending, 0 parked" in tended.words
    with terminal.talk("jobs", "drop", id, code=1) as talk:
        talk.until("Drop this write job? Then what the policy would derive from 2 records is never derived")
        talk.until("[y/N]")
        talk.type("\n")
    with terminal.talk("jobs", "drop", id) as talk:
        talk.until("[y/N]")
        talk.type("yes\n")
    assert "is dropped" in talk.seen.words
    assert "no work is owed" in terminal.run("jobs").words


@drives("scopes", "stats", "policies")
def test_what_there_is(reader: Terminal) -> None:
    scopes, narrow, stats, policies = reader.each(
        ("scopes",), ("scopes", "--user", "bo"), ("stats",), ("policies",)
    )
    assert [line.split() for line in scopes.lines[2:]] == [
        ["default", "ana", "heron", "2"],
        ["default", "ana", "move", "3"],
        ["default", "bo", "1"],
        ["3", "scopes,", "6", "records"],
    ]
    assert narrow.lines[-1] == "1 scopes, 1 records"
    assert scopes.width <= 80
    assert stats.lines[0].split() == ["records", "6"]
    assert "fusion (default)" in policies.words
    assert "constant = 60.0" in policies.words
    assert policies.width <= 80


@drives("tend", "list", "add")
def test_tending_erases_what_has_expired(terminal: Terminal) -> None:
    added = terminal.run("add", "The parcel comes today.", "--expires", "yesterday")
    assert "it has expired already: no search finds it" in added.words
    assert terminal.run("list").words == "engram: nothing found"
    assert "1 record changed, bytes on disk: done" in terminal.run("tend").words
    assert terminal.run("tend").words == "nothing was to be done"


@drives("add", "as-of", "list")
def test_what_held_once_is_found_as_of_then(terminal: Terminal) -> None:
    given = ("--kind", "fact", "--valid-from", "2019-01-01", "--valid-until", "2021-01-01")
    terminal.run("add", "Ana lives in Rome.", *given, "--user", "ana")
    assert terminal.run("list", "--user", "ana").words == "engram: nothing found"
    assert "Ana lives in Rome." in terminal.run("as-of", "--valid", "2020-06-01", "--user", "ana").words
    refused = terminal.run("add", "Ana lives in Rome.", "--valid-from", "2019-01-01", code=1)
    assert "an episode holds from its time on" in refused.words


@drives("verify", "repair")
def test_what_is_wrong_is_named_and_mended(terminal: Terminal) -> None:
    url = terminal.environment["ENGRAM_URL"]
    with Memory(url) as memory:
        id = memory.add("a heron", user_id="ana").ids[0]
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE records SET text = 'a stork' WHERE id = ?", (id,))
        connection.commit()
    wrong = terminal.run("verify", code=1)
    assert id in wrong.text
    assert "engram repair" in wrong.words
    assert wrong.width <= 80
    assert "1" in terminal.run("repair").words
    assert "all agree" in terminal.run("verify").words


@drives("reembed")
def test_entries_are_written_anew(terminal: Terminal, kept: Kept) -> None:
    with Memory(terminal.environment["ENGRAM_URL"]) as memory:
        memory.add(["a heron", "a weir"], user_id="ana")
    done = terminal.run("reembed")
    assert "2" in done.words
    assert "Traceback" not in done.raw
    assert "a heron" in terminal.run("search", "heron", "--user", "ana").words


@drives("migrate")
def test_an_older_store_is_brought_to_the_present_format(terminal: Terminal) -> None:
    path = Path(terminal.environment["ENGRAM_URL"].removeprefix("sqlite:///"))
    with closing(SqliteStore(path, migrations=built_in()[:1])):
        pass
    plan, told = terminal.each(("migrate", "--dry-run"), ("migrate", "--status"))
    assert "format 1, this engram writes" in plan.words
    assert "due: format 2" in plan.words
    assert "a copy of" in plan.words
    assert "format 1" in told.words
    done = terminal.run("migrate")
    assert "done: format 2" in done.words
    assert "the store is of format" in done.words
    assert "nothing to do" in terminal.run("migrate").words


@drives("doctor")
def test_the_doctor_names_what_is_wrong_and_mends_it_when_told_to(terminal: Terminal) -> None:
    path = Path(terminal.environment["ENGRAM_URL"].removeprefix("sqlite:///"))
    with Memory(f"sqlite:///{path}") as memory:
        id = memory.add("a heron", user_id="ana").ids[0]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE records SET text = 'a stork' WHERE id = ?", (id,))
        connection.commit()
    ill = terminal.but(100).run("doctor", code=1)
    assert [line for line in ill.lines if line.startswith("wrong  index")]
    assert "mend: engram repair" in ill.words
    with terminal.talk("doctor", "--fix") as talk:
        talk.until("[y/N]")
        talk.type("y\n")
    assert [line for line in talk.seen.lines if line.startswith("ok     index")]
    assert "wrong" not in terminal.run("doctor").words


@drives("jobs wait")
def test_what_takes_long_says_so_and_leaves_no_trace(terminal: Terminal) -> None:
    """A job that another process has: waiting for it turns a line, which goes when there is a result."""
    with Memory(terminal.environment["ENGRAM_URL"]) as memory:
        memory.add("a heron", user_id="ana")
        store, now = memory._bound.core.store, memory._bound.core.now()
        held = Job("", "embed", Scope(user_id="ana"), now, owner=owners.new(), until=now + timedelta(hours=1))
        store.commit(Batch((PutJob(held),)))
        with terminal.talk("jobs", "wait", "--timeout", "1.5", code=1) as talk:
            talk.until("doing what is owed")
    assert talk.seen.lines == ["1 pending, 0 parked; engram jobs shows them"]
    with terminal.talk("-c", "engram jobs wait --timeout 0.6 2>&1 | cat", program="/bin/sh") as talk:
        pass
    assert "doing what is owed" not in talk.seen.raw
