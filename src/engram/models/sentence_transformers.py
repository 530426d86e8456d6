"""Any sentence-transformers model, by path or hub name. Needs `engram[sentence-transformers]`."""

from collections.abc import Sequence
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.kernel.errors import BadReply, ConfigError, MissingExtra, ModelError
from engram.models.vectors import fill, refuse_single, unit_rows

__all__ = ["SentenceTransformerEmbedder"]


class SentenceTransformerEmbedder:
    """Texts through a transformer in this process (Reimers and Gurevych 2019).

    `path_or_name` is a folder or a hub name; a hub name is downloaded once by the library, on first use.
    Raises `MissingExtra` without the package, `ConfigError` for a model that cannot be loaded. Vectors are
    the same for the same machine and library, not byte for byte on others.
    """

    local: bool = True

    def __init__(self, path_or_name: str, *, device: str | None = None, batch: int = 64) -> None:
        try:
            library = import_module("sentence_transformers")
        except ImportError as error:
            raise MissingExtra("the sentence-transformers embedder", "sentence-transformers") from error
        try:
            self._model: Any = library.SentenceTransformer(path_or_name, device=device)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"no sentence-transformers model at {path_or_name!r}: name a folder that holds one, "
                "or a hub name while the network is there"
            ) from error
        width = _width(self._model)
        if not width:
            raise ConfigError(
                f"{path_or_name!r} gives no sentence vectors: name a sentence-transformers model"
            )
        self.name: str = f"sentence-transformers:{_identity(path_or_name)}"
        self.dimensions: int = int(width)
        self._batch = batch
        self._lock = Lock()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of the texts, float32 [len(texts), dimensions].

        Each row has length 1, or is all zeros for a blank text. Raises `InvalidInput` for a single string,
        `ModelError` where the model fails and `BadReply` where it gives no finite numbers.
        """
        refuse_single(texts)
        full = [text for text in texts if text.strip()]
        if not full:
            return np.zeros((len(texts), self.dimensions), np.float32)
        try:
            with self._lock:
                raw = self._model.encode(full, batch_size=self._batch, show_progress_bar=False)
        except (RuntimeError, ValueError, IndexError) as error:
            raise ModelError(f"{self.name} failed on {len(full)} texts: {error}") from error
        return fill(texts, unit_rows(raw, len(full), self.dimensions, self.name))

    def count(self, text: str) -> int:
        """How many of the model's own tokens the text has; at least 1 unless it is blank."""
        if not text.strip():
            return 0
        with self._lock:
            found = self._model.tokenizer(text, add_special_tokens=False, verbose=False)
        try:
            return max(1, len(found["input_ids"]))
        except (KeyError, TypeError) as error:
            raise BadReply(f"the tokenizer of {self.name} gave no input_ids") from error


def _width(model: Any) -> int | None:
    """The length of the model's vectors; version 5 of the library renamed the question."""
    ask = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
    width: int | None = ask()
    return width


def _identity(path_or_name: str) -> str:
    """The hub name; for a folder its own name and a digest of what it holds, wherever it lies."""
    folder = Path(path_or_name)
    if not folder.is_dir():
        return path_or_name
    held = sorted((file.name, file.stat().st_size) for file in folder.iterdir() if file.is_file())
    return f"{folder.resolve().name}@{blake2b(repr(held).encode(), digest_size=4).hexdigest()}"
