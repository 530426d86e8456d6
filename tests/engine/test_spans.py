"""Spans: a call is one, each effect of its policy a child, and none of them holds a word that was said."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from engine.helpers import ScriptedModel
from engine.watched import Spans, facts, trace_ids
from engram import AsyncMemory, Memory, Record
from engram.engine.chat import Chat
from engram.engine.worker import Worker
from engram.kernel.changes import Add, Changes
from engram.kernel.chat import ChatReply, ChatRequest
from engram.kernel.effects import Ask, Embed, Find, each
from engram.kernel.errors import Forbidden, ModelUnavailable
from engram.kernel.policy import Query, Recall
from engram.models.prices import Price
from engram.policies.rrf import RRF
from engram.testing.doubles import HashEmbedder

CANARY = "zanzibar-canary"


@dataclass(frozen=True)
class Curious(RRF):
    """Asks and looks around at every turn."""

    name: ClassVar[str] = "curious"

    async def write(self, episodes: Sequence[Record]) -> Changes:
        made = await each(self._about(episode) for episode in episodes)
        return Changes(tuple(made))

    async def _about(self, episode: Record) -> Add:
        near = await Find(episode.text, k=2)
        told = await Ask(f"Say something of {episode.text} beside {len(near)}", str)
        return Add(told, "summary", (episode.id,))

    async def read(self, query: Query) -> Recall:
        await each([Embed((query.text,)), Embed((query.text, "besides"))])
        return await super().read(query)


@pytest.fixture
def spans() -> Spans:
    return Spans()


def spent_on(request: ChatRequest) -> ChatReply:
    """A reply that says what it took."""
    return ChatReply(f"of {CANARY}", tokens_in=100, tokens_out=20, tokens_cached=40, model="model-2026")


class Paid:
    """A chat model with a price, behind an address that is nobody's business."""

    name = "openai:model@http://keys.example/v1"

    def reply(self, request: ChatRequest) -> ChatReply:
        return spent_on(request)


def test_a_search_is_a_span_and_its_effects_are_children(spans: Spans) -> None:
    with Memory("ram:", policy=Curious(), model=ScriptedModel(lambda prompt: "said")) as memory:
        memory.add(["the heron is back", "the weir is mended"], user_id="ana", infer=False)
        spans.watch(memory)
        assert len(memory.search("heron", user_id="ana", k=2)) == 2
    search = spans.one("engram search")
    assert search.parent is None
    assert facts(search) == {"engram.policy": "curious", "engram.store": "ram", "engram.results": 2}
    effects = [span for span in spans.all if span is not search]
    assert all(spans.path(span) == ["engram search", span.name] for span in effects)
    assert [facts(span)["engram.path"] for span in spans.named("Embed")] == ["0.0", "0.1"]
    assert [facts(span)["engram.texts"] for span in spans.named("Embed")] == [1, 2]
    assert {"Embed", "Score", "Read"} <= {span.name for span in effects}
    assert facts(spans.named("Read")[-1])["engram.results"] == 2


def test_adding_shows_jobs_model_calls_and_commits_where_they_belong(spans: Spans) -> None:
    chat = Chat(Paid(), prices={"model": Price(2, 10, 1)})
    with Memory("ram:", policy=Curious(), model=chat) as memory:
        spans.watch(memory)
        memory.add([f"one {CANARY}", "two"], user_id=f"user-{CANARY}")
        assert spans.one("engram add").status.status_code is StatusCode.UNSET
    calls = spans.named("chat model")
    assert [spans.path(span) for span in calls] == [["engram add", "job write", "Ask", "chat model"]] * 2
    assert {span.kind for span in calls} == {SpanKind.CLIENT}
    said = facts(calls[0])
    assert {name: value for name, value in said.items() if name.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "model",
        "gen_ai.response.model": "model-2026",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.request.max_tokens": 4096,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.seed": 0,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
    }
    assert said["engram.cost"] == pytest.approx((60 * 2 + 40 * 1 + 20 * 10) / 1e6)
    job = facts(spans.one("job write"))
    assert (job["engram.status"], job["engram.records"], job["engram.model_calls"]) == ("done", 2, 2)
    assert facts(spans.one("engram add"))["engram.tokens_in"] == 200
    commits = [facts(span) for span in spans.named("commit")]
    assert commits[0]["engram.records.episode"] == 2
    assert sum(int(str(said.get("engram.records.summary", 0))) for said in commits) == 2
    assert "canary" not in spans.said()
    assert "example" not in spans.said()


def test_what_fails_is_marked_by_its_class_and_by_no_word_of_it(spans: Spans) -> None:
    def silent(_prompt: str) -> str:
        raise ModelUnavailable(f"no answer about {CANARY}")

    with Memory("ram:", policy=Curious(), model=ScriptedModel(silent)) as memory:
        spans.watch(memory)
        receipt = memory.add("one", user_id="ana")
        assert receipt.job is not None
        with pytest.raises(Forbidden):
            memory.search(CANARY)
    for name in ("chat model", "Ask", "job write"):
        (span,) = spans.named(name)
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert facts(span)["error.type"] == "ModelUnavailable"
        assert not span.events
    assert facts(spans.one("job write"))["engram.status"] == "pending"
    assert spans.one("engram add").status.status_code is StatusCode.UNSET
    assert facts(spans.one("engram search"))["error.type"] == "Forbidden"
    assert "canary" not in spans.said()


def test_parents_stay_right_where_calls_run_at_once(spans: Spans) -> None:
    async def many() -> None:
        async with AsyncMemory(
            "ram:", policy=Curious(), model=ScriptedModel(lambda prompt: "said")
        ) as memory:
            await memory.add("the heron is back", user_id="ana", infer=False)
            spans.watch(memory)
            await asyncio.gather(*(memory.search(f"heron {n}", user_id="ana") for n in range(8)))

    asyncio.run(many())
    searches = spans.named("engram search")
    assert len(trace_ids(searches)) == 8
    for search in searches:
        ours = [span for span in spans.all if trace_ids([span]) == trace_ids([search])]
        assert len([span for span in ours if span.name == "Embed"]) == 2
        assert {tuple(spans.path(span)) for span in ours if span is not search} == {
            ("engram search", span.name) for span in ours if span is not search
        }


def test_model_calls_of_several_threads_keep_their_parents(spans: Spans) -> None:
    chat = Chat(Paid(), calls=4, timeout=30)
    with Memory("ram:", policy=Curious(), model=chat) as memory:
        memory._bound.core.model = Held(Paid())
        spans.watch(memory)
        with spans.provider.get_tracer("test").start_as_current_span("request"):
            memory.add([f"turn {n}" for n in range(6)], user_id="ana")
    paths = [spans.path(span) for span in spans.named("chat model")]
    assert paths == [["request", "engram add", "job write", "Ask", "chat model"]] * 6


class Held(Paid):
    """A model that looks at which span is current where it is called, as an instrumented client does."""

    def __init__(self, model: Paid) -> None:
        self.model = model

    def reply(self, request: ChatRequest) -> ChatReply:
        assert trace.get_current_span().get_span_context().is_valid
        return self.model.reply(request)


def test_a_remote_embedder_is_a_call_of_its_own(spans: Spans) -> None:
    with Memory("ram:", embedder=HashEmbedder(local=False)) as memory:
        spans.watch(memory)
        memory.add("the heron is back", user_id="ana")
        memory.search("heron", user_id="ana")
    owed, asked = spans.named("embeddings hash-16")
    assert spans.path(owed) == ["engram add", "job embed", "embeddings hash-16"]
    assert spans.path(asked)[0] == "engram search"
    assert facts(asked)["gen_ai.operation.name"] == "embeddings"
    assert facts(asked)["gen_ai.embeddings.dimension.count"] == 16


def test_a_job_that_a_worker_does_names_the_trace_that_owes_it(spans: Spans, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    with Memory(url, policy=Curious(), model=ScriptedModel(lambda prompt: "said")) as memory:
        spans.watch(memory)
        memory.add("the heron is back", user_id="ana", wait=False)
    added = spans.one("engram add")
    with Memory(url, policy=Curious(), model=ScriptedModel(lambda prompt: "said")) as memory:
        spans.watch(memory)
        assert memory._bound.core.store.jobs()[0].journal.keys() == {"traceparent"}
        assert [getattr(done, "status", "") for done in Worker(memory._bound.core).work(once=True)] == [
            "done"
        ]
    job = spans.one("job write")
    assert job.parent is None
    assert {link.context.trace_id for link in job.links} == trace_ids([added])
    assert trace_ids([job]) != trace_ids([added])


def test_nothing_is_told_where_nobody_asked_for_it() -> None:
    with Memory("ram:") as memory:
        core = memory._bound.core
        assert not core.watch.on
        perform = core.perform
        assert core.driven(perform) is perform
        memory.add("one", user_id="ana", wait=False)
        assert core.watch.owing() == {}


WITH_PROVIDER = """
import sys
from engram import Memory
assert not any(name.startswith("opentelemetry") for name in sys.modules)
with Memory("ram:") as memory:
    memory.add("one", user_id="ana")
    assert not any(name.startswith("opentelemetry") for name in sys.modules)
    from opentelemetry import trace
    memory.search("one", user_id="ana")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    memory.search("one", user_id="ana")
    memory.get_all(user_id="ana")
    print([span.name for span in exporter.get_finished_spans() if span.parent is None])
    print({span.instrumentation_scope.name for span in exporter.get_finished_spans()})
"""


def test_a_provider_that_the_program_sets_up_is_enough() -> None:
    done = subprocess.run([sys.executable, "-c", WITH_PROVIDER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['engram search', 'engram get_all']", "{'engram'}"]
