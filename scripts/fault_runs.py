"""Thousands of lives full of faults for every policy: no text lost, no record doubled, no job stuck.

    python scripts/fault_runs.py --seeds 2000 --policy all

Each policy is led through `--seeds` lives, one after the other without a model, with one that says anything
of the right form, and with a sensible one where the tests have it. What was found is kept in `--log`, one
line a life, and a life that stands there is not led again: a run that was stopped goes on. Ends with status 1
when a promise was broken, after telling the seed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
TESTS: Any = import_module("engine.lives")

CHUNK = 10
Line = dict[str, Any]


def lives(case: Any, seeds: list[int], url: str | None = None) -> list[Line]:
    """The lives of some seeds, in folders of their own, or in schemas of the database at `url`."""
    lines: list[Line] = []
    for seed in seeds:
        line: Line = {"policy": case.name, "replies": case.replies, "seed": seed}
        with tempfile.TemporaryDirectory(dir=_shared_memory()) as folder:
            try:
                lived = TESTS.live(
                    case, seed, Path(folder), url=None if url is None else _schema(url, case, seed)
                )
            except TESTS.Violation as violation:
                lines.append({**line, "violation": str(violation)})
                continue
        lines.append({**line, "effects": lived.effects, "struck": dict(lived.struck)})
    return lines


def _schema(url: str, case: Any, seed: int) -> str:
    """The url of an empty store for one life."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    name = f"life_{case.name}_{case.replies}_{seed}".replace("+", "_")
    with psycopg.connect(url, autocommit=True) as link:
        link.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(name)))
    return f"{url}{'&' if '?' in url else '?'}schema={name}"


def _shared_memory() -> str | None:
    """A folder that no disk stands behind, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - folders in it have names of their own


def owed(chosen: list[Any], seeds: int, done: list[Line]) -> list[tuple[Any, list[int]]]:
    """What is still to be led, low seeds first; a policy's seeds are shared out among its ways."""
    parts: list[tuple[Any, list[int]]] = []
    led = {(line["policy"], line["replies"], line["seed"]) for line in done}
    for case in chosen:
        ways = [other.replies for other in chosen if other.name == case.name]
        mine = [seed for seed in range(seeds) if ways[seed % len(ways)] == case.replies]
        left = [seed for seed in mine if (case.name, case.replies, seed) not in led]
        parts += [(case, left[first : first + CHUNK]) for first in range(0, len(left), CHUNK)]
    return sorted(parts, key=lambda part: part[1][0])


def table(lines: list[Line]) -> list[str]:
    """A line a policy: lives, effects, faults by kind, broken promises."""
    rows = [
        f"| policy | lives | effects | {' | '.join(TESTS.KINDS)} | violations |",
        "|---" * (4 + len(TESTS.KINDS)) + "|",
    ]
    for name in dict.fromkeys(line["policy"] for line in lines):
        mine = [line for line in lines if line["policy"] == name]
        struck = Counter[str]()
        for line in mine:
            struck.update(line.get("struck", {}))
        effects = sum(line.get("effects", 0) for line in mine)
        kinds = " | ".join(f"{struck[kind]:,}" for kind in TESTS.KINDS)
        broken = sum("violation" in line for line in mine)
        rows.append(f"| {name} | {len(mine):,} | {effects:,} | {kinds} | {broken} |")
    return rows


def main() -> int:
    """Lead what is owed, tell what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2000, help="lives for each policy")
    parser.add_argument("--policy", default="all", help="names, with commas between them, or all")
    parser.add_argument("--log", type=Path, default=Path("fault_runs.jsonl"), help="what has been led so far")
    parser.add_argument("--url", help="a PostgreSQL database to lead them in, instead of SQLite files")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    chosen = TESTS.cases(None if given.policy == "all" else given.policy.split(","))
    names = {case.name for case in chosen}
    done = [json.loads(line) for line in given.log.read_text().splitlines()] if given.log.exists() else []
    done = [line for line in done if line["policy"] in names and line["seed"] < given.seeds]
    with given.log.open("a") as log, ProcessPoolExecutor(given.processes) as pool:
        waiting = [
            pool.submit(lives, case, seeds, given.url) for case, seeds in owed(chosen, given.seeds, done)
        ]
        for future in as_completed(waiting):
            for line in future.result():
                done.append(line)
                print(json.dumps(line), file=log, flush=True)
                if "violation" in line:
                    print(line["violation"], file=sys.stderr, flush=True)
    print("\n".join(table(sorted(done, key=lambda line: line["policy"]))))
    return 1 if any("violation" in line for line in done) else 0


if __name__ == "__main__":
    sys.exit(main())
