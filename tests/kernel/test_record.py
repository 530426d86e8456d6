"""Records, scopes and times: identity, JSON round trips, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.kernel.clock import from_micros, micros, parse_time
from engram.kernel.errors import InvalidInput
from engram.kernel.record import TEXT_MARK, Edge, Interval, Record, derived_id, new_id
from engram.kernel.scope import Scope

NOON = datetime(2026, 5, 8, 12, tzinfo=UTC)
names = st.one_of(st.none(), st.text("abc", min_size=1, max_size=3))
scopes = st.builds(Scope, st.sampled_from(["default", "acme"]), names, names, names)


def a_record(**fields: object) -> Record:
    plain: dict[str, object] = {
        "id": "r1",
        "kind": "episode",
        "text": "hello",
        "scope": Scope(user_id="ana"),
        "time": NOON,
        "valid": Interval(NOON),
        "known": Interval(NOON, NOON + timedelta(days=1)),
        "role": "user",
    }
    return Record(**{**plain, **fields})  # type: ignore[arg-type]


def test_a_record_survives_json() -> None:
    record = a_record(metadata={"a": [1, None]}, payload=[{"x": 1}], sources=("b",), expires=NOON, level=0)
    assert Record.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_an_edge_survives_json() -> None:
    edge = Edge("e", "a", "b", "knows", Scope(), Interval(NOON), Interval(NOON), 0.5, ("a",), "p", {"k": 1})
    assert Edge.from_dict(json.loads(json.dumps(edge.to_dict()))) == edge


@pytest.mark.parametrize(
    ("payload", "original"),
    [
        (None, {"role": "user", "content": "hello"}),
        ("", "hello"),
        ({"role": "user", "time": "x", TEXT_MARK: True}, {"role": "user", "time": "x", "content": "hello"}),
        ([{"anything": 1}], {"anything": 1}),
    ],
)
def test_the_original_comes_back(payload: object, original: object) -> None:
    assert a_record(payload=payload).original == original


def test_ids_sort_by_time_and_then_by_sequence() -> None:
    ids = [new_id(1, 5, 9), new_id(1, 6, 1), new_id(2, 1, 1), new_id(1_800_000_000_000, 0, 0)]
    assert ids == sorted(ids)
    assert all(len(id) == 26 for id in ids)
    assert derived_id(ids[3], 0) == derived_id(ids[3], 0) != derived_id(ids[3], 1)


@given(scopes, scopes)
def test_a_pattern_covers_exactly_the_addresses_that_agree(pattern: Scope, address: Scope) -> None:
    agree = all(
        wanted is None or wanted == found
        for wanted, found in zip(pattern.to_dict().values(), address.to_dict().values(), strict=True)
    )
    assert pattern.covers(address) == agree


@given(st.lists(scopes.map(lambda scope: Scope("t", scope.user_id, scope.agent_id)), min_size=1))
def test_what_is_derived_lies_in_the_scope_that_all_sources_share(found: list[Scope]) -> None:
    shared = Scope.shared(found)
    assert all(shared.covers(scope) for scope in found)


def test_sources_of_two_tenants_are_never_joined() -> None:
    with pytest.raises(InvalidInput, match="two tenants"):
        Scope.shared([Scope("a"), Scope("b")])


@pytest.mark.parametrize("bad", ["", "a\0b", "x" * 513, 7, "line\nbreak"])
def test_ids_that_cannot_be_are_refused(bad: object) -> None:
    with pytest.raises(InvalidInput, match="user_id"):
        Scope.of(user_id=bad)  # type: ignore[arg-type]


@given(st.datetimes(timezones=st.just(UTC)))
def test_microseconds_round_trip(moment: datetime) -> None:
    assert from_micros(micros(moment)) == moment


def test_times_are_read_in_every_usual_form() -> None:
    east = timezone(timedelta(hours=2))
    assert parse_time("2026-05-08T12:00:00Z") == (NOON, False)
    assert parse_time("2026-05-08T12:00:00") == (NOON, True)
    assert parse_time(NOON.astimezone(east)) == (NOON, False)
    assert parse_time(NOON.timestamp()) == (NOON, False)
    for bad in ("last May", True, None, 1e300, [1]):
        with pytest.raises(InvalidInput, match="give ISO 8601"):
            parse_time(bad)


def test_intervals_are_half_open() -> None:
    day = Interval(NOON, NOON + timedelta(days=1))
    assert NOON in day
    assert NOON + timedelta(days=1) not in day
    assert NOON - timedelta(days=900) in Interval()
