"""Recall@10 of dense search alone, turn by turn: the shipped table, its variants, and the model it came from.

Needs what `distill_embedder.py` needs and sentence-transformers, in an environment that also has engram:

    python scripts/compare_embedders.py MODEL ../shared/data/locomo ../shared/data/beam

Every turn of a conversation is a candidate; a question's recall is the share of its evidence turns among
the ten nearest, and questions without evidence are left out. `+ name` puts the speaker's name before the
turn's text.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from distill_embedder import float_table, rounded
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from engram.models.static import StaticEmbedder, tokeniser

K = 10
Embed = Callable[[Sequence[str]], NDArray[Any]]


def pooling(table: NDArray[Any]) -> Embed:
    """Texts to unit sums of rows of the table."""

    def embed(texts: Sequence[str]) -> NDArray[Any]:
        sums = np.array([table[tokeniser().encode(text)].sum(axis=0, dtype=np.float64) for text in texts])
        return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)

    return embed


def recalls(conversation: dict[str, Any], embed: Embed, named: bool) -> Iterator[float]:
    """The recall of each question with evidence."""
    turns = conversation["turns"]
    questions = [question for question in conversation["questions"] if question["evidence"]]
    texts = [f"{turn['speaker']}: {turn['text']}" if named else turn["text"] for turn in turns]
    scores = embed([question["question"] for question in questions]) @ embed(texts).T
    for question, row in zip(questions, scores, strict=True):
        found = {turns[at]["id"] for at in np.argsort(-row, kind="stable")[:K]}
        yield sum(wanted in found for wanted in question["evidence"]) / len(question["evidence"])


def variants(model: str) -> Iterator[tuple[str, Embed]]:
    """Every embedder of the comparison, by name."""
    transformer = AutoModel.from_pretrained(model).eval()
    vocabulary = list(tokeniser().vocabulary)
    yield "engram static, int8, 256", StaticEmbedder().embed
    yield "the same in float", pooling(float_table(transformer, vocabulary))
    yield "the same, 128", pooling(rounded(float_table(transformer, vocabulary, 128)))
    yield "the same, 384", pooling(rounded(float_table(transformer, vocabulary, 384)))
    yield "model2vec's own settings, 256", pooling(float_table(transformer, vocabulary, 256, 1, 0))
    reference = SentenceTransformer(model, device="cpu")
    yield "the model itself", lambda texts: reference.encode(list(texts), normalize_embeddings=True)


def main() -> None:
    """Print a table: a line for each embedder, a pair of columns for each folder."""
    parser = argparse.ArgumentParser(description="Compare embedders on conversations.")
    parser.add_argument("model", help="hub name or folder of sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("folders", type=Path, nargs="+", help="folders of conversations as JSON")
    arguments = parser.parse_args()
    print("| embedder |", " | ".join(f"{folder.name} | + name" for folder in arguments.folders), "|")
    for name, embed in variants(arguments.model):
        cells = []
        for folder in arguments.folders:
            data = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
            for named in (False, True):
                found = [share for each in data for share in recalls(each, embed, named)]
                cells.append(f"{100 * np.mean(found):.1f}")
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
