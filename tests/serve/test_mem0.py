"""mem0's own client, its calls unchanged, against a service; and its open-source server's routes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engram.testing.doubles import ScriptedModel
from serve.service import House, Process, house, problem, process


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service that all tests of this file share, each with users of its own."""
    folder = tmp_path_factory.mktemp("mem0")
    with process(f"sqlite:///{folder}/m.db") as started:
        yield started


@pytest.fixture
def client(running: Process, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The pinned client as its users make it; its telemetry is off, and its folder the test's own."""
    monkeypatch.setenv("MEM0_TELEMETRY", "False")
    monkeypatch.setenv("MEM0_DIR", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mem0 import MemoryClient

        made = MemoryClient(api_key=running.token, host=running.url)
    yield made
    made.client.close()


def test_a_life_through_the_client(client: Any) -> None:
    added = client.add(
        [
            {"role": "user", "content": "I moved to Lisbon in May."},
            {"role": "assistant", "content": "Lovely."},
        ],
        user_id="ana",
        metadata={"topic": "move"},
    )
    first, second = added["results"]
    assert (first["memory"], first["event"]) == ("I moved to Lisbon in May.", "ADD")
    found = client.search("Where does she live?", filters={"user_id": "ana"}, top_k=1)["results"]
    assert [(item["id"], item["user_id"]) for item in found] == [(first["id"], "ana")]
    assert 0 < found[0]["score"] <= 1
    page = client.get_all(filters={"AND": [{"user_id": "ana"}, {"metadata": {"topic": "move"}}]}, page_size=1)
    assert (page["count"], len(page["results"]), page["previous"]) == (2, 1, None)
    assert page["next"].startswith("/v3/memories/?page=2")
    assert client.get(first["id"])["metadata"] == {"topic": "move"}
    client.update(first["id"], text="I moved to Lisbon in June.", metadata={"topic": "home"})
    assert client.get(first["id"])["memory"].endswith("June.")
    told = client.history(first["id"])
    assert [(item["event"], item["old_memory"], item["new_memory"][-5:]) for item in told] == [
        ("ADD", None, " May."),
        ("UPDATE", "I moved to Lisbon in May.", "June."),
    ]
    client.delete(second["id"])
    assert [item["id"] for item in client.get_all(filters={"user_id": "ana"})["results"]] == [first["id"]]
    client.delete_all(user_id="ana")
    assert client.get_all(filters={"user_id": "ana"})["results"] == []


def test_what_it_raises(client: Any, running: Process) -> None:
    from mem0 import MemoryClient
    from mem0.exceptions import MemoryNotFoundError, ValidationError

    with pytest.raises(MemoryNotFoundError):
        client.get("nothing/../x")
    with pytest.raises(ValidationError):
        client.search("anything", filters={"user_id": "ana", "categories": ["home"]})
    with pytest.raises(ValueError, match="show a key"):
        MemoryClient(api_key="m0-wrong", host=running.url)


def test_entities_batches_and_filters(client: Any) -> None:
    said = {"bo": "Plum is a cat.", "cy": "Rex is a dog."}
    ids = {
        user: client.add(text, user_id=user, app_id="pets")["results"][0]["id"] for user, text in said.items()
    }
    client.add("An agent's note", agent_id="helper", timestamp=1_714_600_000)
    both = client.search("pets", filters={"OR": [{"user_id": "bo"}, {"user_id": "cy"}]})["results"]
    assert {item["user_id"] for item in both} <= {"bo", "cy"}
    [dog] = client.get_all(filters={"app_id": "pets", "keywords": {"icontains": "DOG"}})["results"]
    assert (dog["id"], dog["app_id"]) == (ids["cy"], "pets")
    [note] = client.get_all(filters={"agent_id": "helper", "created_at": {"lt": "2024-06-01"}})["results"]
    assert note["created_at"].startswith("2024-05-01")
    names = {(item["type"], item["name"]) for item in client.users()["results"]}
    assert {("user", "bo"), ("user", "cy"), ("agent", "helper")} <= names
    client.batch_update([{"memory_id": ids["bo"], "text": "Plum is an old cat."}])
    assert client.get(ids["bo"])["memory"] == "Plum is an old cat."
    client.batch_delete([{"memory_id": id} for id in ids.values()])
    assert client.get_all(filters={"app_id": "pets"})["results"] == []
    client.delete_users(agent_id="helper")
    assert client.get_all(filters={"agent_id": "helper"})["results"] == []


def test_memories_are_what_a_policy_makes_of_turns(tmp_path: Path) -> None:
    """Behind a policy that derives, facts are the memories, and turns are not."""

    def said(request: Any) -> str:
        facts = '{"memory": [{"text": "Ana lives in Lisbon", "attributed_to": "user"}]}'
        return facts if "memory" in str(request) else "{}"

    with house(tmp_path, policy="mem0", model=ScriptedModel(said)) as served:
        told = served.told("POST", "/memories", json={"messages": "I moved to Lisbon.", "user_id": "ana"})
        listed = served.told("GET", "/memories", params={"user_id": "ana"})["results"]
        assert "I moved to Lisbon." not in [item["memory"] for item in (*told["results"], *listed)]
        raw = {"messages": [{"role": "user", "content": "As it is."}], "user_id": "bo", "infer": False}
        [kept] = served.told("POST", "/memories", json=raw)["results"]
        assert (kept["memory"], kept["event"]) == ("As it is.", "ADD")
        found = served.told("POST", "/search", json={"query": "as it is", "user_id": "bo"})["results"]
        assert [item["id"] for item in found] == [kept["id"]]


def test_the_open_source_servers_routes(served: House) -> None:
    body = {
        "messages": [{"role": "user", "content": "The heron is back."}],
        "user_id": "ana",
        "run_id": "one",
    }
    [made] = served.told("POST", "/memories", json=body)["results"]
    place = f"/memories/{made['id']}"
    assert served.told("GET", place)["run_id"] == "one"
    assert served.told("PUT", place, json={"text": "The heron left."})["memory"] == "The heron left."
    assert served.told("PUT", place, json={"data": "It left."})["message"] == "Memory updated successfully!"
    assert len(served.told("GET", f"{place}/history")) == 3
    found = served.told(
        "POST", "/search", json={"query": "heron", "filters": {"run_id": "one"}, "threshold": 0}
    )
    assert found["results"]
    assert served.told("DELETE", place) == {"message": "Memory deleted successfully!"}
    assert problem(served.call("GET", place)) == (404, "not-found")
    assert problem(served.call("GET", "/memories")) == (403, "forbidden")
    assert problem(served.call("POST", "/search", json={"query": "x"})) == (403, "forbidden")
    assert problem(served.call("POST", "/configure", json={})) == (403, "forbidden")
    served.told("POST", "/memories", json=body)
    served.told("DELETE", "/memories", params={"filters": "{'user_id': 'ana'}"})
    assert served.told("GET", "/memories", params={"user_id": "ana"})["results"] == []
    served.told("POST", "/memories", json=body)
    served.told("POST", "/reset")
    assert served.told("GET", "/memories", params={"user_id": "*"})["results"] == []


@pytest.mark.parametrize(
    "filters",
    [
        {"user_id": "ana", "AND": []},
        {"user_id": "ana", "OR": [3]},
        {"user_id": "ana", "NOT": [{}]},
        {"user_id": "ana", "created_at": {"near": "now"}},
        {"user_id": "ana", "created_at": "yesterday-ish"},
        {"AND": [{"user_id": "ana"}, {"user_id": "bo"}]},
        {"user_id": "ana", "categories": ["x"]},
        {"user_id": 3},
    ],
)
def test_filters_that_say_nothing_are_refused(shared: House, filters: dict[str, Any]) -> None:
    response = shared.call("POST", "/v3/memories/search/", json={"query": "x", "filters": filters})
    assert response.status_code == 422, response.text


def test_what_mem0_does_and_engram_does_not_is_refused(shared: House) -> None:
    for extra in ({"custom_instructions": "only pets"}, {"expiration_date": "soon"}):
        body = {"messages": "x", "user_id": "ana", **extra}
        assert problem(shared.call("POST", "/v3/memories/add/", json=body)) == (422, "invalid-input")
    [made] = shared.told("POST", "/memories", json={"messages": "x", "user_id": "ana"})["results"]
    put = shared.call("PUT", f"/v1/memories/{made['id']}/", json={"timestamp": 3})
    assert problem(put) == (422, "invalid-input")
    assert isinstance(put, httpx.Response)
