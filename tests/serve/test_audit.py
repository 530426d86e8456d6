"""The audit read again: by admins, within the reach of their keys, whatever became of its lines."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engram.kernel.errors import InvalidInput
from engram.serve.trail import Line, Wanted, read_trail
from serve.service import House, house, problem


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service with two tenants, each of which did something, and was refused something."""
    with house(tmp_path_factory.mktemp("audit")) as made:
        for tenant in ("acme", "beta"):
            made.key(tenant, "admin", tenant)
            made.key(f"{tenant}-reader", "read", tenant)
            said = {"messages": f"The code of {tenant} is 4711.", "user_id": "ana"}
            made.told("POST", "memories", as_=tenant, json=said)
            made.told("POST", "search", as_=f"{tenant}-reader", json={"query": "code 4711", "user_id": "ana"})
            assert made.call("POST", "memories", as_=f"{tenant}-reader", json=said).status_code == 403
            other = {"query": "code", "user_id": "ana", "tenant": "beta" if tenant == "acme" else "acme"}
            assert made.call("POST", "search", as_=f"{tenant}-reader", json=other).status_code == 403
        made.key("lead", "admin", "acme", "team-*")
        made.told("POST", "memories", as_="acme", json={"messages": "tea", "user_id": "team-1"})
        yield made


def lines(served: House, as_: str = "all", **asked: Any) -> list[dict[str, Any]]:
    """The lines that a key is shown, newest first."""
    found = served.told("GET", "audit", as_=as_, params={"limit": 1000, **asked})
    items: list[dict[str, Any]] = found["items"]
    return items


def test_a_key_of_a_tenant_sees_its_own_lines_and_no_other(served: House) -> None:
    everything = lines(served)
    keys = {key["id"]: key["tenant"] for key in served.told("GET", "keys")["items"]}
    for tenant, other in (("acme", "beta"), ("beta", "acme")):
        seen = lines(served, tenant)
        assert {line["scope"].get("tenant", tenant) for line in seen} == {tenant}
        assert {keys[line["key"]] for line in seen if not line["scope"]} == {tenant}
        ours = [line for line in everything if line["scope"].get("tenant") == tenant]
        assert [line for line in seen if line["scope"] and line["call"] != "audit"] == ours
        assert not [line for line in seen if line["call"] == "search" and keys[line["key"]] == other]
        refused = [line for line in seen if line["outcome"] == "Forbidden"]
        assert {(line["call"], keys[line["key"]]) for line in refused} >= {
            ("search", tenant),
            ("add", tenant),
        }
    assert {line["scope"].get("user_id") for line in lines(served, "lead") if line["scope"]} == {"team-1"}


def test_only_admins_read_it_and_that_is_written_down_too(served: House) -> None:
    assert problem(served.call("GET", "audit", as_="acme-reader")) == (403, "forbidden")
    assert problem(served.call("GET", "audit", as_=None)) == (401, "unauthorized")
    lines(served, "acme")
    newest = lines(served, "acme")[0]
    assert (newest["call"], newest["outcome"]) == ("audit", "done")
    assert "4711" not in served.audit.read_text(encoding="utf-8")


def test_lines_are_asked_for_by_time_key_call_record_and_scope(served: House) -> None:
    adds = lines(served, call="add", tenant="acme", user_id="ana")
    done = next(line for line in adds if line["outcome"] == "done")
    (id,) = done["ids"]
    assert [line["call"] for line in lines(served, record=id)] == ["search", "add"]
    assert {line["call"] for line in lines(served, key=done["key"])} >= {"add"}
    assert lines(served, until=done["time"], record=id) == []
    assert done in lines(served, since=done["time"])
    assert lines(served, user_id="nobody") == []
    assert problem(served.call("GET", "audit", params={"since": "soon"})) == (422, "invalid-input")
    assert problem(served.call("GET", "audit", params={"after": "../../etc"})) == (422, "invalid-input")


def test_pages_hold_every_line_once(served: House) -> None:
    whole = [line["request"] for line in lines(served) if line["call"] != "audit"]
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = served.told("GET", "audit", params={"limit": 3, **after})
        seen += [line["request"] for line in page["items"] if line["call"] != "audit"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == whole


def test_a_service_without_an_audit_says_so(tmp_path: Path) -> None:
    with house(tmp_path) as made:
        made.service.audit.path = None
        response = made.call("GET", "audit")
    assert problem(response) == (404, "not-found")
    assert "--audit" in response.json()["detail"]


def entry(number: int, **fields: Any) -> dict[str, Any]:
    """A line of the audit."""
    time = f"2026-03-01T09:{number // 60:02}:{number % 60:02}+00:00"
    made = {"time": time, "request": f"r{number}", "key": "k", "call": "get", "scope": {"tenant": "acme"}}
    return {**made, "ids": [f"id{number}"], "count": 1, "outcome": "done", **fields}


def written(path: Path, *numbers: int) -> None:
    path.write_text("".join(json.dumps(entry(number)) + "\n" for number in numbers), encoding="utf-8")


def everybody(_line: Line) -> bool:
    return True


def every(path: Path, limit: int = 100, wanted: Wanted | None = None) -> tuple[list[str], int]:
    """The requests of all pages, and how many lines were damaged."""
    found: list[str] = []
    damaged, after = 0, None
    while True:
        page = read_trail(path, wanted or Wanted(), everybody, after, limit)
        found += [line["request"] for line in page.items]
        damaged += page.damaged
        after = page.next
        if after is None:
            return found, damaged


def test_rotated_files_are_read_behind_the_present_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for number, (name, numbers) in enumerate(
        (("audit.jsonl.2", (0, 1)), ("audit.jsonl-20260301", (2, 3)), ("audit.jsonl", (4, 5)))
    ):
        written(tmp_path / name, *numbers)
        os.utime(tmp_path / name, (1000 + number, 1000 + number))
    (tmp_path / "audit.jsonl.3.gz").write_bytes(gzip.compress(b"{}"))
    written(tmp_path / "audit.jsonl.bak", 9)
    for limit in (1, 2, 5, 100):
        assert every(path, limit) == (["r5", "r4", "r3", "r2", "r1", "r0"], 0)
    first = read_trail(path, Wanted(), everybody, None, 1)
    path.rename(tmp_path / "audit.jsonl.1")  # rotated between two pages
    written(path, 6)
    second = read_trail(path, Wanted(), everybody, first.next, 10)
    assert [line["request"] for line in second.items] == ["r4", "r3", "r2", "r1", "r0"]
    for rotated in tmp_path.glob("audit.jsonl?*"):
        rotated.unlink()
    with pytest.raises(InvalidInput, match="begin anew"):
        read_trail(path, Wanted(), everybody, first.next, 10)


def test_damaged_lines_are_counted_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    good = [json.dumps(entry(number)).encode() for number in range(4)]
    bad = [
        b'{"time": "2026-03-01T09:00', b"\xff\xfe\x00", b"[]", b"null", b"[" * 100_000, b"x" * 3_000_000,
        json.dumps(entry(7, ids="id")).encode(), json.dumps(entry(8, time="soon")).encode(),
        json.dumps(entry(8, time="2026-03-01T09:00:00")).encode(),
        json.dumps(entry(9, scope={"a": 1})).encode(),
    ]  # fmt: skip
    path.write_bytes(b"\n".join([good[0], *bad[:5], good[1], b"", *bad[5:], good[2], good[3][:-1]]))
    found, damaged = every(path)
    assert found == ["r2", "r1", "r0"]
    assert damaged == len(bad) + 1
    assert every(path, 1)[0] == found


def test_what_lies_before_the_time_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    written(path, *range(0, 3000, 10))
    since = read_trail(path, Wanted(), everybody, None, 1).items[0]["time"]
    page = read_trail(path, Wanted(since=_moment(since)), everybody, None, 100)
    assert [line["request"] for line in page.items] == ["r2990"]
    assert every(path, 7, Wanted(record="id10")) == (["r10"], 0)


def _moment(text: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text)
