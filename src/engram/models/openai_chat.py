"""Any OpenAI-compatible `/chat/completions` endpoint. Needs `engram[openai]`."""

import json
import time
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from engram.kernel.chat import ChatReply, ChatRequest, Finish
from engram.kernel.errors import BadReply, ConfigError, MissingExtra, ModelUnavailable
from engram.models.http import SHOWN, refusal
from engram.models.structured import instruction, strict_schema

if TYPE_CHECKING:
    import httpx

__all__ = ["OpenAIChat", "lmstudio", "ollama", "openrouter", "vllm"]

_OPENAI: Final = "https://api.openai.com/v1"
_FINISH: Final[Mapping[str, Finish]] = {"stop": "stop", "length": "length", "content_filter": "refused"}
_OPTIONAL: Final = ("temperature", "seed")
_LONGEST: Final = 20_000_000  # bytes of an answer
_NOT_THE_FORM: Final = ("model_not_found", "does not exist", "context length", "context_length")
_REFUSES: Final = frozenset({400, 404, 415, 422, 501})


class OpenAIChat:
    """A chat model behind HTTP: `POST {base_url}/chat/completions`, as OpenAI's API has it.

    A reply with a schema is asked for as strict `json_schema`; an endpoint that refuses it is asked for
    `json_object`, then by the prompt alone, and what it has refused is not tried again (nor are `seed`,
    `temperature` and `max_tokens`, which some models take under another name or not at all). `extra` is
    sent along with every request, such as `{"reasoning_effort": "low"}`. `timeout`, in seconds, holds for
    a whole call where the request has none.

    Raises `MissingExtra` without httpx and `ConfigError` for settings that cannot work. It does not repeat
    requests by itself. Safe to use from several threads.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str = _OPENAI,
        api_key: str | None = None,
        timeout: float = 60,
        kind: str = "openai",
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtra("a chat model behind an OpenAI-compatible endpoint", "openai") from error
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(f"base_url is {base_url!r}: it may be like http://localhost:11434/v1")
        if timeout <= 0:
            raise ConfigError("timeout of a chat model is above 0 seconds")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            url = httpx.URL(base_url.rstrip("/") + "/chat/completions")
            self._client: httpx.Client = httpx.Client(headers=headers)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise ConfigError("base_url or api_key has a character that HTTP does not allow") from error
        home = base_url.rstrip("/") == _OPENAI or kind != "openai"
        self.name: str = f"{kind}:{model}" + ("" if home else f"@{url.netloc.decode()}")
        self._url, self._model, self._timeout, self._extra = str(url), model, timeout, dict(extra or {})
        self._failures = httpx.TransportError
        self._lock, self._refused = Lock(), set[str]()

    def reply(self, request: ChatRequest) -> ChatReply:
        """The model's reply; `ChatModel.reply` says what is raised."""
        began = time.monotonic()
        deadline = began + (request.timeout or self._timeout)
        prompt = request.messages[-1].text[:SHOWN] if request.messages else ""
        given_up: set[str] = set()
        while True:
            refused = frozenset(self._refused | given_up)
            body = self._body(request, refused)
            status, headers, text = self._post(body, deadline)
            if status < 300:
                with self._lock:
                    self._refused |= given_up
                return self._read(text, prompt, time.monotonic() - began)
            less = _without(body, text) if status in _REFUSES else None
            if less is None:
                raise refusal(self._url, self._model, status, text, headers.get("retry-after"), prompt)
            given_up.add(less)

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _body(self, request: ChatRequest, refused: frozenset[str]) -> dict[str, Any]:
        messages = [{"role": message.role, "content": message.text} for message in request.messages]
        body: dict[str, Any] = {"model": self._model, "messages": messages, **self._extra}
        if request.max_tokens is not None:
            name = "max_completion_tokens" if "max_tokens" in refused else "max_tokens"
            if name not in refused:
                body[name] = request.max_tokens
        for name in _OPTIONAL:
            value = getattr(request, name)
            if value is not None and name not in refused:
                body[name] = value
        if request.schema is not None:
            self._ask_for_json(body, request.schema, request.name, refused)
        return body

    def _ask_for_json(
        self, body: dict[str, Any], schema: Mapping[str, Any], name: str, refused: frozenset[str]
    ) -> None:
        strict = strict_schema(schema)
        if strict is not None and "json_schema" not in refused:
            held = {"name": name, "strict": True, "schema": strict}
            body["response_format"] = {"type": "json_schema", "json_schema": held}
            return
        if "json_object" not in refused:
            body["response_format"] = {"type": "json_object"}
        told = instruction(schema)
        if body["messages"] and body["messages"][0]["role"] == "system":
            body["messages"][0]["content"] += "\n\n" + told
        else:
            body["messages"].insert(0, {"role": "system", "content": told})

    def _post(self, body: dict[str, Any], deadline: float) -> "tuple[int, httpx.Headers, str]":
        """Status, headers and text of the answer, read until the deadline and no longer."""
        try:
            with self._client.stream("POST", self._url, json=body, timeout=_left(deadline)) as answer:
                parts: list[bytes] = []
                size = 0
                for part in answer.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > _LONGEST:
                        raise BadReply(f"{self._url} answers with more than {_LONGEST:,} bytes")
                    _left(deadline)
                return answer.status_code, answer.headers, b"".join(parts).decode("utf-8", "replace")
        except self._failures as failure:
            raise ModelUnavailable(
                f"{self._url} gave no answer ({type(failure).__name__}: {failure})"
            ) from failure
        except TimeoutError as failure:
            raise ModelUnavailable(f"{self._url} was not done in time") from failure

    def _read(self, text: str, prompt: str, latency: float) -> ChatReply:
        try:
            answer = json.loads(text)
            choice = answer["choices"][0]
            message = choice["message"]
            said = message.get("content")
            if isinstance(said, list):
                said = "".join(part.get("text", "") for part in said)
            usage = answer.get("usage") or {}
            details = usage.get("prompt_tokens_details") or {}
            refused = bool(message.get("refusal")) and not said
            finish: Finish = (
                "refused" if refused else _FINISH.get(choice.get("finish_reason") or "stop", "other")
            )
            shown = message["refusal"] if refused else said or ""
            if not isinstance(shown, str):
                raise TypeError("content is no text")
            return ChatReply(
                shown,
                _whole(usage.get("prompt_tokens")),
                _whole(usage.get("completion_tokens")),
                _whole(details.get("cached_tokens")) or 0,
                _money(usage.get("cost")),
                str(answer.get("model") or self._model),
                finish,
                latency,
            )
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            raise BadReply(
                f"{self._url} gave no chat completion: does it speak OpenAI's API?",
                prompt=prompt,
                reply=text[:SHOWN],
            ) from error


def ollama(model: str, *, base_url: str = "http://localhost:11434/v1", **options: Any) -> OpenAIChat:
    """A model that Ollama serves."""
    return OpenAIChat(model, base_url=base_url, kind="ollama", **options)


def vllm(model: str, *, base_url: str = "http://localhost:8000/v1", **options: Any) -> OpenAIChat:
    """A model that vLLM serves."""
    return OpenAIChat(model, base_url=base_url, kind="vllm", **options)


def lmstudio(model: str, *, base_url: str = "http://localhost:1234/v1", **options: Any) -> OpenAIChat:
    """A model that LM Studio serves."""
    return OpenAIChat(model, base_url=base_url, kind="lmstudio", **options)


def openrouter(model: str, *, base_url: str = "https://openrouter.ai/api/v1", **options: Any) -> OpenAIChat:
    """A model by way of OpenRouter, which tells what a call costs."""
    extra = {"usage": {"include": True}, **(options.pop("extra", None) or {})}
    return OpenAIChat(model, base_url=base_url, kind="openrouter", extra=extra, **options)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _without(body: Mapping[str, Any], text: str) -> str | None:
    """What to leave out next, where the endpoint's words or the request's form suggest something."""
    lower = text.lower()
    if any(word in lower for word in _NOT_THE_FORM):
        return None
    for name in (*_OPTIONAL, "max_completion_tokens", "max_tokens"):
        if name in body and name in lower:
            return name
    form = body.get("response_format")
    return str(form["type"]) if isinstance(form, Mapping) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _money(value: Any) -> float | None:
    return (
        float(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        else None
    )
