"""Workers: they share what is owed, give everybody a turn, and lose nothing when they are stopped."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from engine.helpers import Broken, Counting, Digest, Facts, ScriptedModel, Ticking, down
from engram import Memory
from engram.config import open_core
from engram.engine import owners
from engram.engine.core import Core
from engram.engine.results import Receipt
from engram.engine.turns import Done, Turns
from engram.engine.worker import Besides, Worker
from engram.kernel.changes import Add, Changes
from engram.kernel.chat import ChatModel
from engram.kernel.effects import Ask
from engram.kernel.operations import INTERACTIVE, Job
from engram.kernel.policy import Policy
from engram.kernel.protocols import Batch, PutJob, Select
from engram.kernel.scope import Scope

Opened = Callable[..., Core]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'm.db'}"


@pytest.fixture
def opened(store: str) -> Iterator[Opened]:
    """Opens cores on one file, and closes them."""
    cores: list[Core] = []

    def open_one(policy: Policy, model: ChatModel | None = None, clock: Ticking | None = None) -> Core:
        cores.append(open_core(store, policy=policy, model=model, clock=clock))
        return cores[-1]

    yield open_one
    for core in cores:
        core.close()


def owe(store: str, policy: Policy, *said: str, user_id: str = "u", tenant: str = "default") -> list[str]:
    """Leave a job for each text; their ids."""
    with Memory(store, policy=policy) as memory:
        return [str(memory.add(text, wait=False, user_id=user_id, tenant=tenant).job) for text in said]


def done(worker: Worker) -> list[Done]:
    """The jobs of one round."""
    return [item for item in worker.work(once=True) if isinstance(item, Done)]


def a_job(id: str, tenant: str = "acme", user: str = "ana", priority: int = 0) -> Job:
    created = Ticking().skip(seconds=int(id))
    return Job(id, "write", Scope(tenant, user), created, priority=priority)


def order(jobs: list[Job]) -> list[str]:
    turns, left, ran = Turns(), list(jobs), []
    while (job := turns.next(left)) is not None:
        left.remove(job)
        turns.served(job)
        ran.append(job.id)
    return ran


def test_a_tenants_thousand_jobs_do_not_hold_up_anothers_one() -> None:
    jobs = [a_job(str(number)) for number in range(1, 1001)]
    ran = order([*jobs, a_job("2000", "other", priority=-1)])
    assert ran.index("2000") == 1
    assert ran[:1] + ran[2:] == [job.id for job in jobs]


def test_what_somebody_waits_for_goes_before_imports_and_lanes_take_turns() -> None:
    imports = [a_job(str(number)) for number in (1, 2, 3)]
    others = [a_job(str(number), user="bo") for number in (4, 5)]
    assert order([*imports, *others, a_job("9", user="cy", priority=INTERACTIVE)]) == list("914253")


def test_an_add_is_done_before_what_its_lane_owes_from_an_import(store: str, tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text(
        '[{"role": "user", "content": "the sky is blue", "time": "2024-05-02"}]', encoding="utf-8"
    )
    with Memory(store, policy=Facts()) as memory:
        assert memory.import_(file, user_id="u").jobs == 1
        assert memory.add("grass is green", user_id="u").job is None
        [left] = memory._bound.core.store.jobs()
        assert left.priority == 0
        assert memory.wait()
        assert len(memory.get_all(user_id="u", filters={"kind": "fact"})) == 2


def test_once_does_what_is_owed_of_a_scope(store: str, opened: Opened) -> None:
    first, *_ = owe(store, Facts(), "the sky is blue", "the sea is deep")
    owe(store, Facts(), "tea is warm", tenant="other")
    [ran, second] = done(Worker(opened(Facts()), Scope("default")))
    assert (ran.job.id, ran.status, [item.event for item in ran.outcome.items]) == (first, "done", ["stored"])
    assert second.outcome.change_set is not None
    [left] = opened(Facts()).store.jobs()
    assert left.scope.tenant == "other"


@pytest.mark.parametrize("kind", ["write", "rebuild"])
def test_a_job_reaches_no_record_of_another_tenant(store: str, opened: Opened, kind: str) -> None:
    """A login of one tenant may write jobs past the library: they are no way to what is another's."""
    with Memory(store, policy=Facts()) as memory:
        told = memory.add("The secret is plums.", tenant="bolt", user_id="u").items
        core = memory._bound.core
        ids, forged = tuple(item.id or "" for item in told), Scope("acme", "u")
        before = core.store.select(Select(history=True))
        core.store.commit(Batch((PutJob(Job("", kind, forged, core.now(), core.policy.made_by, ids)),)))
    worked = opened(Facts())
    assert [item.status for item in done(Worker(worked))] == ["done"]
    assert worked.store.jobs() == []
    assert worked.store.select(Select(history=True)) == before


def test_work_of_another_policy_is_left(store: str, opened: Opened) -> None:
    owe(store, Facts(), "the sky is blue")
    assert done(Worker(opened(Counting()))) == []
    assert len(opened(Facts()).store.jobs()) == 1


def test_a_failed_job_is_put_off_and_then_parked(store: str, opened: Opened) -> None:
    owe(store, Digest(), "remember this")
    clock = Ticking()
    worker = Worker(opened(Digest(), ScriptedModel(down), clock))
    waits: list[float] = []
    for _ in range(4):
        [ran] = done(worker)
        [job] = worker.core.store.jobs()
        assert (ran.status, job.status, job.owner) == ("pending", "pending", None)
        assert job.not_before is not None
        waits.append((job.not_before - clock.now).total_seconds())
        clock.skip(hours=1)
    assert all(2 ** (n + 1) - 9 < wait <= 1.5 * 2 ** (n + 1) for n, wait in enumerate(waits))
    assert waits != [2, 4, 8, 16]
    [ran] = done(worker)
    assert (ran.status, "no answer" in ran.outcome.items[0].reason) == ("parked", True)
    assert done(worker) == []


def test_a_bug_in_a_policy_parks_its_job_and_stops_nobody(store: str, opened: Opened) -> None:
    owe(store, Broken(), "one", "two")
    ran = done(Worker(opened(Broken())))
    assert [item.status for item in ran] == ["parked", "parked"]
    assert ran[0].outcome.items[0].reason == "parked: ZeroDivisionError: a bug in the policy"


def test_threads_share_the_work_and_each_job_is_done_once(store: str, opened: Opened) -> None:
    for user in "abcd":
        owe(store, Facts(), *(f"thing {number} is {user}" for number in range(6)), user_id=user)
    ran: list[str] = []

    def work() -> None:
        ran.extend(item.job.id for item in done(Worker(opened(Facts()))))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    core = opened(Facts())
    assert core.store.jobs() == []
    assert len(ran) == len(set(ran)) == 24
    with Memory(store, policy=Facts()) as memory:
        assert [len(memory.get_all(user_id=user, filters={"kind": "fact"})) for user in "abcd"] == [6] * 4
        assert memory.verify().ok


def test_a_job_of_a_lost_worker_is_free_when_its_lease_is_past(store: str, opened: Opened) -> None:
    owe(store, Facts(), "the sky is blue")
    clock = Ticking()
    core = opened(Facts(), clock=clock)
    [job] = core.store.jobs()
    held = replace(job, owner="elsewhere/7/x", until=clock() + timedelta(minutes=5))
    core.store.commit(Batch((PutJob(held),)))
    assert done(Worker(core)) == []
    clock.skip(minutes=6)
    assert [item.job.id for item in done(Worker(core))] == [job.id]


def test_a_lease_of_an_earlier_process_with_our_number_is_free(store: str, opened: Opened) -> None:
    owe(store, Facts(), "the sky is blue")
    core = opened(Facts())
    [job] = core.store.jobs()
    name = owners.new()
    held = replace(job, owner=name, until=core.now() + timedelta(minutes=5))
    core.store.commit(Batch((PutJob(held),)))
    assert done(Worker(core)) == []
    owners.over(name)
    assert len(done(Worker(core))) == 1


def test_stopping_keeps_the_paid_reply_and_gives_the_job_back(store: str, opened: Opened) -> None:
    owe(store, Digest(), "remember this")

    def answer(prompt: str) -> str:
        worker.stop()
        return "S"

    model = ScriptedModel(answer)
    worker = Worker(opened(Digest(), model))
    assert list(worker.work()) == []
    assert len(model.prompts) == 1
    [job] = worker.core.store.jobs()
    assert (job.owner, job.attempts, len(job.journal)) == (None, 0, 1)
    again = ScriptedModel(lambda _: "T")
    [ran] = done(Worker(opened(Digest(), again)))
    assert [prompt.split()[0] for prompt in again.prompts] == ["Title"]
    assert ran.outcome.usage["model_calls"] == 1


def test_a_waiting_worker_takes_what_comes_and_stops_at_once(store: str, opened: Opened) -> None:
    worker = Worker(opened(Facts()), poll=0.05)
    ran: list[Done | Besides] = []

    def work() -> None:
        for item in worker.work():
            ran.append(item)
            worker.stop()

    thread = threading.Thread(target=work)
    thread.start()
    [id] = owe(store, Facts(), "the sky is blue")
    thread.join(30)
    assert not thread.is_alive()
    assert [item.job.id for item in ran if isinstance(item, Done)] == [id]


def test_a_pending_purge_is_completed(store: str, opened: Opened) -> None:
    core = opened(Facts())
    with Memory(store, policy=Facts()) as memory:
        memory.add("a canary", user_id="u")
        reader = sqlite3.connect(store.removeprefix("sqlite:///"), isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchone()
        assert memory.forget(user_id="u").purge == "pending"
        assert list(Worker(core).work(once=True)) == []
        reader.close()
        [purged] = Worker(core).work(once=True)
        assert isinstance(purged, Besides)
        assert (purged.what, purged.receipt.purge) == ("purge", "done")


def tended(worker: Worker) -> list[Receipt]:
    """What tending came to in one round, for each tenant."""
    return [item.receipt for item in worker.work(once=True) if isinstance(item, Besides)]


def test_workers_tend_together_only_as_often_as_is_wanted(store: str, opened: Opened) -> None:
    clock = Ticking()
    with Memory(store, policy=Counting(), clock=clock) as memory:
        for tenant in ("acme", "other"):
            memory.add(["one", "two"], tenant=tenant, user_id="u")
    one, two = (Worker(opened(Counting(), clock=clock), tend_every=timedelta(hours=1)) for _ in "12")
    first = tended(one)
    assert [item.event for receipt in first for item in sorted(receipt.items, key=str)] == [
        "merged",
        "superseded",
    ] * 2
    assert tended(one) == tended(two) == []
    clock.skip(hours=1)
    assert len(tended(two)) == 2
    assert tended(one) == []


def test_a_tending_that_fails_is_told_and_the_work_goes_on(store: str, opened: Opened) -> None:
    @dataclass(frozen=True)
    class Asking(Facts):
        name: ClassVar[str] = "asking"

        async def tend(self, scope: Scope) -> Changes:
            return Changes.of(Add(await Ask("Is all well?", str), "summary", ()))

    owe(store, Asking(), "the sky is blue")
    worker = Worker(opened(Asking(), ScriptedModel(down)), tend_every=timedelta(hours=1))
    ran, tending = worker.work(once=True)
    assert isinstance(ran, Done)
    assert isinstance(tending, Besides)
    assert [(item.event, item.reason) for item in tending.receipt.items] == [
        ("failed", "ModelUnavailable: no answer")
    ]
