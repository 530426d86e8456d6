"""Crashes, time-outs and garbled replies at every effect, from seeds: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from engine.helpers import Counting, Digest, Facts, ScriptedModel, Ticking
from engram import Memory, ModelError
from engram.kernel.drive import Perform
from engram.kernel.policy import Policy
from engram.testing.faults import Crash, Faulty
from postgres import drop_schema, in_schema, own_folder, schemas, server_in
from routed import routed

FULL = bool(os.environ.get("ENGRAM_FULL"))
SEEDS, SOME = range(12), 1
POLICIES = (Facts(), Digest(), Counting())
CASES = [
    (name, policy)
    for name in ("ram", "sqlite", "postgres", "router")
    for policy in (POLICIES if FULL or name in ("ram", "sqlite") else POLICIES[:1])
]


def shortest(prompt: str) -> str:
    return prompt.rsplit(": ", 1)[1][:20]


def with_faults(memory: Memory, seed: int, rate: float) -> None:
    """Every effect of every call goes through one faulty perform function after the other."""
    counter = iter(range(1_000_000))

    def around(perform: Perform) -> Perform:
        return Faulty(perform, seed * 1000 + next(counter), rate=rate)

    memory._bound.core.around = around


@pytest.fixture(scope="module")
def both_servers(postgres_server: str) -> Iterator[tuple[str, str]]:
    """Two servers' urls with ENGRAM_FULL, else the shared server's twice."""
    if not FULL:
        yield postgres_server, postgres_server
        return
    second = server_in(own_folder(f"faults-{os.getpid()}"))
    yield postgres_server, second.url
    second.stop()


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Makes up urls of stores that are not there yet."""
    made: list[tuple[str, str]] = []

    def on(server: str) -> str:
        made.append((server, next(schemas())))
        return in_schema(*made[-1])

    if request.param == "ram":
        yield lambda: "ram:"
        return
    if request.param == "sqlite":
        numbers = count()
        yield lambda: f"sqlite:///{tmp_path}/{next(numbers)}.db"
        return
    one, two = request.getfixturevalue("both_servers")
    yield (lambda: on(one)) if request.param == "postgres" else (lambda: routed(on(one), on(one), on(two)))
    for server, schema in made:
        drop_schema(server, schema)


@pytest.mark.parametrize(("place", "policy"), CASES, indirect=["place"])
def test_faults_at_any_effect_lose_and_double_nothing(place: Callable[[], str], policy: Policy) -> None:
    struck = Counter[str]()
    url = place()
    seeds = SEEDS if FULL or url.startswith("sqlite") else SEEDS[:SOME]
    for seed in seeds:
        struck += life(url, policy, seed)
        url = place()
    assert struck["crash"] >= max(1, len(seeds) * 2 // 3)


def life(url: str, policy: Policy, seed: int) -> Counter[str]:
    """Six texts are told and looked for, whatever strikes; how often what struck."""
    struck, clock = Counter[str](), Ticking()

    def opened() -> Memory:
        return Memory(url, policy=policy, model=ScriptedModel(shortest), clock=clock, seed=seed)

    acknowledged: list[str] = []
    said = [f"thing {number % 3} is {number}" for number in range(6)]
    left = list(said)
    lasting = opened() if url == "ram:" else None
    for attempt in range(100):
        if not left:
            break
        with nullcontext(lasting) if lasting is not None else opened() as memory:
            with_faults(memory, seed * 100 + attempt, 0.15)
            try:
                while left:
                    memory.add({"content": left[0], "id": left[0]}, user_id="u")
                    acknowledged.append(left.pop(0))
                    memory.search("thing", user_id="u")
            except Crash:
                struck["crash"] += 1
                clock.skip(seconds=30)
            except ModelError:
                struck["model"] += 1
    with lasting or opened() as memory:
        memory._bound.core.around = None
        finish(memory, clock)
        check(memory, policy, said, acknowledged)
    return struck


def finish(memory: Memory, clock: Ticking) -> None:
    """Let everything that is owed be done, parked jobs freed as an operator would."""
    from dataclasses import replace

    from engram.kernel.protocols import Batch, PutJob

    store = memory._bound.core.store
    for job in store.jobs():
        store.commit(Batch((PutJob(replace(job, status="pending", not_before=None)),)))
    clock.skip(hours=1)
    assert memory.wait()


def check(memory: Memory, policy: Policy, said: list[str], acknowledged: list[str]) -> None:
    records = memory.get_all(user_id="u", limit=1000).items
    episodes = [record for record in records if record.kind == "episode"]
    assert sorted(record.text for record in episodes) == sorted(said)
    assert sorted(acknowledged) == sorted(said)
    assert memory.verify().problems == ()
    made = Counter(source for record in records if record.made_by for source in record.sources)
    if isinstance(policy, Digest):
        assert made == Counter({record.id: 1 for record in episodes})
    elif isinstance(policy, Counting):
        assert made == Counter({record.id: 1 for record in episodes})
        rows = memory._bound.core.store.states(memory._bound.scope({"user_id": "u"}))
        assert [row.value for row in rows] == [len(said)]
    else:
        current = [record.text for record in records if record.kind == "fact"]
        assert sorted(current) == ["thing 0 is 3", "thing 1 is 4", "thing 2 is 5"]


def test_the_same_seed_strikes_the_same_effects(tmp_path: Path) -> None:
    logs: list[Any] = []
    for _ in range(2):
        faulty: list[Faulty] = []

        def around(perform: Perform, faulty: list[Faulty] = faulty) -> Perform:
            faulty.append(Faulty(perform, 11, rate=0.5, kinds=("timeout", "garble")))
            return faulty[-1]

        with Memory("ram:", policy=Digest(), model=ScriptedModel(shortest), clock=Ticking()) as memory:
            memory._bound.core.around = around
            for number in range(5):
                memory.add(f"number {number}", user_id="u")
        logs.append([entry for one in faulty for entry in one.log])
    assert logs[0] == logs[1] != []


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
from engine.helpers import Digest
from engram import Memory
class Slow:
    name = "slow"
    def reply(self, request):
        print("asked", flush=True)
        time.sleep(60)
Memory(sys.argv[1], policy=Digest(), model=Slow()).add("remember this", user_id="u")
"""


def test_a_process_killed_inside_a_model_call_leaves_a_job_that_the_next_finishes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    tests = str(Path(__file__).parents[1])
    child = subprocess.Popen([sys.executable, "-c", KILLED, url, tests], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "asked\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with Memory(url, policy=Digest(), model=ScriptedModel(shortest)) as memory:
        assert memory.stats()["jobs"] == {"pending": 1, "parked": 0}
        start = time.monotonic()
        assert memory.wait()
        assert time.monotonic() - start < 10
        assert len(memory.get_all(user_id="u")) == 2
