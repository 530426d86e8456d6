"""Time limits, bounds and patience around any chat model; what tokens cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from engram.kernel.chat import ChatReply, ChatRequest, Message
from engram.kernel.errors import BadReply, ConfigError, ModelUnavailable
from engram.models.chat import layered
from engram.models.layers import Bounded, Retried, Timed
from engram.models.openai_chat import OpenAIChat
from engram.models.prices import PUBLISHED, Price, cost, price_of
from engram.testing.doubles import ScriptedModel
from engram.testing.server import ScriptedServer, rate_limited, slow

ASK = ChatRequest((Message("user", "Say hello."),))


def busy(*waits: float | None) -> list[ModelUnavailable | str]:
    return [*(ModelUnavailable("busy", retry_after=wait) for wait in waits), "hello"]


def test_a_busy_model_is_asked_again_after_growing_pauses() -> None:
    naps: list[float] = []
    model = ScriptedModel(busy(None, None, None, None))
    assert Retried(model, sleep=naps.append).reply(ASK).text == "hello"
    assert [low <= nap <= 2 * low for nap, low in zip(naps, (0.25, 0.5, 1, 2), strict=True)] == [True] * 4


def test_pauses_come_from_the_seed_and_differ_between_clients() -> None:
    def pauses(seed: int) -> list[float]:
        naps: list[float] = []
        Retried(ScriptedModel(busy(None, None)), seed=seed, sleep=naps.append).reply(ASK)
        return naps

    assert pauses(1) == pauses(1)
    assert pauses(1) != pauses(2)


def test_what_the_server_asks_for_is_waited_for_within_patience() -> None:
    naps: list[float] = []
    Retried(ScriptedModel(busy(30, 0)), sleep=naps.append).reply(ASK)
    assert naps[0] == 30
    assert naps[1] < 2
    with pytest.raises(ModelUnavailable) as caught:
        Retried(ScriptedModel(busy(300)), sleep=naps.append, patience=120).reply(ASK)
    assert caught.value.retry_after == 300
    assert len(naps) == 2


def test_patience_and_retries_come_to_an_end() -> None:
    naps: list[float] = []
    model = ScriptedModel(lambda request: ModelUnavailable("busy"))
    with pytest.raises(ModelUnavailable):
        Retried(model, retries=2, sleep=naps.append).reply(ASK)
    assert len(model.requests) == 3
    with pytest.raises(ModelUnavailable):
        Retried(model, retries=100, patience=60, sleep=naps.append).reply(ASK)
    assert len(model.requests) < 15


def test_only_what_time_mends_is_repeated() -> None:
    for error in (BadReply("no"), ConfigError("no")):
        model = ScriptedModel([error, "hello"])
        with pytest.raises(type(error)):
            Retried(model, sleep=lambda _: None).reply(ASK)
        assert len(model.requests) == 1


def test_a_model_that_never_answers_is_given_up_on() -> None:
    class Silent:
        name = "silent"

        def reply(self, request: ChatRequest) -> ChatReply:
            asked.append(request)
            threading.Event().wait(30)
            return ChatReply("late")

    asked: list[ChatRequest] = []
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match=r"silent gave no reply within 0\.05 s"):
        Timed(Silent(), 0.05).reply(ASK)
    assert time.monotonic() - began < 5
    assert asked[0].timeout == 0.05


def test_errors_come_through_the_time_limit() -> None:
    with pytest.raises(BadReply, match="as it is"):
        Timed(ScriptedModel([BadReply("as it is")])).reply(ASK)
    assert Timed(ScriptedModel(["hello"])).reply(ASK).text == "hello"


def at_once(model: Any, calls: int) -> None:
    threads = [threading.Thread(target=model.reply, args=(ASK,)) for _ in range(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_no_more_calls_at_once_than_allowed() -> None:
    with ScriptedServer(lambda request: slow("x", 0.05)) as server:
        at_once(Bounded(OpenAIChat("m", base_url=server.url), 2), 8)
        assert len(server.requests) == 8
        assert server.most_at_once <= 2


def test_all_layers_together_over_http() -> None:
    with ScriptedServer([rate_limited(0.01), slow("late", 30), "hello"]) as server:
        bare = OpenAIChat("m", base_url=server.url)
        model = layered(bare, timeout=0.3, retries=3, patience=20, calls=2, seed=0)
        assert model.name == bare.name
        assert model.reply(ASK).text == "hello"
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda model: Timed(model, 0),
        lambda model: Bounded(model, 0),
        lambda model: Retried(model, retries=-1),
    ],
)
def test_layers_that_cannot_work(make: Callable[[Any], Any]) -> None:
    with pytest.raises(ConfigError):
        make(ScriptedModel([]))


def test_prices_by_name() -> None:
    assert price_of("openai:gpt-5-mini") == PUBLISHED["openai:gpt-5-mini"]
    assert price_of("openai:gpt-5-mini-2025-08-07") == PUBLISHED["openai:gpt-5-mini"]
    assert price_of("anthropic:claude-haiku-4-5-20251001") == PUBLISHED["anthropic:claude-haiku-4-5"]
    assert price_of("openai:gpt-5-mini@localhost:8000") is None
    assert price_of("ollama:gpt-5-mini") is None
    assert price_of("openai:gpt-5-mini-turbo") is None
    own = {"gpt-5-mini": Price(1, 1), "openai:gpt-5-mini": Price(2, 2)}
    assert price_of("openai:gpt-5-mini", own) == Price(2, 2)
    assert price_of("openai:gpt-5-mini@localhost:8000", own) == Price(1, 1)


def test_what_a_reply_costs() -> None:
    price = Price(1.0, 10.0, 0.5, up_to=1000)
    assert cost(ChatReply("x", 100, 20, 50), price) == pytest.approx((50 * 1 + 50 * 0.5 + 20 * 10) / 1e6)
    assert cost(ChatReply("x", 100, 20, cost=0.25), price) == 0.25
    assert cost(ChatReply("x", 1001, 20), price) is None
    assert cost(ChatReply("x"), price) is None
    assert cost(ChatReply("x", 100, 20), None) is None
    assert Price(2, 4).of(1_000_000, 500_000, 1_000_000) == pytest.approx(4.0)
