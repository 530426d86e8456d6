"""How embedders are named and loaded; the sentence-transformers adapter, with a stand-in for the library."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engram.kernel.errors import BadReply, ConfigError, InvalidInput, MissingExtra, ModelError
from engram.kernel.protocols import Embedder
from engram.models import load_embedder
from engram.models.sentence_transformers import SentenceTransformerEmbedder
from engram.models.static import StaticEmbedder


class Transformer:
    """What the adapter needs of a `SentenceTransformer`: it measures letters and words."""

    def __init__(self, path: str, device: str | None = None) -> None:
        if "missing" in path:
            raise OSError(f"no file in {path}")
        self.broken = "broken" in path

    def get_sentence_embedding_dimension(self) -> int:
        return 2

    def encode(self, texts: list[str], *, batch_size: int, show_progress_bar: bool) -> NDArray[np.float32]:
        if self.broken:
            raise RuntimeError("out of memory")
        rows = [[len(text), text.count(" ") if "nan" not in text else np.nan] for text in texts]
        return np.array(rows, np.float32)

    def tokenizer(self, text: str, *, add_special_tokens: bool, verbose: bool) -> dict[str, list[int]]:
        return {"input_ids": [0] * len(text.split())}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library with that model in it."""
    fake = types.ModuleType("sentence_transformers")
    monkeypatch.setattr(fake, "SentenceTransformer", Transformer, raising=False)
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)


@pytest.mark.usefixtures("library")
def test_sentence_transformers_embed() -> None:
    embedder = SentenceTransformerEmbedder("someone/some-model")
    assert isinstance(embedder, Embedder)
    assert embedder.name == "sentence-transformers:someone/some-model"
    assert (embedder.dimensions, embedder.local) == (2, True)
    np.testing.assert_allclose(
        embedder.embed(["abcd efgh ijklm", "", "x"])[:, 0], [15 / 229**0.5, 0, 1], atol=1e-6
    )
    assert embedder.embed([" "]).tolist() == [[0, 0]]
    assert (embedder.count("one two"), embedder.count(" ")) == (2, 0)


@pytest.mark.usefixtures("library")
def test_sentence_transformers_a_folder_is_known_by_what_it_holds(tmp_path: Path) -> None:
    for place, weights in (("here", "1"), ("there", "1"), ("other", "22")):
        folder = tmp_path / place / "model"
        folder.mkdir(parents=True)
        (folder / "weights").write_text(weights)
    here, there, other = (
        SentenceTransformerEmbedder(str(tmp_path / place / "model")).name
        for place in ("here", "there", "other")
    )
    assert here == there != other
    assert here.startswith("sentence-transformers:model@")


@pytest.mark.usefixtures("library")
def test_sentence_transformers_failures_are_translated() -> None:
    with pytest.raises(ConfigError, match="name a folder that holds one") as caught:
        SentenceTransformerEmbedder("missing")
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(ModelError, match="out of memory"):
        SentenceTransformerEmbedder("broken").embed(["a"])
    with pytest.raises(BadReply, match="NaN or infinity"):
        SentenceTransformerEmbedder("fine").embed(["a", "nan"])
    with pytest.raises(InvalidInput, match="put the one text into a list"):
        SentenceTransformerEmbedder("fine").embed("a")


def test_sentence_transformers_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'engram\[sentence-transformers\]'"):
        SentenceTransformerEmbedder("any")


def test_the_default_embedder_is_the_static_one() -> None:
    assert isinstance(load_embedder(), StaticEmbedder)
    assert isinstance(load_embedder("static"), StaticEmbedder)


def test_an_embedder_is_itself() -> None:
    embedder = StaticEmbedder()
    assert load_embedder(embedder) is embedder


@pytest.mark.usefixtures("library")
def test_embedders_are_found_by_kind_and_model() -> None:
    assert load_embedder("sentence-transformers:a/b:c").name == "sentence-transformers:a/b:c"
    made = load_embedder("openai:small", base_url="http://127.0.0.1:9", api_key="key", dimensions=8)
    assert (made.name, made.dimensions) == ("openai:small/8", 8)


@pytest.mark.parametrize(
    "spec, options, message",
    [
        ("word2vec", {}, "may be openai:MODEL, sentence-transformers:MODEL, static"),
        ("", {"dimensions": 2}, "unexpected keyword argument 'dimensions'"),
        ("static:large", {}, "cannot be made of this"),
        ("openai", {}, "missing a required argument: 'model'"),
        (42, {}, "a int has not"),
    ],
)
def test_a_spec_that_cannot_work_says_what_may(spec: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_embedder(spec, **options)
