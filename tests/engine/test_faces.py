"""The two faces: the same names, the same signatures, the same answers; and what importing costs."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from typing import Any

import pytest

import engram
from engine.helpers import Facts, Ticking
from engram import AsyncMemory, AsyncView, ConfigError, Memory, NeedsMigration, View

TWINS = pytest.mark.parametrize(("face", "twin"), [(Memory, AsyncMemory), (View, AsyncView)])


def public(face: type) -> dict[str, Any]:
    return {
        name: member for name, member in vars(face).items() if callable(member) and not name.startswith("_")
    }


@TWINS
def test_the_faces_are_twins(face: type, twin: type) -> None:
    ours, theirs = public(face), public(twin)
    assert ours.keys() == theirs.keys()
    assert len(ours) <= 25
    for name, method in ours.items():
        mine, other = inspect.signature(method), inspect.signature(theirs[name])
        assert mine.parameters == other.parameters, name
        returns = {"View": "AsyncView"}.get(str(mine.return_annotation), mine.return_annotation)
        assert returns == other.return_annotation, name
        assert name in ("as_of", "scoped") or inspect.iscoroutinefunction(theirs[name]), name
        assert method.__doc__, name


def test_the_faces_are_opened_alike() -> None:
    opened, awaited = inspect.signature(Memory.__init__), inspect.signature(AsyncMemory.__init__)
    assert opened.parameters == awaited.parameters


def test_both_faces_give_the_same_answers() -> None:
    def plain(value: Any) -> Any:
        return json.dumps(
            value.to_dict() if hasattr(value, "to_dict") else [item.to_dict() for item in value]
        )

    said = ["home is Porto", "tea is good"]
    answers = []
    with Memory("ram:", policy=Facts(), clock=Ticking()) as memory:
        receipt = memory.add(said, user_id="u")
        answers.append(
            [
                plain(receipt),
                plain(memory.search("home", user_id="u")),
                plain(memory.edit(receipt.ids[0], text="x")),
            ]
        )
        answers[-1] += [plain(memory.get_all(user_id="u")), plain(memory.context("home", user_id="u"))]
        answers[-1] += [plain(memory.forget(receipt.ids[1])), plain(memory.history(receipt.ids[0]))]

    async def main() -> None:
        async with AsyncMemory("ram:", policy=Facts(), clock=Ticking()) as memory:
            receipt = await memory.add(said, user_id="u")
            found, edited = (
                await memory.search("home", user_id="u"),
                await memory.edit(receipt.ids[0], text="x"),
            )
            answers.append([plain(receipt), plain(found), plain(edited)])
            answers[-1] += [
                plain(await memory.get_all(user_id="u")),
                plain(await memory.context("home", user_id="u")),
            ]
            answers[-1] += [
                plain(await memory.forget(receipt.ids[1])),
                plain(await memory.history(receipt.ids[0])),
            ]

    asyncio.run(main())
    assert answers[0] == answers[1]


def test_many_adds_and_searches_at_once() -> None:
    async def main() -> None:
        async with AsyncMemory("ram:", policy=Facts()) as memory:
            await asyncio.gather(*(memory.add(f"thing {n} is {n}", user_id="u") for n in range(30)))
            found = await asyncio.gather(*(memory.search(f"thing {n}", user_id="u", k=1) for n in range(30)))
            assert all(hits for hits in found)
            assert len(await memory.get_all(user_id="u")) == 60
            assert (await memory.verify()).ok

    asyncio.run(main())


def test_importing_is_light_and_quiet() -> None:
    code = (
        "import sys, os\n"
        "seen = []\n"
        "sys.addaudithook(lambda event, args: seen.append(event) if event.startswith('socket') else None)\n"
        "class Env(dict):\n"
        "    def __getitem__(self, key): seen.append(key); return super().__getitem__(key)\n"
        "    def get(self, key, default=None): seen.append(key); return super().get(key, default)\n"
        "os.environ = Env(os.environ)\n"
        "import engram\n"
        "heavy = {'numpy', 'asyncio', 'sqlite3', 'typer', 'rich', 'dateparser', 'simsimd'}\n"
        "print(sorted(set(sys.modules) & heavy), seen)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[] []"


def test_every_public_name_loads_and_is_documented() -> None:
    assert set(engram.__all__) <= set(dir(engram))
    for name in engram.__all__:
        member = getattr(engram, name)
        assert name == "__version__" or member.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        engram.Nope  # noqa: B018


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"url": "memory.db"}, "sqlite:///path"),
        ({"url": "mongodb://x"}, "mongodb"),
        ({"policy": "magic"}, "bm25"),
        ({"embedder": "magic"}, "static"),
        ({"embedder": 7}, "embedder"),
        ({"durability": "maybe"}, "'process' nor 'power'"),
        ({"cache_mb": 0}, "cache_mb"),
    ],
)
def test_a_setting_that_cannot_work_says_what_can(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Memory(**{"url": "ram:", **settings})


class Other:
    """An embedder of another size."""

    name = "other/1"
    dimensions = 3
    local = True

    def embed(self, texts: Any) -> Any:
        import numpy as np

        return np.zeros((len(texts), 3), "f4")

    def count(self, text: str) -> int:
        return len(text.split())


def test_another_embedder_is_refused_with_the_mend(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    Memory(url).close()
    with pytest.raises(NeedsMigration, match="engram reembed"):
        Memory(url, embedder=Other())


class Remote(Other):
    """An embedder behind a network, with a switch."""

    local = False
    up = False

    def embed(self, texts: Any) -> Any:
        import numpy as np

        from engram import ModelUnavailable

        if not self.up:
            raise ModelUnavailable("the endpoint is down")
        return np.eye(3, dtype="f4")[[len(text) % 3 for text in texts]]


def test_a_remote_embedders_vectors_follow_by_a_job() -> None:
    clock, embedder = Ticking(), Remote()
    with Memory("ram:", policy="bm25", embedder=embedder, clock=clock) as memory:
        receipt = memory.add("hello there", user_id="u")
        assert [item.event for item in receipt.items] == ["stored", "pending"]
        assert receipt.job is not None
        assert not memory.verify().ok
        embedder.up = True
        assert memory.search("hello", user_id="u")[0].text == "hello there"
        clock.skip(hours=1)
        assert memory.wait()
        assert memory.verify().ok
        assert memory._bound.core.store.entries(memory._bound.scope({"user_id": "u"}))[0].vector
