"""Any cross-encoder of sentence-transformers as a reranker. Needs `engram[sentence-transformers]`."""

from collections.abc import Sequence
from importlib import import_module
from threading import Lock
from typing import Any

from engram.kernel.errors import BadReply, ConfigError, MissingExtra, ModelError

__all__ = ["CrossEncoderReranker"]


class CrossEncoderReranker:
    """A transformer in this process that reads query and text together (Nogueira and Cho 2019).

    `path_or_name` is a folder or a hub name; a hub name is downloaded once by the library, on first use.
    `depth` is how many hits it looks at. Raises `MissingExtra` without the package, `ConfigError` for a
    model that cannot be loaded. Safe to use from several threads, one at a time.
    """

    def __init__(
        self, path_or_name: str, *, depth: int = 50, device: str | None = None, batch: int = 32
    ) -> None:
        if depth < 1 or batch < 1:
            raise ConfigError("depth and batch of a cross-encoder are above 0")
        try:
            library = import_module("sentence_transformers")
        except ImportError as error:
            raise MissingExtra("the cross-encoder reranker", "sentence-transformers") from error
        try:
            self._model: Any = library.CrossEncoder(path_or_name, device=device)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"no cross-encoder at {path_or_name!r}: name a folder that holds one, "
                "or a hub name while the network is there"
            ) from error
        self.name: str = f"cross-encoder:{path_or_name}"
        self.depth: int = depth
        self._batch, self._lock = batch, Lock()

    def rank(self, query: str, texts: Sequence[str]) -> list[float]:
        """The model's figure for each text, in their order; higher is better.

        Raises `ModelError` where the model fails, `BadReply` where it gives no single number a text.
        """
        if not texts:
            return []
        try:
            with self._lock:
                raw = self._model.predict(
                    [(query, text) for text in texts], batch_size=self._batch, show_progress_bar=False
                )
        except (RuntimeError, ValueError, IndexError) as error:
            raise ModelError(f"{self.name} failed on {len(texts)} texts: {error}") from error
        try:
            return [float(figure) for figure in raw]
        except (TypeError, ValueError) as error:
            raise BadReply(
                f"{self.name} gives more than one number a text: name a model that ranks"
            ) from error
