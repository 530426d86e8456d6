"""Gemini models through Google's own library. Needs `engram[google]`."""

import time
from threading import Lock
from typing import Any, Final

from engram.kernel.chat import ChatReply, ChatRequest, Finish
from engram.kernel.errors import BadReply, ConfigError, MissingExtra, ModelUnavailable
from engram.models.http import SHOWN, refusal
from engram.models.structured import instruction, strict_schema

__all__ = ["GoogleChat"]

_REFUSED: Final = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"}
)
_SCHEMA: Final = "response_json_schema"
_OPTIONAL: Final = ("temperature", "seed")


class GoogleChat:
    """A model behind the Gemini API, by the `google-genai` package.

    A reply with a schema is asked for as JSON with that schema; where the model refuses that, as JSON by
    the prompt. `timeout` is in seconds. The library's own retries are off. Raises `MissingExtra` without
    the package, `ConfigError` without a key. Safe to use from several threads.
    """

    def __init__(
        self, model: str, *, api_key: str | None = None, base_url: str | None = None, timeout: float = 60
    ) -> None:
        try:
            import httpx2
            from google import genai
            from google.genai import errors
        except ImportError as error:
            raise MissingExtra("a Google model", "google") from error
        if not api_key:
            raise ConfigError("a Google model needs a key: set GEMINI_API_KEY, or give api_key")
        self.name: str = f"google:{model}"
        self._url = base_url or "https://generativelanguage.googleapis.com"
        options = genai.types.HttpOptions(base_url=self._url, timeout=int(timeout * 1000))
        self._client = genai.Client(api_key=api_key, vertexai=False, http_options=options)
        self._model, self._timeout = model, timeout
        self._errors, self._failures = errors, httpx2.TransportError
        self._lock, self._refused = Lock(), set[str]()

    def reply(self, request: ChatRequest) -> ChatReply:
        """The model's reply; `ChatModel.reply` says what is raised."""
        began = time.monotonic()
        given_up: set[str] = set()
        prompt = request.messages[-1].text[:SHOWN] if request.messages else ""
        contents: Any = [
            {"role": "model" if message.role == "assistant" else "user", "parts": [{"text": message.text}]}
            for message in request.messages
            if message.role != "system"
        ]
        while True:
            config: Any = self._config(request, frozenset(self._refused | given_up))
            try:
                answer = self._client.models.generate_content(
                    model=self._model, contents=contents, config=config
                )
            except self._errors.APIError as error:
                less = _without(config, str(error)) if error.code == 400 else None
                if less is None:
                    raise self._translated(error, prompt) from error
                given_up.add(less)
            except self._failures as error:
                raise ModelUnavailable(
                    f"{self._url} gave no answer ({type(error).__name__}: {error})"
                ) from error
            except (ValueError, TypeError, AttributeError, KeyError) as error:  # not of the library's types
                raise self._unreadable(prompt, str(error)) from error
            else:
                with self._lock:
                    self._refused |= given_up
                return self._read(answer, prompt, time.monotonic() - began)

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _config(self, request: ChatRequest, refused: frozenset[str]) -> dict[str, Any]:
        system = [message.text for message in request.messages if message.role == "system"]
        config: dict[str, Any] = {
            "http_options": {"timeout": int((request.timeout or self._timeout) * 1000)},
            "automatic_function_calling": {"disable": True},
        }
        if request.max_tokens is not None:
            config["max_output_tokens"] = request.max_tokens
        for name in _OPTIONAL:
            value = getattr(request, name)
            if value is not None and name not in refused:
                config[name] = value
        if request.schema is not None:
            config["response_mime_type"] = "application/json"
            strict = None if _SCHEMA in refused else strict_schema(request.schema)
            if strict is not None:
                config[_SCHEMA] = strict
            else:
                system.append(instruction(request.schema))
        if system:
            config["system_instruction"] = "\n\n".join(system)
        return config

    def _read(self, answer: Any, prompt: str, latency: float) -> ChatReply:
        """The first candidate; a prompt that a filter blocked has none."""
        usage = answer.usage_metadata
        candidate = answer.candidates[0] if answer.candidates else None
        if candidate is None and answer.prompt_feedback is None:
            raise self._unreadable(prompt, str(answer)[:SHOWN])
        parts = (candidate.content.parts if candidate and candidate.content else None) or []
        reason = candidate.finish_reason.name if candidate and candidate.finish_reason else "STOP"
        finish: Finish = "other"
        if candidate is None or reason in _REFUSED:
            finish = "refused"
        elif reason in ("STOP", "MAX_TOKENS"):
            finish = "stop" if reason == "STOP" else "length"
        written = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) if usage else None
        return ChatReply(
            "".join(part.text for part in parts if part.text and not part.thought),
            usage.prompt_token_count if usage else None,
            written,
            (usage.cached_content_token_count or 0) if usage else 0,
            None,
            answer.model_version or self._model,
            finish,
            latency,
        )

    def _unreadable(self, prompt: str, reply: str) -> BadReply:
        return BadReply(
            f"{self._url} gave no reply of a model: does it speak Gemini's API?",
            prompt=prompt,
            reply=reply[:SHOWN],
        )

    def _translated(self, error: Any, prompt: str) -> Exception:
        """The library's error as one of ours."""
        headers = getattr(error.response, "headers", None) or {}
        status = error.code if isinstance(error.code, int) else 500
        if "API key not valid" in str(error):
            status = 401
        return refusal(self._url, self._model, status, str(error), headers.get("retry-after"), prompt)


def _without(config: dict[str, Any], text: str) -> str | None:
    """What to leave out next, by the words of a refusal."""
    lower = text.lower()
    for name in _OPTIONAL:
        if name in config and name in lower:
            return name
    return _SCHEMA if _SCHEMA in config and "schema" in lower else None
