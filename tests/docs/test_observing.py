"""The page about what a memory tells of itself names all of it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from engram import Memory
from engram.engine.events import What
from engram.engine.watching import CALLS
from engram.observe.meters import METERS, Meters
from engram.observe.standing import GAUGES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "observing.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(engram_\w+)` \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)


def documented() -> dict[str, tuple[set[str], str]]:
    """The metrics of the page: labels, and what it says of each."""
    return {name: (set(re.findall(r"`(\w+)`", labels)), told) for name, labels, told in ROW.findall(PAGE)}


def test_every_metric_is_on_the_page_and_no_other() -> None:
    found = documented()
    for meter in METERS:
        labels, told = found.pop(meter.name + ("_total" if meter.kind == "counter" else ""))
        assert labels == set(meter.labels), meter.name
        assert told.startswith(meter.what)
        assert ("A histogram." in told) == bool(meter.buckets)
    assert {name: told for name, (_, told) in found.items()} == GAUGES


def test_the_metrics_are_those_that_are_registered() -> None:
    with Memory("ram:") as memory:
        meters = Meters(memory._bound.core)
        memory.add("the heron is back", user_id="ana")
        named = {
            sample.name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum"): set(
                sample.labels
            )
            for family in meters.registry.collect()
            for sample in family.samples
            if sample.name.startswith("engram_")
        }
    assert named.keys() <= documented().keys()
    assert {name: labels - {"le"} for name, labels in named.items()} == {
        name: documented()[name][0] for name in named
    }
    assert named.keys() >= GAUGES.keys() - {"engram_workers"}


def test_every_kind_of_span_is_on_the_page() -> None:
    shown = {"call": "a call of a face", "effect": "EFFECT", "chat": "chat MODEL", "job": "job KIND",
             "embeddings": "embeddings MODEL", "commit": "commit"}  # fmt: skip
    assert set(shown) == set(get_args(What))
    assert [name for name in shown.values() if f"| `{name}` | " not in PAGE and f"| {name}" not in PAGE] == []


def test_the_calls_that_are_watched_are_those_of_the_faces() -> None:
    faces = {name for name in vars(Memory) if not name.startswith("_")} - {"as_of", "scoped", "close"}
    assert faces == CALLS
