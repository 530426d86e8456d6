"""The service on stores that many processes share: PostgreSQL, and a router over several databases."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from engram.engine.tenants import add_database
from engram.serve.keys import KeyStore
from engram.stores import open_store
from engram.stores.router import RouterStore
from routed import routed
from serve.service import House, house, problem, process
from serve.test_processes import kept, under_load

ANA = {"user_id": "ana"}


@pytest.fixture(params=["postgres", "router"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The url of a store that several processes may open at once."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    postgres_url = str(request.getfixturevalue("postgres_url"))
    return routed(f"sqlite:///{tmp_path}/directory.db", f"sqlite:///{tmp_path}/one.db", postgres_url)


@pytest.fixture
def two(shared_url: str, tmp_path: Path) -> Iterator[tuple[House, House]]:
    """Two services of one store, as two processes would be; the second knows the first one's keys."""
    with ExitStack() as held:
        places = [tmp_path / name for name in ("first", "second")]
        for place in places:
            place.mkdir()
        one, other = (held.enter_context(house(place, shared_url)) for place in places)
        for name in ("acme", "beta"):
            one.key(name, "admin", name)
        one.key("team", "write", "acme", "team-*")
        other.tokens |= {name: token for name, token in one.tokens.items() if name != "all"}
        yield one, other


def test_what_one_process_is_told_another_one_finds_and_no_other_tenant(two: tuple[House, House]) -> None:
    one, other = two
    said = {"messages": "I moved to Lisbon in May.", **ANA}
    added = one.told("POST", "memories", as_="acme", json=said, headers={"Idempotency-Key": "x"})
    id = added["items"][0]["id"]
    again = other.told("POST", "memories", as_="acme", json=said, headers={"Idempotency-Key": "x"})
    assert [(item["event"], item["id"]) for item in again["items"]] == [("duplicate", id)]
    asked = {"query": "Where does she live?", **ANA}
    assert [hit["id"] for hit in other.told("POST", "search", as_="acme", json=asked)["items"]] == [id]
    assert other.told("POST", "search", as_="beta", json=asked)["items"] == []
    assert problem(other.call("GET", f"memories/{id}", as_="beta")) == (404, "not-found")
    assert problem(other.call("GET", f"memories/{id}", as_="team")) == (404, "not-found")
    assert problem(other.call("POST", "search", as_="team", json=asked)) == (403, "forbidden")
    stolen = other.call("POST", "search", as_="beta", json={**asked, "tenant": "acme"})
    assert problem(stolen) == (403, "forbidden")
    done = other.told("PATCH", f"memories/{id}", as_="acme", json={"text": "I moved to Lisbon in June."})
    assert one.told("GET", f"memories/{id}", as_="acme", params=ANA)["text"].endswith("June.")
    one.told("POST", "undo", as_="acme", json={"change_set": done["change_set"]})
    assert problem(other.call("POST", "undo", as_="beta", json={"change_set": done["change_set"]}))[0] in (
        404,
        409,
    )
    texts = [item["text"] for item in other.told("GET", f"memories/{id}/history", as_="acme")["items"]]
    assert [text[-5:] for text in texts] == [" May.", "June.", " May."]
    lines = other.call("GET", "export", as_="acme").text.splitlines()
    assert id in {json.loads(line).get("id") for line in lines}
    assert other.call("GET", "export", as_="beta").headers["engram-records"] == "0"
    assert {item["tenant"] for item in other.told("GET", "scopes", as_="all")["items"]} == {"acme"}
    other.told("POST", "forget", as_="acme", json=ANA)
    assert one.told("GET", "memories", as_="acme", params=ANA)["items"] == []


def test_a_key_that_one_process_revokes_no_other_takes(two: tuple[House, House]) -> None:
    one, other = two
    made = one.told("POST", "keys", as_="acme", json={"name": "app", "rights": "read"})
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert other.call("GET", "scopes", as_=None, headers=headers).is_success
    turned = one.told("POST", f"keys/{made['id']}/rotate", as_="acme", json={})
    other.do(other.service.keyring.refresh())  # what each does by itself within seconds
    assert problem(other.call("GET", "scopes", as_=None, headers=headers)) == (401, "unauthorized")
    headers = {"Authorization": f"Bearer {turned['key']}"}
    assert other.call("GET", "scopes", as_=None, headers=headers).is_success
    one.told("DELETE", f"keys/{made['id']}", as_="acme")
    other.do(other.service.keyring.refresh())
    assert problem(other.call("GET", "scopes", as_=None, headers=headers)) == (401, "unauthorized")


def test_keys_stay_when_a_router_gets_another_database(tmp_path: Path) -> None:
    """They are in the directory: a database brings none with it, and lacks none."""
    names = ("directory", "one", "two", "three")
    directory, first, second, third = (f"sqlite:///{tmp_path}/{name}.db" for name in names)
    url = routed(directory, first, second)
    with closing(open_store(third)) as store:
        KeyStore(store).create(rights="admin", tenant="*")
    with closing(open_store(url)) as store:
        assert isinstance(store, RouterStore)
        keys = KeyStore(store)
        made, _ = keys.create(rights="admin", tenant="*")
        add_database(store, "db2", third)
        assert [key.id for key in keys.all()] == [made.id]
        assert keys.first() is None
        assert store.check() == []
    for member in (first, second):
        with closing(open_store(member)) as store:
            assert KeyStore(store).all() == []


@pytest.mark.timeout(300)
def test_killed_on_shared_stores_nothing_acknowledged_is_lost(shared_url: str) -> None:
    with process(shared_url, "--no-audit") as service:
        done, tried = under_load(service, lambda: service.stop(signal.SIGKILL))
    found = kept(shared_url)
    assert {once: found.get(once) for once in done} == done
    assert set(found) <= set(tried)
