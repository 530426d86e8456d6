"""The edge: limits, doubled headers, odd paths and bodies, problems, idempotency, the audit, no secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from engram.engine import read
from engram.kernel import errors
from engram.kernel.errors import EngramError, InvalidInput
from engram.serve.limits import Buckets, too_deep
from engram.serve.problems import KINDS, problem_of
from engram.serve.replays import Replay, Replays
from engram.testing.doubles import ScriptedModel
from serve.service import WIDE, House, house, problem

JSON = {"Content-Type": "application/json"}
ANA = {"user_id": "ana"}


@pytest.mark.parametrize("route", ["memories", "search", "/v3/memories/add/", "/search", "keys"])
@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 65 + b"1" + b"}" * 65, b'{"messages":' + b"[" * 70 + b"]" * 70 + b"}"],
    ids=["open", "objects", "lists"],
)
def test_what_is_nested_too_deep_is_not_parsed(shared: House, route: str, body: bytes) -> None:
    assert problem(shared.call("POST", route, content=body, headers=JSON)) == (400, "malformed")


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages": "x", "user_id": "\\ud800"}',
        b'{"messages": "\\ud83d", "user_id": "ana"}',
        b'{"messages": {"role": "user", "content": "x", "metadata": {"a": NaN}}, "user_id": "ana"}',
        b'{"messages": "x", "user_id": "ana", "metadata": {"n": 1e999}}',
        b'{"messages": "x", "user_id": "ana", "metadata": {"n": ' + b"9" * 5000 + b"}}",
        b'{"messages": "x", "user_id": "a\\u0000b"}',
        b'{"messages": "x", "\\ud800": 1}',
        b'{"messages": "x", "user_id": 3}',
        b'"text"',
        b"[]",
        b"null",
        b"",
    ],
)
def test_odd_json_is_refused_and_breaks_nothing(shared: House, body: bytes) -> None:
    response = shared.call("POST", "memories", content=body, headers=JSON)
    assert response.status_code in (400, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "/engram/v1/memories/%2e%2e%2f%2e%2e%2fetc",
        "/engram/v1/memories/..%5c..%5cx",
        "/engram/v1/../v1/stats/",
        "//engram/v1/stats",
        "/engram/v1/memories/%00",
        "/engram/v1/memories/" + "a" * 600,
        "/engram/v1/memories/%ff%fe",
        "/memories/%E2%80%AE/history",
        "/engram/v1/jobs/%27%20OR%201=1--",
        "/health/../engram/v1/stats",
        "/openapi.json/../engram/v1/keys",
    ],
)
def test_odd_paths_lead_nowhere(shared: House, path: str) -> None:
    raw = httpx.URL("http://engram").copy_with(raw_path=path.encode())
    headers = {"Authorization": f"Bearer {shared.tokens['all']}"}
    response = shared.do(shared.client.request("GET", raw, headers=headers))
    assert response.status_code in ((200, 404, 422) if "/.." in path else (404, 422)), response.text
    keyless = shared.do(shared.client.request("GET", raw))
    assert keyless.status_code == 401


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key", "Host", "Content-Length", "Idempotency-Key"])
def test_a_doubled_header_is_refused(shared: House, name: str) -> None:
    token = shared.tokens["all"]
    value = {"Authorization": f"Bearer {token}", "X-API-Key": token}.get(name, "1")
    headers = [("Authorization", f"Bearer {token}"), *[(name, value)] * (1 if name == "Authorization" else 2)]
    response = shared.do(shared.client.request("GET", "/engram/v1/stats", headers=headers))
    assert problem(response) == (400, "malformed")


def test_two_keys_and_doubled_ids_are_refused(shared: House) -> None:
    other = {"X-API-Key": "engram_other_secret"}
    assert problem(shared.call("GET", "stats", headers=other)) == (401, "unauthorized")
    twice = shared.call("GET", "stats?user_id=ana&user_id=bo")
    assert problem(twice) == (400, "malformed")


def test_answers_have_secure_headers_and_no_page_of_another_site_reads_them(shared: House) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for response in (
        shared.call("GET", "stats", headers=asked),
        shared.call("OPTIONS", "search", headers=asked),
        shared.call("GET", "/health", as_=None, headers=asked),
        shared.call("GET", "nothing", as_=None),
    ):
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-request-id"]
        assert "server" not in response.headers


def test_a_body_may_be_as_long_as_it_may(tmp_path: Path) -> None:
    with house(tmp_path, limits=replace(WIDE, body=1000, upload=2000)) as served:
        long = {"messages": "x" * 1000, **ANA}
        assert problem(served.call("POST", "memories", json=long)) == (413, "too-large")

        async def parts() -> Any:
            for _ in range(30):
                yield b"x" * 100

        for path, headers in (("memories", JSON), ("import", {})):
            chunked = served.call("POST", path, content=parts(), headers=headers)
            assert problem(chunked) == (413, "too-large")
        lie = served.call("POST", "search", content=b"{}", headers={**JSON, "Content-Length": "1e3"})
        assert problem(lie) == (400, "malformed")


def test_a_key_may_ask_so_often_and_an_address_guess_so_often(tmp_path: Path) -> None:
    with house(tmp_path) as served:
        served.service._asked, served.service._failed = Buckets(1e-6, 3), Buckets(1e-6, 2)
        statuses = [served.call("GET", "stats").status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        limited = served.call("GET", "stats")
        assert int(limited.headers["retry-after"]) >= 1
        served.key("other")
        assert served.call("GET", "stats", as_="other").status_code == 200
        guesses = [served.call("GET", "stats", as_=None).status_code for _ in range(3)]
        assert guesses == [401, 401, 429]
        assert served.call("GET", "stats", as_="other").status_code == 200
        assert served.call("GET", "/health", as_=None).status_code == 200


def test_so_many_requests_are_under_way_at_once(tmp_path: Path) -> None:
    with house(tmp_path, limits=replace(WIDE, concurrent=2)) as served:
        asked = {"Authorization": f"Bearer {served.tokens['all']}"}

        async def many() -> list[int]:
            calls = [served.client.get("/engram/v1/stats", headers=asked) for _ in range(10)]
            return [response.status_code for response in await asyncio.gather(*calls)]

        found = served.do(many())
        assert set(found) == {200, 503}
        assert served.call("GET", "stats").status_code == 200


def test_a_request_that_comes_again_gets_the_first_answer(served: House) -> None:
    once = {"Idempotency-Key": "order-1"}
    body = {"messages": ["one", "two"], **ANA}
    first = served.call("POST", "memories", json=body, headers=once)
    again = served.call("POST", "memories", json=body, headers=once)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = served.call("POST", "memories", json={**body, "messages": "three"}, headers=once)
    assert problem(other) == (409, "conflict")
    served.key("other")
    theirs = served.call("POST", "memories", as_="other", json=body, headers=once)
    assert "idempotency-replayed" not in theirs.headers
    assert served.told("GET", "stats", params=ANA)["records"] == 4
    assert problem(served.call("POST", "memories", json=body, headers={"Idempotency-Key": ""})) == (
        422,
        "invalid-input",
    )


def test_nothing_is_added_twice_when_the_answer_was_lost(served: House) -> None:
    """As after a kill: the process that kept the answers is gone, the store is not."""
    body, once = {"messages": ["one", {"content": "two"}], **ANA}, {"Idempotency-Key": "order-1"}
    first = served.told("POST", "memories", json=body, headers=once)
    served.service.replays = Replays()
    again = served.told("POST", "memories", json=body, headers=once)
    assert [item["id"] for item in again["items"]] == [item["id"] for item in first["items"]]
    assert {item["event"] for item in again["items"]} == {"duplicate"}


def test_requests_at_once_under_one_idempotency_key_are_one(served: House) -> None:
    headers = {"Authorization": f"Bearer {served.tokens['all']}", "Idempotency-Key": "same"}
    body = {"messages": "once", **ANA}

    async def many() -> list[httpx.Response]:
        calls = [served.client.post("/engram/v1/memories", json=body, headers=headers) for _ in range(8)]
        return list(await asyncio.gather(*calls))

    answers = served.do(many())
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 7


def test_requests_under_one_idempotency_key_wait_for_each_other_where_one_fails() -> None:
    replays, begun, most = Replays(), 0, 0
    under_way: list[int] = []

    async def answer() -> Replay:
        nonlocal begun, most
        begun, number = begun + 1, begun + 1
        under_way.append(number)
        most = max(most, len(under_way))
        for _ in range(10):
            await asyncio.sleep(0)
        under_way.remove(number)
        return Replay(b"", 503 if number < 3 else 200, None, b"", 0.0)

    async def asked() -> bool:
        _, again = await replays.once(("key", "same"), b"x", answer)
        return again

    async def many() -> list[bool]:
        first = [asyncio.create_task(asked()) for _ in range(2)]
        await first[0]
        return list(await asyncio.gather(*first, *(asked() for _ in range(3))))

    assert sorted(asyncio.run(many())) == [False, False, False, True, True]
    assert (begun, most) == (3, 1)


def test_the_audit_says_who_did_what_in_ids(served: House) -> None:
    key = served.key("app", "write", "default", "ana")
    id = served.told("POST", "memories", as_="app", json={"messages": "The code is 4711."})["items"][0]["id"]
    served.told("POST", "search", as_="app", json={"query": "What is the code?"})
    served.call("POST", "search", as_="app", json={"query": "x", "user_id": "bo"})
    served.call("GET", "memories/nothing", as_="app")
    served.call("GET", "keys", as_="app")
    told = [(item["call"], item["outcome"], item["ids"]) for item in served.audited() if item["key"] == key]
    assert told == [
        ("add", "done", [id]),
        ("search", "done", [id]),
        ("search", "Forbidden", []),
        ("get", "NotFound", []),
        ("keys", "Forbidden", []),
    ]
    text = served.audit.read_text(encoding="utf-8")
    assert "4711" not in text
    assert "code" not in text
    assert served.tokens["app"].split("_", 2)[2] not in text
    assert stat.S_IMODE(served.audit.stat().st_mode) == 0o600
    assert all(item["request"] for item in served.audited())


def test_an_audit_that_is_moved_away_is_begun_anew(served: House, tmp_path: Path) -> None:
    served.told("GET", "stats")
    served.audit.rename(tmp_path / "old.jsonl")
    served.service.audit.look()
    served.told("GET", "stats")
    assert [item["call"] for item in served.audited()] == ["stats"]


def test_what_fails_inside_tells_nothing_outside_but_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_request: object) -> str:
        raise RuntimeError("the secret is 4711")

    with house(tmp_path, model=ScriptedModel(broken)) as served:
        served.told("POST", "memories", json={"messages": "My sister Ada repairs pianos.", **ANA})
        with caplog.at_level(logging.INFO, logger="engram.serve"):
            response = served.call("POST", "ask", json={"question": "What does Ada repair?", **ANA})
    assert response.status_code == 500
    assert problem(response)[1] == "internal"
    assert "4711" not in response.text + caplog.text
    assert "Ada" not in caplog.text
    assert "RuntimeError in broken" in caplog.text
    assert response.headers["x-request-id"] in caplog.text
    assert served.tokens["all"].split("_", 2)[2] not in caplog.text


def test_every_error_has_its_row_in_the_table() -> None:
    classes = [value for name in errors.__all__ if isinstance(value := getattr(errors, name), type)]
    assert [found.__name__ for found in classes if found not in KINDS] == []
    assert len({kind.name for kind in KINDS.values()}) == len(KINDS)
    assert problem_of(InvalidInput("k: too large"), "r").body["detail"] == "k: too large"
    hidden = problem_of(errors.StoreError("the path is full"), "r")
    assert "path" not in str(hidden.body)
    model = errors.ModelUnavailable("busy", retry_after=2.5)
    assert problem_of(model, "r").headers["Retry-After"] == "3"

    class Newer(EngramError):
        pass

    assert problem_of(Newer("x"), "r").status == 500


@pytest.mark.parametrize("depth", [1, 2, 64, 65, 100])
def test_how_deep_a_text_is(depth: int) -> None:
    for open_, close in (("[", "]"), ('{"a":', "}"), ('[{"]":', "}]")):
        text = open_ * depth + "1" + close * depth
        levels = depth * (2 if open_.startswith("[{") else 1)
        assert not too_deep(text.encode(), levels)
        assert too_deep(text.encode(), levels - 1)
        json.loads(text)
    assert not too_deep(b'"[[[[[[\\"[[[["', 1)


def test_a_bucket_fills_again() -> None:
    slow = Buckets(1e-6, 2.0)
    assert [slow.take("a"), slow.take("a")] == [0.0, 0.0]
    assert slow.take("a") > 1e5
    assert slow.take("b") == 0.0
    fast = Buckets(1e9, 1.0)
    assert [fast.take("a") for _ in range(5)] == [0.0] * 5


def test_a_page_is_read_as_the_face_reads_it(shared: House) -> None:
    assert read.MAX_BUDGET >= 1_000_000  # what the bodies allow, the face takes
    for body in ({"query": "x", "budget": 1_000_000, **ANA}, {"query": "x", "k": 1000, **ANA}):
        assert shared.call("POST", "context", json=body).status_code == 200
