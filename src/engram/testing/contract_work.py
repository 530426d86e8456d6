"""What a store must do with states, jobs and facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from engram.kernel.errors import InvalidInput
from engram.kernel.protocols import (
    Batch,
    EndJob,
    Job,
    Lease,
    Put,
    PutInfo,
    PutJob,
    PutState,
    StateRow,
    Store,
)
from engram.testing.builders import ANA, START, a_record, day
from engram.testing.contract_records import BEN, put_one, refused

__all__ = ["WorkContract"]

HOUR = timedelta(hours=1)


class WorkContract:
    """States, jobs and facts."""

    def test_states(self, store: Store) -> None:
        """Each write names the version it replaces."""
        row = StateRow("p", ANA, "x", {"n": [1]}, 1, ("r",))
        store.commit(Batch((PutState(row), PutState(replace(row, scope=replace(ANA, run_id="r"))))))
        assert store.states(ANA, "p", "x") == [row]
        assert len(store.states(ANA)) == 2
        assert store.states(ANA, "q") == []
        assert "version 1" in refused(store, PutState(replace(row, version=3)))
        refused(store, PutState(row))
        store.commit(Batch((PutState(replace(row, value=None, version=2)),)))
        assert store.states(ANA, "p", "x") == [replace(row, value=None, version=2)]

    def test_a_job_comes_back_whole(self, store: Store) -> None:
        """And is replaced by one with its id."""
        job = Job(
            "j",
            "write",
            ANA,
            START,
            "p",
            ("a",),
            "parked",
            2,
            "me",
            day(1),
            day(2),
            "why",
            {"0": {"x": 1}},
            ("b",),
            -3,
        )
        assert store.commit(Batch((PutJob(job),))).jobs == ("j",)
        assert store.jobs() == [job]
        store.commit(Batch((PutJob(replace(job, attempts=3)),)))
        assert [found.attempts for found in store.jobs(ids=("j", "none"))] == [3]
        assert store.jobs(BEN) == store.jobs(kind="embed") == []

    def test_a_job_of_what_the_batch_put(self, store: Store) -> None:
        """Duplicates are left out, and with nothing new there is no job."""
        job = Job("", "write", ANA, START)
        put = Put(a_record("tea", origin="m-1"))
        done = store.commit(Batch((put, Put(a_record("more")), PutJob(job, fresh=True))))
        assert [found.records for found in store.jobs()] == [done.ids]
        assert store.jobs()[0].id == done.jobs[0]
        assert store.commit(Batch((put, PutJob(job, fresh=True)))).jobs == ()
        assert len(store.jobs()) == 1

    def test_a_job_of_some_of_what_the_batch_put(self, store: Store) -> None:
        """A range names them by their places; duplicates count as places, and are left out."""
        job = Job("", "write", ANA, START)
        put_one(store, a_record("two", origin="m-2"))
        puts = [Put(a_record(text, origin=f"m-{text}"[:3])) for text in ("1", "2", "3")]
        puts[1] = Put(a_record("two", origin="m-2"))
        jobs = [PutJob(job, fresh=places) for places in (range(1), range(1, 2), range(1, 3))]
        done = store.commit(Batch((*puts, *jobs)))
        assert {found.records for found in store.jobs()} == {(done.ids[0],), (done.ids[2],)}

    def test_a_job_that_is_gone_is_not_put_back(self, store: Store) -> None:
        """With `if_exists`, as a worker that lost its job does."""
        job = Job("j", "write", ANA, START)
        assert store.commit(Batch((PutJob(job, if_exists=True),))).jobs == ()
        store.commit(Batch((PutJob(job),)))
        assert store.commit(Batch((PutJob(job, if_exists=True),))).jobs == ("j",)

    def test_one_write_job_of_a_lane_runs_at_a_time(self, store: Store) -> None:
        """Until the lease is past or the job ends; other lanes and kinds do not wait."""
        lane = Job("j1", "write", ANA, START)
        others = (
            replace(lane, id="j2", kind="rebuild", scope=replace(ANA, run_id="r")),
            replace(lane, id="ben", scope=BEN),
            replace(lane, id="embed", kind="embed"),
            replace(lane, id="parked", status="parked", scope=BEN),
        )
        store.commit(Batch((PutJob(lane), *map(PutJob, others))))
        store.commit(Batch((Lease("j1", "one", START, START + HOUR),)))
        assert "j1" in refused(store, Lease("j2", "two", START, START + HOUR))
        refused(store, Lease("j1", "two", START, START + HOUR))
        refused(store, Lease("parked", "two", START, START + HOUR))
        refused(store, Lease("gone", "two", START, START + HOUR))
        for id in ("ben", "embed"):
            store.commit(Batch((Lease(id, "two", START, START + HOUR),)))
        store.commit(Batch((Lease("j1", "one", START, START + 2 * HOUR),)))
        refused(store, Lease("j2", "two", START + HOUR, START + 3 * HOUR))
        store.commit(Batch((Lease("j2", "two", START + 2 * HOUR, START + 3 * HOUR),)))
        assert {job.id: job.owner for job in store.jobs(kind="rebuild")} == {"j2": "two"}

    def test_ending_a_job(self, store: Store) -> None:
        """Only its owner may, where an owner is named."""
        store.commit(Batch((PutJob(Job("j", "write", ANA, START)), Lease("j", "one", START, START + HOUR))))
        refused(store, EndJob("j", "two"))
        store.commit(Batch((EndJob("j", "one"),)))
        refused(store, EndJob("j", "one"))
        assert store.commit(Batch((EndJob("j"),))).change_set == 0
        assert store.jobs() == []

    def test_jobs_come_oldest_first(self, store: Store) -> None:
        """By creation, then id."""
        jobs = [Job(id, "write", ANA, day(created)) for id, created in (("c", 1), ("b", 2), ("a", 1))]
        store.commit(Batch(tuple(map(PutJob, jobs))))
        assert [job.id for job in store.jobs()] == ["a", "c", "b"]

    def test_facts_about_the_store(self, store: Store) -> None:
        """They are set and removed; the store's own are not to be touched."""
        store.commit(Batch((PutInfo("embedder", "x"), PutInfo("analyser", "1"))))
        store.commit(Batch((PutInfo("embedder", "y"), PutInfo("analyser", None))))
        facts = store.info()
        assert facts["embedder"] == "y"
        assert "analyser" not in facts
        assert {"format", "tag", "created", "bytes"} <= facts.keys()
        with pytest.raises(InvalidInput):
            store.commit(Batch((PutInfo("tag", "1"),)))
