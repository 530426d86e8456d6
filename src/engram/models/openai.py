"""Any OpenAI-compatible `/embeddings` endpoint. Needs `engram[openai]`."""

import time
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from engram.kernel.errors import BadReply, ConfigError, MissingExtra, ModelUnavailable
from engram.models.http import retry_after
from engram.models.static import tokeniser
from engram.models.vectors import fill, refuse_single, unit_rows

if TYPE_CHECKING:
    import httpx

__all__ = ["OpenAIEmbedder"]

_PUBLISHED: Final = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_MENDED_BY_SETTINGS = frozenset({401, 403, 404, 405})
_REQUEST_TOKENS = 200_000  # OpenAI takes 300,000 by its own count
_SHOWN = 500


class OpenAIEmbedder:
    """Texts to a model behind HTTP: `POST {base_url}/embeddings`, as OpenAI's API has it.

    `dimensions` is also sent, for models that can shorten their vectors; without it the model's own number
    is used, and asked for once where it is not published. `timeout` is in seconds. A request holds `batch`
    texts at most; of a text with more than `longest` tokens, by `count`, the beginning is sent.
    A request that meets a busy or failing server is repeated `retries` times, after the pause that the
    server asks for, or 0.5 s, 1 s, 2 s …; one that asks for more than `patience` seconds is not waited for.
    Raises `MissingExtra` without httpx and `ConfigError` for settings that cannot work. Safe to use from
    several threads.
    """

    local: bool = False

    def __init__(
        self,
        model: str,
        *,
        base_url: str = "https://api.openai.com/v1",
        api_key: str | None = None,
        dimensions: int | None = None,
        timeout: float = 30,
        batch: int = 256,
        longest: int = 6000,
        retries: int = 4,
        patience: float = 60,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtra("the OpenAI embedder", "openai") from error
        if not base_url.startswith(("http://", "https://")):
            raise ConfigError(f"base_url is {base_url!r}: it may be like http://localhost:11434/v1")
        if min(batch, longest, 1 if dimensions is None else dimensions) < 1 or min(timeout, retries + 1) <= 0:
            raise ConfigError("batch, longest, dimensions and timeout of the OpenAI embedder are above 0")
        self.name: str = f"openai:{model}" + (f"/{dimensions}" if dimensions else "")
        self._model, self._batch, self._longest = model, batch, longest
        self._retries, self._patience, self._sleep = retries, patience, sleep
        self._asked, self._known = dimensions, dimensions or _PUBLISHED.get(model)
        self._lock, self._failures = Lock(), httpx.TransportError
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            self._url = str(httpx.URL(base_url.rstrip("/") + "/embeddings"))
            self._client: httpx.Client = httpx.Client(headers=headers, timeout=timeout)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise ConfigError("base_url or api_key has a character that HTTP does not allow") from error

    @property
    def dimensions(self) -> int:
        """The length of a vector; one request, the first time, where it is neither given nor published."""
        with self._lock:
            if self._known is None:
                self._known = len(self._request(["dimension"])[0])
            return self._known

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of the texts, float32 [len(texts), dimensions].

        Each row has length 1, or is all zeros for a blank text, which is not sent. Raises `InvalidInput` for
        a single string, `ModelUnavailable` where the server cannot be reached or stays busy, `ConfigError`
        where it refuses the key, the address or the model, and `BadReply` where its answer is of no use.
        """
        refuse_single(texts)
        full = [text for text in texts if text.strip()]
        if not full:
            return np.zeros((len(texts), self.dimensions), np.float32)
        rows = [
            unit_rows(self._request(part), len(part), self.dimensions, self.name)
            for part in self._parts(full)
        ]
        return fill(texts, np.concatenate(rows))

    def count(self, text: str) -> int:
        """About how many tokens the text has, by the default embedder's tokeniser; no request is made."""
        return tokeniser().count(text)

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _parts(self, texts: list[str]) -> Iterator[list[str]]:
        """The texts, cut to what a model takes, in groups that a server takes in one request."""
        part: list[str] = []
        room = _REQUEST_TOKENS
        for text in texts:
            size = self.count(text)
            shown = len(text) if size <= self._longest else max(1, len(text) * self._longest // size)
            cost = min(size, self._longest)
            if part and (cost > room or len(part) == self._batch):
                yield part
                part, room = [], _REQUEST_TOKENS
            part.append(text[:shown])
            room -= cost
        yield part

    def _request(self, texts: list[str]) -> list[Any]:
        """The raw vectors of the texts, in their order."""
        body: dict[str, Any] = {"model": self._model, "input": texts}
        if self._asked is not None:
            body["dimensions"] = self._asked
        reply = self._post(body)
        try:
            found = {item["index"]: item["embedding"] for item in reply.json()["data"]}
            return [found[index] for index in range(len(texts))]
        except (ValueError, KeyError, TypeError) as error:
            raise BadReply(
                f"{self._url} gave no embedding for each of {len(texts)} texts: does it speak OpenAI's API?",
                prompt=str(texts)[:_SHOWN],
                reply=reply.text[:_SHOWN],
            ) from error

    def _post(self, body: dict[str, Any]) -> "httpx.Response":
        """The server's answer to one request, repeated while that can help."""
        for attempt in range(self._retries + 1):
            pause, error = 0.5 * 2**attempt, None
            try:
                reply = self._client.post(self._url, json=body)
            except self._failures as failure:
                what, error = f"{type(failure).__name__}: {failure}", failure
            else:
                if reply.is_success:
                    return reply
                what = f"{reply.status_code}: {reply.text[:_SHOWN]}"
                if reply.status_code not in _AGAIN:
                    raise self._refused(reply.status_code, what, body)
                pause = retry_after(reply.headers.get("retry-after")) or pause
            if attempt == self._retries or pause > self._patience:
                raise ModelUnavailable(
                    f"{self._url} gave no answer in {attempt + 1} attempts ({what}): try again in {pause:g} s"
                ) from error
            self._sleep(pause)
        raise AssertionError

    def _refused(self, status: int, what: str, body: dict[str, Any]) -> ConfigError | BadReply:
        if status in _MENDED_BY_SETTINGS:
            return ConfigError(f"{self._url} refuses the key, the address or model {self._model!r} ({what})")
        return BadReply(
            f"{self._url} refuses these texts ({what})", prompt=str(body["input"])[:_SHOWN], reply=what
        )
