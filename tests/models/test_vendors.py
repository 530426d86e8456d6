"""Anthropic's and Google's models through their own libraries, against a scripted server on loopback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from engram.kernel.chat import ChatModel, ChatRequest, Message
from engram.kernel.errors import BadReply, ConfigError, MissingExtra, ModelUnavailable
from engram.models.anthropic_chat import AnthropicChat
from engram.models.google_chat import GoogleChat
from engram.testing.server import (
    Answer,
    Request,
    ScriptedServer,
    cut_off,
    failing,
    hung_up,
    rate_limited,
    slow,
    unreachable,
)

ASK = ChatRequest(
    (
        Message("system", "Be brief."),
        Message("user", "Say hello."),
        Message("assistant", "Hullo."),
        Message("user", "Again."),
    ),
    max_tokens=50,
    temperature=0.0,
    seed=3,
    timeout=5,
)
SCHEMA = {
    "type": "object",
    "properties": {"word": {"type": "string", "maxLength": 5}},
    "required": ["word"],
}
TYPED = replace(ASK, schema=SCHEMA)
VENDORS = ["anthropic", "google"]


def said(vendor: str, text: str, finish: str = "") -> Answer:
    """The vendor's form of a reply."""
    if vendor == "anthropic":
        usage = {"input_tokens": 8, "output_tokens": 3, "cache_read_input_tokens": 4}
        return Answer(
            {
                "id": "1",
                "type": "message",
                "role": "assistant",
                "model": "small-1",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": text},
                ],
                "stop_reason": finish or "end_turn",
                "usage": usage,
            }
        )
    counts = {
        "promptTokenCount": 12,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 1,
        "cachedContentTokenCount": 4,
    }
    parts = [{"text": "hm", "thought": True}, {"text": text}]
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": finish or "STOP"}
    return Answer({"candidates": [candidate], "usageMetadata": counts, "modelVersion": "small-1"})


def refusal(vendor: str, status: int, message: str) -> Answer:
    """The vendor's form of an error."""
    if vendor == "anthropic":
        kind = {"type": "invalid_request_error", "message": message}
        return Answer({"type": "error", "error": kind}, status)
    return Answer({"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}, status)


Make = Callable[[Any], tuple[ScriptedServer, ChatModel]]


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def model(vendor: str, url: str, **options: Any) -> AnthropicChat | GoogleChat:
    make = AnthropicChat if vendor == "anthropic" else GoogleChat
    return make("small", api_key="canary", base_url=url, **options)


@pytest.fixture
def serve(vendor: str) -> Iterator[Make]:
    """Starts a server with a script, and the vendor's model at it."""
    running: list[ScriptedServer] = []
    made: list[AnthropicChat | GoogleChat] = []

    def start(script: Any) -> tuple[ScriptedServer, ChatModel]:
        running.append(ScriptedServer(script))
        running[-1].__enter__()
        made.append(model(vendor, running[-1].origin))
        return running[-1], made[-1]

    yield start
    for one in made:
        one.close()
    for server in running:
        server.stop()


def test_a_reply_with_what_it_took(vendor: str, serve: Make) -> None:
    server, asked = serve([said(vendor, "Hello.")])
    assert isinstance(asked, ChatModel)
    assert asked.name == f"{vendor}:small"
    reply = asked.reply(ASK)
    assert (reply.text, reply.finish, reply.model) == ("Hello.", "stop", "small-1")
    assert (reply.tokens_in, reply.tokens_out, reply.tokens_cached) == (12, 3, 4)
    body = server.requests[0].body
    if vendor == "anthropic":
        assert (body["system"], body["max_tokens"]) == ("Be brief.", 50)
        assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
        assert "canary" in " ".join(server.requests[0].headers.values())
    else:
        assert body["systemInstruction"]["parts"][0]["text"] == "Be brief."
        assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
        config = body["generationConfig"]
        assert (config["maxOutputTokens"], config["temperature"], config["seed"]) == (50, 0.0, 3)


def test_structured_output_is_asked_for(vendor: str, serve: Make) -> None:
    server, asked = serve([said(vendor, '{"word": "hi"}')])
    assert asked.reply(TYPED).text == '{"word": "hi"}'
    body = server.requests[0].body
    strict = {
        "type": "object",
        "properties": {"word": {"type": "string"}},
        "required": ["word"],
        "additionalProperties": False,
    }
    if vendor == "anthropic":
        assert body["output_config"]["format"] == {"type": "json_schema", "schema": strict}
    else:
        assert body["generationConfig"]["responseMimeType"] == "application/json"
        assert body["generationConfig"]["responseJsonSchema"] == strict


def test_what_the_model_refuses_is_left_out_and_remembered(vendor: str, serve: Make) -> None:
    def answer(request: Request) -> Answer:
        sent = str(request.body)
        if "output_config" in sent or "responseJsonSchema" in sent:
            return refusal(vendor, 400, "json_schema is not supported by this model")
        return (
            refusal(vendor, 400, "temperature is fixed")
            if "'temperature'" in sent
            else said(vendor, '{"word": "hi"}')
        )

    server, asked = serve(answer)
    for _ in range(2):
        assert asked.reply(TYPED).text == '{"word": "hi"}'
    assert len(server.requests) == (3 if vendor == "anthropic" else 4)
    assert "JSON schema" in str(server.requests[-1].body)


@pytest.mark.parametrize(
    "ends",
    [
        ("max_tokens", "MAX_TOKENS", "length"),
        ("refusal", "SAFETY", "refused"),
        ("tool_use", "OTHER", "other"),
    ],
)
def test_how_a_reply_ended(vendor: str, serve: Make, ends: tuple[str, str, str]) -> None:
    _, asked = serve([said(vendor, "x", ends[VENDORS.index(vendor)])])
    assert asked.reply(ASK).finish == ends[2]


def test_a_blocked_prompt_is_a_refusal() -> None:
    with ScriptedServer([Answer({"promptFeedback": {"blockReason": "SAFETY"}})]) as server:
        reply = model("google", server.origin).reply(ASK)
    assert (reply.finish, reply.text) == ("refused", "")


@pytest.mark.parametrize(
    "answer",
    [
        failing(500),
        failing(503),
        failing(529),
        rate_limited(None),
        hung_up(),
        cut_off(said("anthropic", "x")),
    ],
)
def test_a_server_in_trouble_may_be_asked_again_later(serve: Make, answer: Answer) -> None:
    server, asked = serve([answer])
    with pytest.raises(ModelUnavailable):
        asked.reply(ASK)
    assert len(server.requests) == 1


def test_retry_after_is_handed_on(serve: Make) -> None:
    _, asked = serve([rate_limited(7)])
    with pytest.raises(ModelUnavailable) as caught:
        asked.reply(ASK)
    assert caught.value.retry_after == 7


def test_a_server_that_is_down(vendor: str) -> None:
    with pytest.raises(ModelUnavailable):
        model(vendor, unreachable().removesuffix("/v1")).reply(ASK)


def test_a_reply_takes_no_longer_than_its_time(vendor: str, serve: Make) -> None:
    _, asked = serve([slow(said(vendor, "late"), 20)])
    with pytest.raises(ModelUnavailable):
        asked.reply(replace(ASK, timeout=0.3))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_settings_mend(vendor: str, serve: Make, status: int) -> None:
    _, asked = serve([refusal(vendor, status, "no")])
    with pytest.raises(ConfigError, match="refuses the key, the address or model 'small'"):
        asked.reply(ASK)


def test_a_request_that_is_refused(vendor: str, serve: Make) -> None:
    _, asked = serve([refusal(vendor, 400, "prompt is too long")])
    with pytest.raises(BadReply, match="prompt is too long") as caught:
        asked.reply(TYPED)
    assert caught.value.prompt == "Again."


@pytest.mark.parametrize(
    "body", ["", "<html>", '{"candidates": [{"con', "[]", "{}", "null", '{"content": 5}', "5"]
)
def test_an_answer_that_is_no_reply(serve: Make, body: str) -> None:
    _, asked = serve([Answer(body)])
    with pytest.raises(BadReply):
        asked.reply(ASK)


@pytest.mark.parametrize("kind, package", [("anthropic", "anthropic"), ("google", "google.genai")])
def test_without_the_package_or_a_key(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make: Any = AnthropicChat if kind == "anthropic" else GoogleChat
    with pytest.raises(ConfigError, match="API_KEY"):
        make("small")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"engram\[{kind}\]"):
        make("small", api_key="k")
