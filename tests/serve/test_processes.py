"""The service as a process: streams, and what TERM and KILL in the middle of the work leave behind."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest

from engram import Memory
from engram.kernel.clock import utc_now
from engram.kernel.operations import Job
from engram.kernel.protocols import Batch, EndJob, PutJob
from engram.kernel.scope import Scope
from engram.stores import open_store
from serve.service import PATIENCE, Process, process

WRITERS = 4
ENOUGH = 40


def writing(service: Process, done: list[tuple[str, str]], tried: list[str], enough: threading.Event) -> None:
    """Add one text after the other, each under a key of its own, until the service is gone."""
    me = threading.current_thread().name
    with service.client() as client:
        for number in range(10_000):
            once = f"{me}-{number}"
            tried.append(once)
            body = {"messages": f"{me} says {number}", "user_id": me}
            try:
                answer = client.post("/engram/v1/memories", json=body, headers={"Idempotency-Key": once})
            except httpx.TransportError:
                return
            if answer.status_code == 503:
                return
            assert answer.status_code == 200, answer.text
            done.append((once, answer.json()["items"][0]["id"]))
            if len(done) >= ENOUGH:
                enough.set()


def under_load(service: Process, stop: Callable[[], object]) -> tuple[dict[str, str], list[str]]:
    """What was acknowledged (idempotency key to record id) and what was tried, by the end of the service."""
    done: list[tuple[str, str]] = []
    tried: list[str] = []
    enough = threading.Event()
    threads = [
        threading.Thread(target=writing, args=(service, done, tried, enough), name=f"w{number}")
        for number in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    assert enough.wait(PATIENCE)
    stop()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    return dict(done), tried


def kept(url: str) -> dict[str, str]:
    """The records of a store by what follows the key's id in their origin."""
    found: dict[str, str] = {}
    with Memory(url) as memory:
        assert memory.verify().ok
        for number in range(WRITERS):
            page = memory.get_all(user_id=f"w{number}", limit=1000)
            assert page.next is None
            origins = [str(record.origin).split(":", 2)[2] for record in page.items]
            assert len(origins) == len(set(origins))
            found |= dict(zip(origins, (record.id for record in page.items), strict=True))
    return found


@pytest.mark.timeout(300)
def test_killed_in_the_middle_of_the_work_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    with process(url) as service:
        done, tried = under_load(service, lambda: service.stop(signal.SIGKILL))
    before = kept(url)
    assert {once: before.get(once) for once in done} == done
    audited = [json.loads(line) for line in (tmp_path / "m.db.audit.jsonl").read_text().splitlines()]
    assert set(done.values()) <= {id for item in audited for id in item["ids"]}
    with process(url, token=service.token) as again, again.client() as client:
        for once in tried:
            me, _, number = once.partition("-")
            body = {"messages": f"{me} says {number}", "user_id": me}
            answer = client.post("/engram/v1/memories", json=body, headers={"Idempotency-Key": once})
            assert answer.status_code == 200, answer.text
        assert again.stop() == 0
    after = kept(url)
    assert sorted(after) == sorted(set(tried))
    assert {once: after[once] for once in done} == done


@pytest.mark.timeout(300)
def test_told_to_stop_it_ends_what_is_under_way_and_its_streams(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    told: Queue[bytes | None] = Queue()

    def slowly() -> Iterator[bytes]:
        yield b'[{"role": "user", "content": "Half of it came before'
        yield told.get(timeout=PATIENCE) or b""
        yield b' the signal."}]'

    answers: list[httpx.Response] = []

    def importing() -> None:
        with service.client() as client:
            params = {"name": "chat.json", "user_id": "slow"}
            answers.append(client.post("/engram/v1/import", params=params, content=slowly()))

    def stop() -> None:
        service.child.send_signal(signal.SIGTERM)
        told.put(b" and half of it behind")

    with process(url, "--log") as service, service.client() as client:
        with client.stream("GET", "/engram/v1/events/changes", params={"user_id": "w0"}) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry:")
            slow = threading.Thread(target=importing)
            slow.start()
            done, _ = under_load(service, stop)
            slow.join(PATIENCE)
            events = [line for line in lines if line.startswith("data:")]
        assert service.child.wait(PATIENCE) == 0
    [answer] = answers
    assert (answer.status_code, answer.json()["stored"]) == (200, 1)
    found = kept(url)
    assert {once: found.get(once) for once in done} == done
    seen = {json.loads(line[5:])["id"] for line in events}
    assert seen <= set(found.values())
    assert "says" not in str(events)
    with Memory(url) as memory:
        [record] = memory.get_all(user_id="slow").items
    assert record.text == "Half of it came before and half of it behind the signal."


def events(lines: Iterator[str], count: int) -> list[dict[str, Any]]:
    """The next events of a stream, with their names and ids."""
    found: list[dict[str, Any]] = []
    event: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name in ("id", "event"):
            event[name] = value
        elif name == "data":
            found.append({**event, **json.loads(value), "event": event["event"]})
            event = {}
            if len(found) == count:
                return found
    return found


def test_changes_and_jobs_are_told_as_they_come(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    with process(url, "--no-audit") as service, service.client() as client:
        whose = {"user_id": "ana"}
        with (
            client.stream("GET", "/engram/v1/events/changes", params=whose) as stream,
            service.client() as other,
        ):
            assert stream.headers["content-type"].startswith("text/event-stream")
            first = other.post("/engram/v1/memories", json={"messages": "The heron.", **whose}).json()
            other.post("/engram/v1/memories", json={"messages": "Not hers.", "user_id": "bo"})
            [added] = events(stream.iter_lines(), 1)
        id = first["items"][0]["id"]
        assert (added["event"], added["id"], added["version"]) == ("change", id, 1)
        assert set(added) == {"event", "id", "version", "kind", "scope"}
        other_half = client.patch(f"/engram/v1/memories/{id}", json={"text": "The grey heron."})
        assert other_half.status_code == 200
        resumed = {"Last-Event-ID": "0"}
        with client.stream("GET", "/engram/v1/events/changes", params=whose, headers=resumed) as stream:
            [edited] = events(stream.iter_lines(), 1)
        assert (edited["id"], edited["version"]) == (id, 2)
        bad = client.get("/engram/v1/events/changes", params=whose, headers={"Last-Event-ID": "x"})
        assert bad.status_code == 422
        assert service.stop() == 0


def test_owed_work_is_told_as_it_comes_and_goes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    asked = {"user_id": "ana"}
    with (
        process(url, "--no-audit") as service,
        service.client() as client,
        closing(open_store(url)) as store,
        client.stream("GET", "/engram/v1/events/jobs", params=asked) as stream,
    ):
        owed = Job("", "embed", Scope(user_id="ana"), utc_now(), "digest:1")
        job = store.commit(Batch((PutJob(owed),))).jobs[0]
        lines = stream.iter_lines()
        assert [(item["id"], item["status"]) for item in events(lines, 1)] == [(job, "pending")]
        store.commit(Batch((EndJob(job),)))
        assert [(item["id"], item["status"]) for item in events(lines, 1)] == [(job, "ended")]
