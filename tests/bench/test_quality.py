"""What the default policy must find in the development conversations; exact, so a gate and no estimate."""

from pathlib import Path

import pytest

from engram.bench.load import data_sets
from engram.bench.run import evaluate
from engram.config import DEFAULT_POLICY

AT_LEAST = {"locomo": 0.81, "beam": 0.60}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", AT_LEAST)
def test_recall_at_10(name: str, development_data: Path) -> None:
    [data] = data_sets([development_data / name])
    measured = evaluate(data, DEFAULT_POLICY, (10,))
    assert measured.recall[10] >= AT_LEAST[name]
