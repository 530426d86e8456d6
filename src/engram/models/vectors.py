"""What every embedder that talks to a foreign model needs: its rows checked and scaled."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.kernel.errors import BadReply, InvalidInput

__all__ = ["fill", "refuse_single", "unit_rows"]


def refuse_single(texts: Sequence[str]) -> None:
    """Raise `InvalidInput` for a single string in place of a sequence of them."""
    if isinstance(texts, str):
        raise InvalidInput("embed takes a sequence of texts: put the one text into a list")


def unit_rows(raw: Any, count: int, dimensions: int, source: str) -> NDArray[np.float32]:
    """Rows of length 1 (a row of zeros stays), float32 [count, dimensions].

    Raises `BadReply` where `raw` has another shape or holds anything that is no finite number.
    """
    try:
        rows = np.asarray(raw, np.float64)
    except (TypeError, ValueError) as error:
        raise BadReply(f"{source} gave vectors that are no numbers of one length") from error
    if rows.shape != (count, dimensions):
        raise BadReply(
            f"{source} gave vectors of shape {list(rows.shape)}, not {[count, dimensions]}: "
            "name the model and the dimensions that it has"
        )
    if not np.isfinite(rows).all():
        raise BadReply(f"{source} gave a vector with NaN or infinity in it, which would spoil every score")
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    norms[norms == 0] = 1
    units: NDArray[np.float32] = (rows / norms[:, None]).astype(np.float32)
    return units


def fill(texts: Sequence[str], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows of the texts that are not blank at their places, zeros for the blank ones."""
    out = np.zeros((len(texts), rows.shape[1]), np.float32)
    out[[bool(text.strip()) for text in texts]] = rows
    return out
