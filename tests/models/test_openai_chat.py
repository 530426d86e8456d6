"""The adapter to OpenAI-compatible chat endpoints, against a scripted one on loopback."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram.kernel.chat import ChatModel, ChatReply, ChatRequest, Message
from engram.kernel.errors import BadReply, ConfigError, EngramError, MissingExtra, ModelUnavailable
from engram.models.openai_chat import OpenAIChat, lmstudio, ollama, openrouter, vllm
from engram.testing.server import (
    Answer,
    Request,
    ScriptedServer,
    chat,
    cut_off,
    failing,
    hung_up,
    malformed,
    rate_limited,
    slow,
    unreachable,
)

SCHEMA = {
    "type": "object",
    "properties": {"word": {"type": "string", "maxLength": 5}, "other": {"type": "integer", "default": 1}},
    "required": ["word"],
}
ASK = ChatRequest((Message("system", "Be brief."), Message("user", "Say hello.")), max_tokens=50, timeout=5)
TYPED = replace(ASK, schema=SCHEMA, name="Word")

Serve = Callable[..., ScriptedServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers and stops them with the test."""
    running: list[ScriptedServer] = []

    def start(script: Any = ()) -> ScriptedServer:
        running.append(ScriptedServer(script))
        return running[-1].__enter__()

    yield start
    for server in running:
        server.stop()


def model(server: ScriptedServer | str, **options: Any) -> OpenAIChat:
    url = server if isinstance(server, str) else server.url
    return OpenAIChat("small", base_url=url, api_key="sk-canary", **options)


def test_a_reply_with_what_it_took(serve: Serve) -> None:
    server = serve([chat("Hello.", read=12, written=3, cached=4, model="small-2026-01-01", cost=0.5)])
    asked = model(server)
    assert isinstance(asked, ChatModel)
    reply = asked.reply(replace(ASK, temperature=0.0, seed=7))
    assert 0 < reply.latency < 5
    assert replace(reply, latency=0) == ChatReply("Hello.", 12, 3, 4, 0.5, "small-2026-01-01", "stop")
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].headers["Authorization"] == "Bearer sk-canary"
    assert server.requests[0].body == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Say hello."},
        ],
        "max_tokens": 50,
        "temperature": 0.0,
        "seed": 7,
    }


def test_a_schema_is_asked_for_as_strict_structured_output(serve: Serve) -> None:
    server = serve(['{"word": "hi", "other": 2}'])
    assert model(server).reply(TYPED).text == '{"word": "hi", "other": 2}'
    form = server.requests[0].body["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"] == {
        "name": "Word",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"word": {"type": "string"}, "other": {"type": "integer"}},
            "required": ["word", "other"],
            "additionalProperties": False,
        },
    }
    assert len(server.requests[0].body["messages"]) == 2


def refusing(*forms: str) -> Callable[[Request], Answer | str]:
    """An endpoint that knows nothing of these response formats."""

    def answer(request: Request) -> Answer | str:
        form = request.body.get("response_format", {}).get("type")
        return failing(400, f"response_format {form} is not supported") if form in forms else "{}"

    return answer


def test_what_the_endpoint_refuses_is_left_out_and_remembered(serve: Serve) -> None:
    server = serve(refusing("json_schema", "json_object"))
    asked = model(server)
    for _ in range(2):
        assert asked.reply(TYPED).text == "{}"
    forms = [request.body.get("response_format", {}).get("type") for request in server.requests]
    assert forms == ["json_schema", "json_object", None, None]
    system = server.requests[-1].body["messages"][0]
    assert system["role"] == "system"
    assert system["content"].startswith("Be brief.")
    assert '"maxLength":5' in system["content"]
    only = replace(TYPED, messages=TYPED.messages[1:])
    asked.reply(only)
    assert server.requests[-1].body["messages"][0]["role"] == "system"


def test_a_schema_without_a_strict_form_is_asked_for_by_the_prompt(serve: Serve) -> None:
    server = serve(["{}"])
    model(server).reply(replace(ASK, schema={"type": "object", "additionalProperties": {"type": "integer"}}))
    assert server.requests[0].body["response_format"] == {"type": "json_object"}
    assert "JSON schema" in server.requests[0].body["messages"][0]["content"]


def test_settings_that_a_model_does_not_know_are_left_out(serve: Serve) -> None:
    def reasoning(request: Request) -> Answer | str:
        for name, told in (
            ("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
            ("temperature", "Unsupported value: 'temperature' does not support 0.0"),
            ("seed", "extra fields not permitted: seed"),
        ):
            if name in request.body:
                return failing(400, told)
        return "fine"

    server = serve(reasoning)
    asked = model(server, extra={"reasoning_effort": "low"})
    for _ in range(2):
        assert asked.reply(replace(ASK, temperature=0.0, seed=1)).text == "fine"
    assert len(server.requests) == 5
    last = server.requests[-1].body
    assert (last["max_completion_tokens"], last["reasoning_effort"]) == (50, "low")
    assert not {"max_tokens", "temperature", "seed"} & set(last)


def test_a_prompt_that_is_too_long_is_told_and_changes_nothing(serve: Serve) -> None:
    told = "This model's maximum context length is 10 tokens; max_tokens and response_format are too large"
    server = serve([failing(400, told), "{}"])
    asked = model(server)
    with pytest.raises(BadReply, match="maximum context length") as caught:
        asked.reply(TYPED)
    assert caught.value.prompt == "Say hello."
    asked.reply(TYPED)
    assert server.requests[1].body["response_format"]["type"] == "json_schema"
    assert len(server.requests) == 2


BUSY = [
    rate_limited(None),
    failing(500),
    failing(503),
    failing(529),
    failing(418 + 90),
    hung_up(),
    cut_off("a reply that is long enough"),
    cut_off("x", 0),
]


@pytest.mark.parametrize("answer", BUSY)
def test_a_server_in_trouble_may_be_asked_again_later(serve: Serve, answer: Answer) -> None:
    with pytest.raises(ModelUnavailable, match="gave no"):
        model(serve([answer])).reply(ASK)


def test_a_server_that_is_down() -> None:
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match="ConnectError"):
        model(unreachable()).reply(ASK)
    assert time.monotonic() - began < 3


def test_retry_after_is_handed_on(serve: Serve) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    server = serve([rate_limited(7), rate_limited(later), rate_limited("soon"), rate_limited("nan")])
    asked, waits = model(server), list[float | None]()
    for _ in range(4):
        with pytest.raises(ModelUnavailable) as caught:
            asked.reply(ASK)
        waits.append(caught.value.retry_after)
    assert waits[0] == 7
    assert waits[1] == pytest.approx(90, abs=3)
    assert waits[2:] == [None, None]


@pytest.mark.parametrize("answer", [slow("late", 20), replace(chat("drop by drop"), drip=0.05)])
def test_a_reply_takes_no_longer_than_its_time(serve: Serve, answer: Answer) -> None:
    server = serve([answer])
    began = time.monotonic()
    with pytest.raises(ModelUnavailable, match=r"Timeout|not done in time"):
        model(server).reply(replace(ASK, timeout=0.3))
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>welcome</html>",
        '{"choices": [{"message": {"content": "hal',
        "[]",
        "null",
        '{"choices": []}',
        '{"choices": null}',
        '{"choices": [{}]}',
        '{"choices": [{"message": "text"}]}',
        '{"choices": [{"message": null}]}',
        '{"choices": [{"message": {"content": [1]}}]}',
        '{"choices": [{"message": {"content": "x"}, "finish_reason": [1]}]}',
        '{"choices": [{"message": {"content": {"text": 5}}}]}',
        '{"choices": [{"message": {"content": "x"}}], "usage": [1]}',
        "[" * 100_000,
        b"\xff\xfe\x00",
    ],
)
def test_an_answer_that_is_no_completion(serve: Serve, body: str | bytes) -> None:
    with pytest.raises(BadReply, match="does it speak OpenAI's API") as caught:
        model(serve([Answer(body)])).reply(ASK)
    assert caught.value.prompt == "Say hello."


@pytest.mark.parametrize(
    "answer, finish, text",
    [
        (chat("cut", finish="length"), "length", "cut"),
        (chat(None, finish="content_filter"), "refused", ""),
        (chat("x", finish="tool_calls"), "other", "x"),
        (chat(None), "stop", ""),
        (Answer({"choices": [{"message": {"content": None, "refusal": "I won't."}}]}), "refused", "I won't."),
        (
            Answer({"choices": [{"message": {"content": [{"type": "text", "text": "in parts"}]}}]}),
            "stop",
            "in parts",
        ),
    ],
)
def test_how_a_reply_ended(serve: Serve, answer: Answer, finish: str, text: str) -> None:
    reply = model(serve([answer])).reply(ASK)
    assert (reply.finish, reply.text) == (finish, text)


def test_counts_that_are_none_are_unknown(serve: Serve) -> None:
    body = {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": -1, "cost": "much"}}
    reply = model(serve([Answer(body)])).reply(ASK)
    assert (reply.tokens_in, reply.tokens_out, reply.cost) == (None, None, None)


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_settings_mend(serve: Serve, status: int) -> None:
    with pytest.raises(ConfigError, match=r"refuses the key, the address or model 'small'") as caught:
        model(serve([failing(status, "model_not_found")])).reply(TYPED)
    assert "sk-canary" not in str(caught.value)


def test_an_empty_account_is_not_asked_again(serve: Serve) -> None:
    with pytest.raises(ConfigError, match="without payment"):
        model(serve([failing(429, "You exceeded your quota", code="insufficient_quota")])).reply(ASK)


def test_names_tell_where_a_model_runs() -> None:
    assert OpenAIChat("gpt-5-mini").name == "openai:gpt-5-mini"
    assert OpenAIChat("qwen", base_url="http://10.0.0.1:8000/v1").name == "openai:qwen@10.0.0.1:8000"
    names = [make("m").name for make in (ollama, vllm, lmstudio, openrouter)]
    assert names == ["ollama:m", "vllm:m", "lmstudio:m", "openrouter:m"]


def test_openrouter_is_asked_what_it_costs(serve: Serve) -> None:
    server = serve([chat("x", cost=0.01)])
    reply = openrouter("m", base_url=server.url, extra={"provider": {}}).reply(ASK)
    assert reply.cost == 0.01
    assert server.requests[0].body["usage"] == {"include": True}


@pytest.mark.parametrize(
    "options",
    [{"base_url": "localhost"}, {"timeout": 0}, {"api_key": "kéy\u2028"}, {"base_url": "http://a:b"}],
)
def test_settings_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        OpenAIChat("m", **options)


def test_without_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtra, match=r"engram\[openai\]"):
        OpenAIChat("m")


def test_the_server_answers_embeddings_and_models_and_stops(serve: Serve) -> None:
    import httpx

    server = serve([malformed()])
    assert httpx.get(f"{server.url}/models").json()["data"][0]["id"] == "scripted"
    body = {"input": ["a", "b"], "model": "m"}
    found = httpx.post(f"{server.url}/embeddings", json=body).json()
    assert [len(item["embedding"]) for item in found["data"]] == [8, 8]
    assert [request.method for request in server.requests] == ["GET", "POST"]
    server.stop()
    with pytest.raises(EngramError):
        model(server).reply(ASK)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "usage", "finish_reason", "refusal", "model"]),
            inner,
        )
    ),
    max_leaves=10,
)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.binary(max_size=40), st.text(max_size=40), JSONISH),
            st.sampled_from([200, 201, 400, 404, 429, 500]),
        ),
        min_size=10,
        max_size=10,
    )
)
@settings(max_examples=8)
def test_any_answer_ends_in_a_reply_or_an_error_of_ours(bodies: list[tuple[Any, int]]) -> None:
    answers = [Answer(body, status) for body, status in bodies]
    with ScriptedServer(answers) as server:
        asked = model(server)
        for _ in bodies:
            try:
                reply = asked.reply(TYPED)
            except (BadReply, ModelUnavailable, ConfigError) as error:
                told = str(error)
                assert server.url in told, told
            else:
                assert isinstance(reply.text, str)
        asked.close()
