"""Owed work as people handle it: seen, tried again, dropped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from engram.config import open_core
from engram.engine import owners, queue
from engram.engine.core import Core
from engram.engine.queue import Reply
from engram.kernel.errors import Conflict, NotFound
from engram.kernel.operations import Job
from engram.kernel.protocols import Batch, PutJob
from engram.kernel.scope import Scope

ANA = Scope(user_id="ana")


@pytest.fixture(params=["ram:", "sqlite"])
def core(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    folder = tmp_path_factory.mktemp("queue")
    with closing(open_core("ram:" if request.param == "ram:" else f"sqlite:///{folder}/m.db")) as opened:
        yield opened


def put(core: Core, **fields: object) -> Job:
    job = replace(Job("", "write", ANA, core.now(), policy="p:1", records=("a",)), **fields)  # type: ignore[arg-type]
    id = core.store.commit(Batch((PutJob(job),))).jobs[0]
    return core.store.jobs(ids=[id])[0]


def test_jobs_are_seen_in_their_scope_oldest_first(core: Core) -> None:
    first, other, last = put(core), put(core, scope=Scope(user_id="bo")), put(core, kind="rebuild")
    assert [job.id for job in queue.owed(core, ANA)] == [first.id, last.id]
    assert [job.id for job in queue.owed(core, None)] == [first.id, other.id, last.id]
    assert queue.find(core, first.id, ANA).id == first.id
    with pytest.raises(NotFound, match="no job"):
        queue.find(core, other.id, ANA)


def test_a_parked_job_is_tried_again_with_what_was_paid_for(core: Core) -> None:
    journal = {"0:aa:0": {"text": "a summary", "finish": "stop"}}
    job = put(core, status="parked", attempts=5, error="BadReply: no", journal=journal)
    queue.retry(core, job.id, None)
    [again] = core.store.jobs()
    assert (again.status, again.attempts, again.error, again.not_before) == ("pending", 0, None, None)
    assert again.journal == journal


def test_a_job_that_waits_is_tried_at_once(core: Core) -> None:
    job = put(core, attempts=2, not_before=core.now() + timedelta(hours=1))
    queue.retry(core, job.id, ANA)
    assert core.store.jobs()[0].not_before is None


def test_a_dropped_job_is_gone_and_says_what_goes_with_it(core: Core) -> None:
    job = put(core, status="parked", records=("a", "b"))
    assert queue.without(job) == "what the policy would derive from 2 records is never derived"
    queue.drop(core, job.id, None)
    assert core.store.jobs() == []
    with pytest.raises(NotFound, match="or was dropped"):
        queue.drop(core, job.id, None)


def test_a_running_job_is_left_alone(core: Core) -> None:
    job = put(core, owner=owners.new(), until=core.now() + timedelta(minutes=2))
    assert queue.state(core, job) == "running"
    for act in (queue.retry, queue.drop):
        with pytest.raises(Conflict, match="is running now"):
            act(core, job.id, None)
    assert core.store.jobs() == [job]


def test_a_job_whose_process_is_gone_is_free(core: Core) -> None:
    node = owners.new().partition("/")[0]
    job = put(core, owner=f"{node}/999999999/x", until=core.now() + timedelta(minutes=2))
    assert queue.state(core, job) == "pending"
    assert queue.retry(core, job.id, None).owner is None
    queue.drop(core, job.id, None)
    assert core.store.jobs() == []


def test_replies_are_told_those_of_no_use_with_their_question(core: Core) -> None:
    bad = {"prompt": "Summarise.", "reply": "I cannot", "error": "no JSON", "times": 2}
    job = put(core, status="parked", journal={"bad:1": bad, "0:aa:0": {"text": "A title"}, "2": "plain"})
    assert queue.replies(job) == [
        Reply("A title"),
        Reply("plain"),
        Reply("I cannot", "Summarise.", "no JSON"),
    ]
    told = queue.to_dict(core, job)
    assert told["status"] == "parked"
    assert told["replies"][2] == {"reply": "I cannot", "prompt": "Summarise.", "error": "no JSON"}
