"""engram's own routes: each call of the face over HTTP means what it means in a program."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engram import Memory
from serve.service import House, problem

ANA = {"user_id": "ana"}


def add(house: House, text: str, user: str = "ana", **more: object) -> str:
    told = house.told("POST", "memories", json={"messages": text, "user_id": user, **more})
    return str(told["items"][0]["id"])


def test_what_is_added_is_found_edited_and_forgotten(served: House) -> None:
    id = add(served, "I moved to Lisbon in May.")
    [hit] = served.told("POST", "search", json={"query": "Where does she live?", "explain": True, **ANA})[
        "items"
    ]
    assert (hit["id"], hit["text"]) == (id, "I moved to Lisbon in May.")
    assert hit["why"]
    done = served.told("PATCH", f"memories/{id}", json={"text": "I moved to Lisbon in June."})
    versions = served.told("GET", f"memories/{id}/history")["items"]
    assert [record["text"][-5:] for record in versions] == [" May.", "June."]
    served.told("POST", "undo", json={"change_set": done["change_set"]})
    assert served.told("GET", f"memories/{id}", params=ANA)["text"].endswith("May.")
    dry = served.told("DELETE", f"memories/{id}", params={"dry_run": True})
    assert dry["dry_run"]
    assert served.told("GET", f"memories/{id}")["id"] == id
    assert served.told("POST", "forget", json=ANA)["purge"] == "done"
    assert problem(served.call("GET", f"memories/{id}")) == (404, "not-found")


def test_contexts_answers_and_graphs(served: House) -> None:
    add(served, "My sister Ada repairs pianos.")
    context = served.told("POST", "context", json={"query": "sister", "budget": 200, **ANA})
    assert "Ada repairs pianos" in context["text"]
    answer = served.told("POST", "ask", json={"question": "What does Ada repair?", **ANA})
    assert answer["kind"] == "extract"
    served.told("POST", "triples", json={"triples": [["Ada", "repairs", "pianos"]], **ANA})
    graph = served.told("POST", "graph", json={"about": ["Ada"], **ANA})
    assert {node["text"] for node in graph["nodes"]} >= {"Ada"}


def test_the_past_is_asked_by_either_time(served: House) -> None:
    id = add(served, "The boat costs 40 euros.")
    then = served.told("GET", f"memories/{id}")["known"]["start"]
    served.told("PATCH", f"memories/{id}", json={"text": "The boat costs 45 euros."})
    asked = {"query": "What does the boat cost?", "known": then, **ANA}
    for route in ("as_of", "search"):
        [hit] = served.told("POST", route, json=asked)["items"]
        assert "40 euros" in hit["text"]
    assert "40 euros" in served.told("GET", f"memories/{id}", params={"known": then})["text"]
    assert problem(served.call("POST", "as_of", json={"query": "boat", **ANA})) == (422, "invalid-input")


def test_lists_come_in_pages(served: House) -> None:
    ids = [add(served, f"turn {number}", f"user-{number % 3}") for number in range(7)]
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        asked = {"limit": 3, "everyone": True, **({"after": after} if after else {})}
        page = served.told("GET", "memories", params=asked)
        seen += [record["id"] for record in page["items"]]
        after = page["next"]
    assert seen == ids
    first = served.told("GET", "scopes", params={"limit": 2})
    rest = served.told("GET", "scopes", params={"limit": 2, "after": first["next"]})
    assert [scope["user_id"] for scope in (*first["items"], *rest["items"])] == ["user-0", "user-1", "user-2"]
    assert rest["next"] is None
    filtered = served.told(
        "POST", "list", json={"filters": {"text": {"contains": "turn 4"}}, "everyone": True}
    )
    assert [record["id"] for record in filtered["items"]] == [ids[4]]
    assert problem(served.call("GET", "scopes", params={"after": "x"})) == (422, "invalid-input")


def test_a_scope_goes_out_and_comes_back(served: House) -> None:
    id = add(served, "The heron is back.")
    exported = served.call("GET", "export", params=ANA)
    lines = [json.loads(line) for line in exported.text.splitlines()]
    assert exported.headers["engram-records"] == "1"
    assert [line.get("id") for line in lines][1] == id
    served.told("POST", "forget", json=ANA)
    told = served.told("POST", "import", params={"name": "x.jsonl"}, content=exported.content)
    assert (told["format"], told["stored"]) == ("engram", 1)
    assert served.told("GET", f"memories/{id}")["text"] == "The heron is back."
    again = served.told("POST", "import", params={"name": "x.jsonl"}, content=exported.content)
    assert (again["stored"], again["duplicate"]) == (0, 1)


def test_another_programs_file_is_imported_for_a_user(served: House) -> None:
    messages = json.dumps([{"role": "user", "content": "Plum is a cat."}]).encode()
    told = served.told("POST", "import", params={"name": "chat.json", "user_id": "bo"}, content=messages)
    assert told["stored"] == 1
    [hit] = served.told("POST", "search", json={"query": "cat", "user_id": "bo"})["items"]
    assert hit["text"] == "Plum is a cat."
    broken = served.call("POST", "import", params={"name": "chat.json", **ANA}, content=b"\x00\x01")
    assert problem(broken) == (422, "invalid-input")
    assert "/tmp" not in broken.text  # noqa: S108 - where the file lay here is nobody's business


def test_counts_health_and_the_file_that_tells_the_routes(served: House) -> None:
    add(served, "one")
    assert served.told("GET", "stats", params=ANA)["records"] == 1
    for path in ("/health", "/ready"):
        assert served.call("GET", path, as_=None).json()["status"] == "ok"
    assert served.call("GET", "/openapi.json", as_=None).json()["info"]["title"] == "engram"


@pytest.mark.parametrize(
    ("method", "path", "options", "expected"),
    [
        ("POST", "search", {"json": {"query": "x"}}, (403, "forbidden")),
        ("POST", "search", {"json": {"query": "x", "usr": "ana"}}, (422, "invalid-input")),
        (
            "POST",
            "search",
            {"json": {"query": "x", "filters": {"rolle": "user"}, **ANA}},
            (422, "invalid-input"),
        ),
        (
            "POST",
            "search",
            {"content": b"{", "headers": {"Content-Type": "application/json"}},
            (400, "malformed"),
        ),
        (
            "POST",
            "search",
            {"content": b"\xff", "headers": {"Content-Type": "application/json"}},
            (400, "malformed"),
        ),
        ("POST", "memories", {"json": {"messages": [], **ANA}}, (422, "invalid-input")),
        ("POST", "memories", {"json": {"messages": "a\0b", **ANA}}, (422, "invalid-input")),
        ("GET", "memories/nothing", {}, (404, "not-found")),
        ("GET", "memories", {"params": {"user-id": "ana"}}, (422, "invalid-input")),
        ("DELETE", "memories/x", {"params": {"dryrun": "true"}}, (422, "invalid-input")),
        ("POST", "undo", {"json": {"change_set": "99"}}, (404, "not-found")),
        ("GET", "jobs/nothing", {}, (404, "not-found")),
        ("GET", "nothing", {}, (404, "no-route")),
        ("PUT", "search", {}, (405, "no-method")),
        ("POST", "import", {"params": {"format": ""}, "content": b"x"}, (422, "invalid-input")),
        ("POST", "import", {"params": {"name": "../../x"}, "content": b"x"}, (422, "invalid-input")),
    ],
)
def test_what_cannot_be_is_a_problem(
    shared: House, method: str, path: str, options: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert problem(shared.call(method, path, **options)) == expected


def test_the_same_as_in_a_program(served: House) -> None:
    """Hits over HTTP are those of the face, field by field."""
    texts = ["The weir is mended.", "A heron stood on the weir.", "Bo tunes the piano."]
    for text in texts:
        add(served, text)
    over = served.told("POST", "search", json={"query": "the weir", "k": 3, **ANA})["items"]
    with Memory("ram:") as memory:
        for text in texts:
            memory.add(text, user_id="ana")
        inside = memory.search("the weir", k=3, user_id="ana")
    assert [(hit["text"], hit["score"]) for hit in over] == [(hit.text, hit.score) for hit in inside]
