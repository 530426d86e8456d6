"""A memory that is a service: its calls are spans, and the service goes on in their trace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from client.loopback import Loopback, loopback
from engine.watched import Spans, facts, trace_ids
from engram import AsyncMemory, Memory
from engram.client import Service
from engram.kernel.errors import Forbidden

CANARY = "zanzibar"


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback() as made:
        yield made


@pytest.fixture
def spans() -> Spans:
    return Spans()


def served(server: Loopback, spans: Spans) -> Service:
    """A service that makes spans, and how it is reached."""
    memory = AsyncMemory("ram:")
    memory._bound.core.watch.provider = spans.provider
    url, token = server.serve(memory)
    spans.clear()
    return Service(url, token)


def test_the_service_goes_on_in_the_trace_of_whoever_calls(server: Loopback, spans: Spans) -> None:
    with Memory(served(server, spans)) as memory:
        memory._bound.place.watch.provider = spans.provider  # type: ignore[attr-defined]
        memory.add(CANARY, user_id="ana")
        assert len(memory.search(CANARY, user_id="ana")) == 1
    for call, route in (("add", "memories"), ("search", "search")):
        ours, theirs = sorted(spans.named(f"engram {call}"), key=lambda span: span.start_time or 0)
        assert spans.path(theirs) == [f"engram {call}", f"POST /engram/v1/{route}", f"engram {call}"]
        assert (facts(ours)["engram.store"], facts(theirs)["engram.store"]) == ("http", "ram")
        assert "engram.policy" not in facts(ours)
    assert len(trace_ids(spans.all)) == 2
    assert CANARY not in spans.said()


def test_what_the_service_refuses_is_marked(server: Loopback, spans: Spans) -> None:
    with Memory(served(server, spans)) as memory:
        memory._bound.place.watch.provider = spans.provider  # type: ignore[attr-defined]
        with pytest.raises(Forbidden):
            memory.search(CANARY)
    ours = next(span for span in spans.named("engram search") if span.parent is None)
    assert facts(ours)["error.type"] == "Forbidden"
    assert CANARY not in spans.said()
