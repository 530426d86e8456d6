"""Claude models through Anthropic's own library. Needs `engram[anthropic]`."""

import time
from typing import Any, Final

from engram.kernel.chat import ChatReply, ChatRequest, Finish
from engram.kernel.errors import BadReply, ConfigError, MissingExtra, ModelUnavailable
from engram.models.http import SHOWN, refusal
from engram.models.structured import instruction, strict_schema

__all__ = ["AnthropicChat"]

_FINISH: Final[dict[str, Finish]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}
_MAX_TOKENS: Final = 4096  # the interface asks for a number
_STRUCTURED: Final = "output_config"


class AnthropicChat:
    """A model behind Anthropic's Messages API, by the `anthropic` package.

    A reply with a schema is asked for as structured output; where the model refuses that, by the prompt.
    Seed and temperature are not sent: the interface has neither. `timeout` is in seconds. The library's
    own retries are off. Raises `MissingExtra` without the package, `ConfigError` without a key. Safe to use
    from several threads.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str = "https://api.anthropic.com",
        timeout: float = 60,
    ) -> None:
        try:
            import anthropic
        except ImportError as error:
            raise MissingExtra("an Anthropic model", "anthropic") from error
        if not api_key:
            raise ConfigError("an Anthropic model needs a key: set ANTHROPIC_API_KEY, or give api_key")
        self.name: str = f"anthropic:{model}"
        self._client = anthropic.Anthropic(api_key=api_key, base_url=base_url, timeout=timeout, max_retries=0)
        self._library, self._model, self._url, self._timeout = anthropic, model, base_url, timeout
        self._structured = True

    def reply(self, request: ChatRequest) -> ChatReply:
        """The model's reply; `ChatModel.reply` says what is raised."""
        began = time.monotonic()
        structured = self._structured
        prompt = request.messages[-1].text[:SHOWN] if request.messages else ""
        while True:
            asked = self._asked(request, structured)
            try:
                answer = self._client.messages.create(**asked)
            except self._library.BadRequestError as error:
                if _STRUCTURED not in asked or not _blames_the_schema(str(error)):
                    raise self._translated(error, prompt) from error
                structured = False
            except (self._library.APIError, ValueError) as error:  # ValueError: not JSON
                raise self._translated(error, prompt) from error
            else:
                self._structured = structured
                return self._read(answer, prompt, time.monotonic() - began)

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _asked(self, request: ChatRequest, structured: bool) -> dict[str, Any]:
        system = [message.text for message in request.messages if message.role == "system"]
        asked: dict[str, Any] = {
            "model": self._model,
            "max_tokens": request.max_tokens or _MAX_TOKENS,
            "messages": [
                {"role": message.role, "content": message.text}
                for message in request.messages
                if message.role != "system"
            ],
            "timeout": request.timeout or self._timeout,
        }
        if request.schema is not None:
            strict = strict_schema(request.schema) if structured else None
            if strict is not None:
                asked[_STRUCTURED] = {"format": {"type": "json_schema", "schema": strict}}
            else:
                system.append(instruction(request.schema))
        if system:
            asked["system"] = "\n\n".join(system)
        return asked

    def _read(self, answer: Any, prompt: str, latency: float) -> ChatReply:
        try:
            usage = answer.usage
            cached = usage.cache_read_input_tokens or 0
            read = usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0)
            text = "".join(block.text for block in answer.content if block.type == "text")
            return ChatReply(
                text,
                read,
                usage.output_tokens,
                cached,
                None,
                answer.model or self._model,
                _FINISH.get(answer.stop_reason or "end_turn", "other"),
                latency,
            )
        except (AttributeError, TypeError) as error:
            raise BadReply(
                f"{self._url} gave no message: does it speak Anthropic's API?",
                prompt=prompt,
                reply=str(answer)[:SHOWN],
            ) from error

    def _translated(self, error: Any, prompt: str) -> Exception:
        """The library's error as one of ours."""
        if isinstance(error, self._library.APIStatusError):
            after = error.response.headers.get("retry-after")
            return refusal(self._url, self._model, error.status_code, str(error), after, prompt)
        if isinstance(error, self._library.APIConnectionError):
            return ModelUnavailable(f"{self._url} gave no answer ({type(error).__name__}: {error})")
        return BadReply(
            f"{self._url} gave an answer that cannot be read ({error})",
            prompt=prompt,
            reply=str(error)[:SHOWN],
        )


def _blames_the_schema(text: str) -> bool:
    """Whether a refusal is about structured output."""
    return any(word in text.lower() for word in ("output_config", "output_format", "schema"))
