"""What tests of stores are made of: records, scopes, moments and a clock that waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from engram.kernel.record import Interval, Record
from engram.kernel.scope import Scope
from engram.testing.builders import START, Timeline

__all__ = [
    "KINDS",
    "SCOPES",
    "Timeline",
    "addresses",
    "blobs",
    "ends",
    "metadata",
    "moments",
    "names",
    "numbers",
    "origins",
    "owners",
    "patterns",
    "payloads",
    "records",
    "scopes",
    "texts",
]

SCOPES = (
    Scope(user_id="ana"),
    Scope(user_id="ana", run_id="first"),
    Scope(user_id="ana", agent_id="cook", run_id="first"),
    Scope(user_id="ben"),
    Scope("other", user_id="ana"),
    Scope(agent_id="cook"),
)
PATTERNS = (*SCOPES, Scope(), Scope("other"), Scope(run_id="first"), Scope("nobody"))
KINDS = ("episode", "fact", "summary")
WORDS = ("tea", "a longer text that says more " * 40, "", "наука", "茶と犬", '"; DROP TABLE records; --')

scopes = st.sampled_from(SCOPES)
patterns = st.sampled_from(PATTERNS)
numbers = st.integers(min_value=0, max_value=99)
moments = st.integers(min_value=-3, max_value=60).map(lambda days: START + timedelta(days=days))
ends = st.none() | moments
texts = st.sampled_from(WORDS)
blobs = st.sampled_from((b"", b"w", bytes(range(256)) * 3))
metadata: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    ({}, {}, {"a": [1, {"b": None}], "é": "ü"}, {"n": 1.5})
)
payloads = st.sampled_from((None, None, "", {"content": "tea", "x": [1, 2]}, {"$text": True, "role": "user"}))
origins = st.sampled_from((None, None, None, "m1", "m2", "m3"))
addresses = st.tuples(scopes, st.sampled_from(("m1", "m2", "m3")))
owners = st.sampled_from(("one", "two"))
names = st.sampled_from(("x", "y"))


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record that nothing has been made from yet."""
    time = draw(moments)
    return Record(
        id="",
        kind=draw(st.sampled_from(KINDS)),
        text=draw(texts),
        scope=draw(scopes),
        time=time,
        valid=Interval(time, draw(ends)),
        known=Interval(draw(moments)),
        level=draw(st.sampled_from((0, None))),
        origin=draw(origins),
        role=draw(st.sampled_from(("user", None))),
        name=draw(st.sampled_from(("Ana", None))),
        made_by=draw(st.sampled_from((None, None, "sum:1"))),
        strength=draw(st.sampled_from((1.0, 0.25))),
        metadata=draw(metadata),
        payload=draw(payloads),
        expires=draw(ends),
    )
