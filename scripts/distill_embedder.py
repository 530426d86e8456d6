"""Distil the default embedder's token table from all-MiniLM-L6-v2, by model2vec's method.

Needs, in an environment of its own (none of it is needed to use engram):

    pip install "torch==2.13.0" "transformers==5.3.0" "tokenizers==0.22.2" "numpy>=2.1"

Run, from the repository's root, where MODEL is a hub name or a folder that holds the model:

    python scripts/distill_embedder.py MODEL --out src/engram/models/data

It writes `minilm-256.npy` (int8, [30522, 256]), `vocab.txt` (one token a line, in order of its id) and
`bert-unicode.json` (which characters the reference tokeniser drops, treats as accents or splits off), and
prints their SHA-256. There is no randomness in it. Another processor or torch may round a few entries to
the neighbouring step; `engram.models.static.NAME` has to change whenever the bytes do.

Method: Tulkens and van Dongen, model2vec, 2024 (https://github.com/MinishLab/model2vec). Each vocabulary
token goes through the transformer by itself, between [CLS] and [SEP]; the outputs are pooled, reduced by
PCA and weighted by smooth inverse frequency (Arora et al. 2017), with Zipf's law for the frequencies.
Three things differ, all measured on the development conversations: the token's own state counts twice in
the pool, the principal components are evened out by a quarter power of their variance, and one scale for
the whole table makes pooling exact integer arithmetic.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import AutoModel, AutoTokenizer

DIMENSIONS = 256
SIF = 1e-4
OWN = 2
EVENING = 0.25
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CLIP = 99.99
BATCH = 512

Floats = NDArray[np.float64]


def token_states(model: torch.nn.Module, ids: torch.Tensor, first: int, last: int, own: int = OWN) -> Floats:
    """The pooled output of each token by itself, [len(ids), hidden]; its own state counts `own` times."""
    pooled = []
    with torch.inference_mode():
        for batch in ids.split(BATCH):
            frame = torch.stack([torch.full_like(batch, first), batch, torch.full_like(batch, last)], dim=1)
            hidden = model(input_ids=frame, attention_mask=torch.ones_like(frame)).last_hidden_state
            pooled.append((hidden.sum(dim=1) + (own - 1) * hidden[:, 1]).double() / (own + 2))
    return torch.cat(pooled).numpy()


def principal(states: Floats, dimensions: int = DIMENSIONS, evening: float = EVENING) -> Floats:
    """The first principal components, [n, dimensions], evened out by that power of their variance."""
    centred = states - states.mean(axis=0)
    variance, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    variance, axes = variance[::-1][:dimensions], axes[:, ::-1][:, :dimensions]
    scores = centred @ axes
    signs = np.sign(scores[np.abs(scores).argmax(axis=0), np.arange(dimensions)])
    return scores * signs * (variance / variance[0]) ** (-evening / 2)


def sif_weights(count: int) -> Floats:
    """Smooth inverse frequency a / (a + p) with Zipf's p for the token at each rank, as model2vec has it."""
    inverse = 1 / np.arange(2, count + 2)
    return SIF / (SIF + inverse / inverse.sum())


def float_table(
    model: torch.nn.Module,
    vocabulary: list[str],
    dimensions: int = DIMENSIONS,
    own: int = OWN,
    evening: float = EVENING,
) -> Floats:
    """The token table, [len(vocabulary), dimensions]; special and unused tokens have rows of zeros."""
    kept = np.array([not token.startswith("[unused") for token in vocabulary])
    first, last = vocabulary.index("[CLS]"), vocabulary.index("[SEP]")
    states = token_states(model, torch.from_numpy(np.flatnonzero(kept)), first, last, own)
    table = np.zeros((len(vocabulary), dimensions))
    table[kept] = principal(states, dimensions, evening) * sif_weights(len(states))[:, None]
    table[[vocabulary.index(token) for token in SPECIAL]] = 0
    return table


def rounded(table: Floats) -> NDArray[np.int8]:
    """The table in int8, with one scale; the few largest entries are cut."""
    kept = np.abs(table[table.any(axis=1)])
    return np.clip(np.rint(table * (127 / np.percentile(kept, CLIP))), -127, 127).astype(np.int8)


def spans(belongs: Callable[[str], bool]) -> list[list[int]]:
    """The code points for which `belongs`, as closed ranges."""
    found: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if 0xD800 <= code <= 0xDFFF or not belongs(chr(code)):
            continue
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def character_classes() -> dict[str, list[list[int]]]:
    """How the reference tokeniser sees characters. Its Unicode tables are old and are kept as they are."""
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    clean = BertNormalizer(**{**off, "clean_text": True})
    strip = BertNormalizer(**{**off, "strip_accents": True})
    alone = BertNormalizer(**{**off, "handle_chinese_chars": True})
    split = BertPreTokenizer()
    return {
        "dropped": spans(lambda c: clean.normalize_str(f"a{c}b") == "ab"),
        "accents": spans(lambda c: strip.normalize_str(f"a{c}") == "a"),
        "alone": spans(lambda c: c != " " and alone.normalize_str(f"a{c}").startswith("a ")),
        "punctuation": spans(lambda c: len(split.pre_tokenize_str(f"a{c}b")) == 3),
    }


def main() -> None:
    """Write the three files and print their digests."""
    parser = argparse.ArgumentParser(description="Distil engram's default embedder.")
    parser.add_argument("model", help="hub name or folder of sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, default=Path("src/engram/models/data"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ids = AutoTokenizer.from_pretrained(arguments.model).get_vocab()
    vocabulary = sorted(ids, key=ids.__getitem__)
    model = AutoModel.from_pretrained(arguments.model).eval()
    np.save(arguments.out / "minilm-256.npy", rounded(float_table(model, vocabulary)))
    (arguments.out / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    classes = json.dumps(character_classes(), separators=(",", ":")).replace('],"', '],\n"')
    (arguments.out / "bert-unicode.json").write_text(classes + "\n", encoding="utf-8")
    for name in ("minilm-256.npy", "vocab.txt", "bert-unicode.json"):
        print(hashlib.sha256((arguments.out / name).read_bytes()).hexdigest(), name)


if __name__ == "__main__":
    main()
