"""How chat models and rerankers are named, configured and loaded."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from engram import Budget, Chat, ConfigError, Memory
from engram.kernel.errors import BadReply, MissingExtra, ModelError
from engram.kernel.protocols import AskingReranker, Reranker
from engram.models.chat import load_chat_model
from engram.models.cross_encoder import CrossEncoderReranker
from engram.models.layers import Retried
from engram.models.openai_chat import OpenAIChat
from engram.models.rerankers import load_reranker
from engram.operators.retrieval.rerank import ByModel
from engram.testing.doubles import ScriptedModel
from engram.testing.server import ScriptedServer


def test_specs_name_chat_models() -> None:
    assert load_chat_model("openai:gpt-5-mini").name == "openai:gpt-5-mini"
    assert load_chat_model("ollama:qwen3").name == "ollama:qwen3"
    assert load_chat_model("anthropic:small", {"api_key": "k"}).name == "anthropic:small"
    assert load_chat_model("google:small", {"api_key": "k"}).name == "google:small"
    own = ScriptedModel([])
    assert load_chat_model(own) is own


@pytest.mark.parametrize("spec", ["nobody:m", "openai", "openai:", "", 5])
def test_what_names_no_chat_model(spec: Any) -> None:
    with pytest.raises(ConfigError, match=r"chat model"):
        load_chat_model(spec)


def test_options_that_an_adapter_does_not_take() -> None:
    with pytest.raises(ConfigError, match="cannot be made of this"):
        load_chat_model("openai:m", {"colour": "red"})


def ask(memory: Memory) -> Any:
    model = memory._bound.core.model
    assert model is not None
    return model


def test_a_memory_takes_address_and_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(['{"best": [2, 1]}']) as server:
        monkeypatch.setenv("ENGRAM_MODEL", "openai:small")
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        monkeypatch.setenv("ENGRAM_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
        with Memory("ram:", reranker="model") as memory:
            memory.add(["red tea", "green tea"], user_id="u")
            assert len(memory.search("tea", user_id="u")) == 2
        assert server.requests[0].headers["Authorization"] == "Bearer sk-canary"
        assert server.requests[0].body["model"] == "small"


@pytest.mark.parametrize(
    "host, url",
    [
        ("127.0.0.1", "http://127.0.0.1:11434/v1/chat/completions"),
        ("0.0.0.0:99", "http://127.0.0.1:99/v1/chat/completions"),
        ("https://far.example", "https://far.example:11434/v1/chat/completions"),
    ],
)
def test_ollama_is_where_its_own_setting_says(host: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    with Memory("ram:", model="ollama:qwen3") as memory:
        layer = ask(memory)
        while not isinstance(layer, OpenAIChat):
            layer = layer._model
    assert layer._url == url


def test_keys_of_other_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
        Memory("ram:", model="anthropic:small")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    for spec in ("anthropic:small", "google:small"):
        with Memory("ram:", model=spec) as memory:
            assert ask(memory).name == spec


def test_a_spec_gets_layers_and_a_bare_model_does_not() -> None:
    with Memory("ram:", model="ollama:m") as memory:
        assert isinstance(ask(memory), Retried)
    own = ScriptedModel([])
    with Memory("ram:", model=own) as memory:
        assert ask(memory) is own
    with Memory("ram:", model=Chat(own)) as memory:
        assert isinstance(ask(memory), Retried)
    with Memory("ram:") as memory:
        assert memory._bound.core.model is None
    with pytest.raises(ConfigError, match="a dict has not"):
        Memory("ram:", model={"openai": "m"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [{"timeout": 0}, {"retries": -1}, {"calls": 0}, {"max_tokens": 0}, {"cache": -1}, {"patience": -1}],
)
def test_settings_that_cannot_work(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Chat"):
        Chat("openai:m", **settings)


@pytest.mark.parametrize("limit", [-1, float("nan"), True])
def test_limits_that_cannot_work(limit: float) -> None:
    with pytest.raises(ConfigError, match="budget day_cost"):
        Budget(day_cost=limit)


class CrossEncoder:
    """What the adapter needs of a `CrossEncoder`: it counts shared words."""

    def __init__(self, path: str, device: str | None = None) -> None:
        if "missing" in path:
            raise OSError(f"no file in {path}")
        self.path = path

    def predict(self, pairs: list[tuple[str, str]], *, batch_size: int, show_progress_bar: bool) -> list[Any]:
        if "broken" in self.path:
            raise RuntimeError("out of memory")
        shared = [len(set(query.split()) & set(text.split())) for query, text in pairs]
        return [[number] * 2 for number in shared] if "classes" in self.path else shared


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library with that model in it."""
    fake = types.ModuleType("sentence_transformers")
    monkeypatch.setattr(fake, "CrossEncoder", CrossEncoder, raising=False)
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)


@pytest.mark.usefixtures("library")
def test_a_cross_encoder_ranks() -> None:
    reranker = load_reranker("cross-encoder:some/model")
    assert isinstance(reranker, Reranker)
    assert reranker.depth == 50
    assert list(reranker.rank("a b", ["a", "b a", "c"])) == [1, 2, 0]
    assert list(reranker.rank("a b", [])) == []
    with pytest.raises(ModelError, match="out of memory"):
        CrossEncoderReranker("broken").rank("a", ["b"])
    with pytest.raises(BadReply, match="more than one number"):
        CrossEncoderReranker("classes").rank("a", ["b"])
    with pytest.raises(ConfigError, match="no cross-encoder"):
        CrossEncoderReranker("missing")


def test_without_sentence_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match="sentence-transformers"):
        CrossEncoderReranker("some/model")


def test_specs_name_rerankers() -> None:
    by_model = load_reranker("model")
    assert by_model == ByModel()
    assert isinstance(by_model, AskingReranker)
    for wrong in ("nobody:x", "cross-encoder", "model:x", object()):
        with pytest.raises(ConfigError, match="reranker"):
            load_reranker(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        ByModel(depth=1)
