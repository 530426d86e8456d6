"""Worker processes on one file, beside processes that write: killed, and told to stop."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.helpers import Digest, Facts, ScriptedModel
from engram import Memory
from engram.engine.turns import Done
from engram.engine.worker import Worker

TESTS = str(Path(__file__).parents[1])
SLOW = """
import signal, sys, time
from datetime import timedelta
sys.path.insert(0, sys.argv[2])
from engine.helpers import Digest
from engram.config import open_core
from engram.engine.worker import Worker
class Slow:
    name = "slow"
    def reply(self, request):
        from engram.kernel.chat import ChatReply
        if request.messages[-1].text.startswith("Title"):
            print("asked", flush=True)
            time.sleep(float(sys.argv[3]))
        return ChatReply("S")
core = open_core(sys.argv[1], policy=Digest(), model=Slow())
worker = Worker(core, poll=0.05, lease=timedelta(seconds=float(sys.argv[4])))
signal.signal(signal.SIGTERM, lambda *_: worker.stop())
print(len(list(worker.work())), "done")
"""
SHARED = """
import json, sys
sys.path.insert(0, sys.argv[2])
from engine.helpers import Facts
from engram.config import open_core
from engram.engine.worker import Worker
worker = Worker(open_core(sys.argv[1], policy=Facts()), poll=0.05)
print("ready", flush=True)
ran = []
for item in worker.work():
    ran.append(item.job.id)
    if item.job.scope.user_id == "last":
        worker.stop()
print(json.dumps(ran))
"""


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a script on a store; none outlives the test."""
    children: list[subprocess.Popen[str]] = []

    def started(script: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, arguments[0], TESTS, *arguments[1:]]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return children[-1]

    yield started
    for child in children:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'm.db'}"


def test_what_a_killed_worker_had_in_hand_is_done_by_another_and_paid_once(url: str, start: Start) -> None:
    model = ScriptedModel(lambda _: "T")
    with Memory(url, policy=Digest(), model=model) as memory:
        memory.add("remember this", user_id="u", wait=False)
        child = start(SLOW, url, "60", "300")
        assert line(child) == "asked"
        child.send_signal(signal.SIGKILL)
        child.communicate()
        core = memory._bound.core
        [job] = core.store.jobs()
        assert job.owner is not None
        [ran] = Worker(core).work(once=True)
        assert isinstance(ran, Done)
        assert (ran.job.id, ran.status) == (job.id, "done")
        assert [prompt.split()[0] for prompt in model.prompts] == ["Title"]
        assert len(memory.get_all(user_id="u")) == 2
        assert memory.verify().ok


def test_a_worker_that_hangs_loses_its_job_and_doubles_nothing(url: str, start: Start) -> None:
    with Memory(url, policy=Digest(), model=ScriptedModel(lambda _: "T")) as memory:
        memory.add("remember this", user_id="u", wait=False)
        child = start(SLOW, url, "3", "1")
        assert line(child) == "asked"
        assert memory.wait(30)
        assert len(memory.get_all(user_id="u")) == 2
        time.sleep(2.5)
        child.send_signal(signal.SIGTERM)
        out = child.communicate(timeout=30)[0]
        assert (child.returncode, out) == (0, "1 done\n")  # told, as left to another run
        assert len(memory.get_all(user_id="u")) == 2
        assert memory.verify().ok


def test_a_worker_told_to_stop_gives_its_job_back_with_what_is_paid_for(url: str, start: Start) -> None:
    with Memory(url, policy=Digest()) as memory:
        memory.add("remember this", user_id="u", wait=False)
        child = start(SLOW, url, "0.5", "300")
        assert line(child) == "asked"
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=30)
        assert child.returncode == 0
        done = out == "1 done\n"
        jobs = memory._bound.core.store.jobs()
        assert [(job.owner, len(job.journal)) for job in jobs] == ([] if done else [(None, 2)])


def test_workers_share_what_a_writer_leaves_while_it_writes(url: str, start: Start) -> None:
    with Memory(url, policy=Facts()) as memory:
        workers = [start(SHARED, url) for _ in range(2)]
        assert [line(child) for child in workers] == ["ready", "ready"]
        left = [
            memory.add(f"thing {number} is {user}", user_id=user, wait=False).job
            for number in range(10)
            for user in "abc"
        ]
        assert memory.add("grass is green", user_id="d").job is None
        assert memory.wait()
        for _ in workers:
            while len(left) < 30 or memory.stats()["jobs"]["pending"]:
                time.sleep(0.02)
            memory.add("that was all", user_id="last", wait=False)
        ran = [json.loads(child.communicate(timeout=60)[0]) for child in workers]
        for user in "abc":
            kinds = [record.kind for record in memory.get_all(user_id=user, limit=100)]
            assert (kinds.count("episode"), kinds.count("fact")) == (10, 10)
        assert len({*ran[0], *ran[1]}) == len(ran[0]) + len(ran[1])
        assert memory.wait()
        assert memory.verify().ok
