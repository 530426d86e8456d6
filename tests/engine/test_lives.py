"""Every policy through lives full of faults; `scripts/fault_runs.py` leads thousands of them."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from engine.lives import KINDS, Case, Violation, cases, live

SEEDS = 2000 if "ENGRAM_FULL" in os.environ else 3


@pytest.mark.parametrize("case", cases(), ids=str)
def test_no_text_is_lost_no_record_doubled_and_no_job_stuck(tmp_path: Path, case: Case) -> None:
    struck = Counter[str]()
    for seed in range(SEEDS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        struck += live(case, seed, folder).struck
    assert struck["crash"] > 0
    assert struck.keys() <= set(KINDS)


def test_a_life_without_faults_is_led_in_one_process(tmp_path: Path) -> None:
    lived = live(cases(["mem0"])[0], 0, tmp_path, rate=0.0)
    assert (lived.processes, lived.struck) == (1, Counter())


def test_a_broken_promise_names_case_and_seed(tmp_path: Path) -> None:
    (tmp_path / "left").write_text("a trace of Zanzibar")
    with pytest.raises(Violation, match="rrf/none, seed 3: Violation: left holds"):
        live(cases(["rrf"])[0], 3, tmp_path)
