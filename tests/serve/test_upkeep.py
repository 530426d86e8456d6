"""Owed work, keys over HTTP, revocation, stopping, and what is loaded when."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from engram.kernel.operations import Job
from engram.kernel.protocols import Batch, EndJob, PutJob
from engram.kernel.scope import Scope
from engram.serve.keys import KeyStore, matching
from engram.serve.server import _listening
from engram.stores import open_store
from serve.service import House, house, problem


def owe(house: House, user: str, status: str = "parked") -> str:
    core = house.service.core
    job = Job("", "embed", Scope(user_id=user), core.now(), "digest:1", status=status, error="it failed")
    return core.store.commit(Batch((PutJob(job),))).jobs[0]


def test_owed_work_is_shown_tried_again_and_dropped(served: House) -> None:
    first, second = owe(served, "ana"), owe(served, "bo")
    served.key("bo", "write", "default", "b*")
    page = served.told("GET", "jobs", params={"limit": 1})
    assert [job["id"] for job in page["items"]] == [first]
    rest = served.told("GET", "jobs", params={"limit": 1, "after": page["next"]})
    assert ([job["id"] for job in rest["items"]], rest["next"]) == ([second], None)
    assert served.told("GET", f"jobs/{second}", as_="bo")["error"] == "it failed"
    for method, path in (
        ("GET", f"jobs/{first}"),
        ("POST", f"jobs/{first}/retry"),
        ("DELETE", f"jobs/{first}"),
    ):
        assert problem(served.call(method, path, as_="bo")) == (404, "not-found")
    assert served.told("POST", "jobs/wait", json={"user_id": "ana", "seconds": 0})["parked"] == 1
    assert served.told("POST", f"jobs/{first}/retry")["status"] == "pending"
    assert served.told("DELETE", f"jobs/{first}")["status"] == "dropped"
    assert served.told("POST", "jobs/wait", json={"user_id": "ana", "seconds": 60})["done"]
    served.told("POST", "tend", json={"user_id": "ana"})


def test_waiting_ends_when_the_work_does(served: House) -> None:
    id = owe(served, "ana", "pending")
    served.loop.call_later(0.05, lambda: served.service.core.store.commit(Batch((EndJob(id),))))
    told = served.told("POST", "jobs/wait", json={"user_id": "ana", "seconds": 60})
    assert told == {"done": True, "pending": 0, "parked": 0, "more": False}


def test_keys_are_made_turned_and_ended_over_http(served: House) -> None:
    made = served.told("POST", "keys", json={"name": "app", "rights": "write", "days": 1})
    served.tokens["app"] = made["key"]
    served.told("GET", "stats", as_="app")
    assert problem(served.call("GET", "keys", as_="app")) == (403, "forbidden")
    turned = served.told("POST", f"keys/{made['id']}/rotate", json={})
    assert problem(served.call("GET", "stats", as_="app")) == (401, "unauthorized")
    served.tokens["app"] = turned["key"]
    served.told("GET", "stats", as_="app")
    ended = served.told("DELETE", f"keys/{made['id']}")
    assert (ended["state"], set(ended) & {"key", "secrets"}) == ("revoked", set())
    assert problem(served.call("GET", "stats", as_="app")) == (401, "unauthorized")
    listed = served.told("GET", "keys")["items"]
    assert {key["state"] for key in listed if key["id"] == made["id"]} == {"revoked"}


def test_a_key_that_another_process_revokes_or_makes_is_known_soon(served: House) -> None:
    id = served.key("app")
    elsewhere = KeyStore(served.service.core.store)
    served.told("GET", "stats", as_="app")
    elsewhere.revoke(id)
    served.service.keyring._read -= 10  # as 10 seconds later
    assert problem(served.call("GET", "stats", as_="app")) == (401, "unauthorized")
    _, served.tokens["new"] = elsewhere.create()
    served.service.keyring._read -= 0.5
    served.told("GET", "scopes", as_="new")
    [key] = [
        key for key in elsewhere.all() if matching({key.id: key}, served.tokens["new"], datetime.now(UTC))
    ]
    assert served.do(served.service.keyring.still(key))
    elsewhere.revoke(key.id)
    served.service.keyring._read -= 10
    assert not served.do(served.service.keyring.still(key))


def test_a_service_that_stops_takes_nothing_more_but_says_that_it_lives(served: House) -> None:
    served.service.stopping.set()
    response = served.call("GET", "stats")
    assert problem(response) == (503, "busy")
    assert response.headers["retry-after"] == "1"
    assert problem(served.call("GET", "/ready", as_=None)) == (503, "busy")
    assert served.call("GET", "/health", as_=None).status_code == 200


def test_streams_and_files_are_few(served: House) -> None:
    for semaphore, path in ((served.service.streams, "events/jobs"), (served.service.files, "export")):
        while not semaphore.locked():
            served.do(semaphore.acquire())
        assert problem(served.call("GET", path, params={"user_id": "ana"})) == (503, "busy")
    assert problem(served.call("POST", "import", content=b"{}")) == (503, "busy")


def test_keys_in_postgresql_are_those_of_every_process(postgres_url: str) -> None:
    with closing(open_store(postgres_url)) as one, closing(open_store(postgres_url)) as other:
        token = KeyStore(one).first()
        assert token is not None
        assert KeyStore(other).first() is None
        [key] = KeyStore(other).all()
        assert matching({key.id: key}, token, datetime.now(UTC)) == key
        KeyStore(other).revoke(key.id)
        assert KeyStore(one).get(key.id).revoked is not None


def test_without_its_packages_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from engram.serve.server import Settings, serve\n"
        "from engram.kernel.errors import MissingExtra\n"
        "try: serve(lambda: None, Settings(), lambda *_: None)\n"
        "except MissingExtra as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'engram[serve]'" in done.stdout


def test_commands_do_not_load_the_server() -> None:
    code = "import sys, engram.cli.app, engram.serve.keys; print({'fastapi', 'uvicorn'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_answers_are_not_held_back() -> None:
    """Asyncio turns Nagle's delay (40 ms for each answer) off only where a socket says that it is TCP."""
    with closing(_listening("127.0.0.1", 0)) as listening:
        assert listening.proto == socket.IPPROTO_TCP


def test_a_service_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    with house(tmp_path, postgres_url) as served:
        served.key("acme", "write", "acme", "team-*")
        body = {"messages": "The heron is back.", "user_id": "team-1"}
        id = served.told("POST", "memories", as_="acme", json=body)["items"][0]["id"]
        asked = {"query": "heron", "user_id": "team-1"}
        assert [hit["id"] for hit in served.told("POST", "search", as_="acme", json=asked)["items"]] == [id]
        assert served.told("POST", "search", json=asked)["items"] == []
        assert served.told("GET", f"memories/{id}", as_="acme")["scope"]["tenant"] == "acme"
        assert problem(served.call("GET", f"memories/{id}")) == (404, "not-found")
