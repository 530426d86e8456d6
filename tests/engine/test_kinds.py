"""Records that are added directly, by kind: what each call does with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.conftest import Open
from engine.helpers import Facts
from engram import InvalidInput, Memory, NotFound
from engram.kernel.effects import Find, Read
from engram.kernel.operations import Batch, Reindex
from engram.kernel.policy import Query, Recall
from engram.kernel.record import KINDS
from engram.models.static import StaticEmbedder
from engram.policies.rrf import RRF

FOUND = [kind for kind in KINDS if kind not in ("episode", "secret")]
WORD = "hunter2"


@pytest.mark.parametrize("kind", FOUND)
def test_a_kind_is_found_filtered_edited_moved_and_forgotten(
    kind: str, open_memory: Open, tmp_path: Path
) -> None:
    memory = open_memory(policy="fusion")
    memory.add(["The heron stands on the weir.", "Tea is at five."], user_id="ana")
    message = {"content": "The boat costs 40 euros a day.", "name": "price", "metadata": {"of": "boat"}}
    receipt = memory.add(message, kind=kind, infer=False, user_id="ana")
    [id] = receipt.ids
    record = memory.get(id, user_id="ana")
    assert (record.kind, record.level, record.name, dict(record.metadata)) == (
        kind,
        None,
        "price",
        {"of": "boat"},
    )
    assert memory.search("What does the boat cost?", user_id="ana", k=1)[0].id == id
    for found in (
        memory.search("weir", user_id="ana", filters={"kind": kind}),
        memory.get_all(user_id="ana", filters={"kind": kind}).items,
    ):
        assert [item.id for item in found] == [id]
    assert "40 euros" in memory.context("the boat", user_id="ana").text
    memory.edit(id, text="The boat costs 45 euros a day.", user_id="ana")
    assert [version.text[15:23] for version in memory.history(id)] == ["40 euros", "45 euros"]
    assert memory.export(tmp_path / "all.jsonl", user_id="ana") == 3
    with Memory("ram:") as copy:
        assert copy.import_(tmp_path / "all.jsonl").stored == 3
        assert copy.get(id, user_id="ana").to_dict()["kind"] == kind
        assert copy.search("boat", user_id="ana", k=1)[0].text == "The boat costs 45 euros a day."
        assert copy.verify().ok
    assert memory.forget(id, user_id="ana").ids == [id]
    with pytest.raises(NotFound):
        memory.get(id)
    assert "euros" not in memory.context("the boat", user_id="ana").text
    assert memory.verify().ok


def test_what_is_added_directly_is_not_derived_from(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    memory.add("home is Porto", kind="fact", infer=False, user_id="u")
    memory.add("tea is good", kind="resource", user_id="u")
    assert [record.made_by for record in memory.get_all(user_id="u")] == [None, None]
    with pytest.raises(InvalidInput, match="kind: 'facts' is not one of"):
        memory.add("x", kind="facts", user_id="u")


def test_what_is_added_directly_holds_from_and_until_when_it_says(open_memory: Open, tmp_path: Path) -> None:
    memory = open_memory(policy="fusion")
    message = {"content": "Ana lives in Rome.", "valid": {"start": "2019-01-01", "end": "2021-01-01T00:00Z"}}
    receipt = memory.add(message, kind="fact", infer=False, user_id="ana")
    assert receipt.items[0].reason == "valid.start has no zone: taken as UTC"
    assert memory.search("Rome", user_id="ana") == []
    assert memory.as_of(valid="2018-12-31").search("Rome", user_id="ana") == []
    assert [hit.id for hit in memory.as_of(valid="2020-06-01").search("Rome", user_id="ana")] == receipt.ids
    record = memory.get(receipt.ids[0], user_id="ana")
    assert record.original == message
    assert memory.add({**message, "id": "rome"}, kind="fact", user_id="ana").items[0].event == "stored"
    assert memory.add({**message, "id": "rome"}, kind="fact", user_id="ana").items[0].event == "duplicate"
    memory.export(tmp_path / "all.jsonl")
    with Memory("ram:") as copy:
        copy.import_(tmp_path / "all.jsonl")
        assert copy.get(record.id).valid == record.valid


@pytest.mark.parametrize(
    ("valid", "start", "end"),
    [
        ({}, "2026-03-01", None),
        ({"start": None}, None, None),
        ({"start": "2020-01-01"}, "2020-01-01", None),
        ({"end": "2030-01-01"}, "2026-03-01", "2030-01-01"),
        ({"end": "2020-01-01"}, None, "2020-01-01"),
        ({"start": "2030-01-01", "end": None}, "2030-01-01", None),
    ],
)
def test_where_a_bound_is_not_given(
    open_memory: Open, valid: dict[str, str | None], start: str | None, end: str | None
) -> None:
    memory = open_memory()
    message = {"content": "So it is.", "time": "2026-03-01T00:00Z", "valid": valid}
    held = memory.get(memory.add(message, kind="fact", user_id="ana").ids[0]).valid
    days = [None if moment is None else f"{moment:%Y-%m-%d}" for moment in (held.start, held.end)]
    assert days == [start, end]


@pytest.mark.parametrize(
    ("valid", "kind", "problem"),
    [
        ({"start": "2021-01-01", "end": "2020-01-01"}, "fact", r"message\.valid: ends .* before it starts"),
        ({"start": "2021-01-01", "end": "2021-01-01"}, "fact", "before it starts"),
        ({"begin": "2021-01-01"}, "fact", r"expected \{'start': time, 'end': time\}"),
        ("2021", "fact", "expected"),
        ({"end": "soon"}, "fact", r"message\.valid\.end: 'soon' is not a time"),
        ({"start": "2021-01-01"}, None, "an episode holds from its time on; give 'time', or another kind"),
    ],
)
def test_a_time_that_cannot_be_is_refused(
    open_memory: Open, valid: object, kind: str | None, problem: str
) -> None:
    memory = open_memory()
    with pytest.raises(InvalidInput, match=problem):
        memory.add({"content": "So it is.", "valid": valid}, kind=kind, user_id="ana")
    assert memory.get_all(user_id="ana").items == ()


@pytest.mark.parametrize("policy", ["fusion", "bm25", "dense", "rrf"])
def test_a_secret_is_given_back_by_id_and_nowhere_found(
    policy: str, open_memory: Open, tmp_path: Path
) -> None:
    memory = open_memory(policy=policy)
    memory.add(["The safe stands in the attic.", "The key hangs by the door."], user_id="ana")
    [id] = memory.add(f"The safe opens with {WORD}.", kind="secret", infer=False, user_id="ana").ids
    asked = f"What does the safe open with? {WORD}"
    for _ in range(2):
        hits = memory.search(asked, user_id="ana", k=50)
        assert hits
        assert id not in [hit.id for hit in hits]
        for filters in ({"kind": "secret"}, {"text": {"contains": WORD}}):
            assert memory.search(asked, user_id="ana", filters=filters) == []
        for level in (1, 2):
            assert WORD not in str(memory.search(asked, user_id="ana", filters={"level": level}))
        assert WORD not in memory.context(asked, user_id="ana").text
        assert WORD not in memory.as_of(known=memory.get(id).known.start).context(asked, user_id="ana").text
        memory.edit(id, text=f"It opens with {WORD} now.")
    memory.export(tmp_path / "pages", user_id="ana", format="markdown")
    memory.export(tmp_path / "topic", user_id="ana", format="markdown", topics=["safe"])
    pages = "".join(page.read_text() for page in tmp_path.rglob("*.md"))
    assert "attic" in pages
    assert WORD not in pages
    assert WORD in memory.get(id).text
    assert memory.verify().ok
    memory.export(tmp_path / "all.jsonl")
    with Memory("ram:", policy=policy) as copy:
        copy.import_(tmp_path / "all.jsonl")
        assert copy.get(id).text == f"It opens with {WORD} now."
        assert id not in [hit.id for hit in copy.search(asked, user_id="ana", k=50)]
        assert copy.verify().ok


def test_a_secret_goes_to_no_embedder(open_memory: Open) -> None:
    class Listening:
        """The built-in embedder, which keeps what it was given; far away."""

        local = False

        def __init__(self) -> None:
            self.inner = StaticEmbedder()
            self.heard: list[str] = []

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

        def embed(self, texts: list[str]) -> object:
            self.heard += texts
            return self.inner.embed(texts)

    embedder = Listening()
    memory = open_memory(embedder=embedder)
    memory.add(["plain words", "more words"], user_id="ana")
    memory.add(f"the word is {WORD}", kind="secret", user_id="ana")
    assert memory.verify().ok
    assert memory.repair().ok
    assert "plain words" in embedder.heard
    assert WORD not in " ".join(embedder.heard)


def test_a_secret_goes_to_no_policy(tmp_path: Path) -> None:
    seen: list[str] = []

    @dataclass(frozen=True)
    class Curious(RRF):
        """Reads a record that it knows the id of."""

        id: str = ""

        async def read(self, query: Query) -> Recall:
            seen.extend(record.kind for record in await Read(tuple(self.id.split())))
            seen.extend(hit.record.kind for hit in await Find(query.text, k=50))
            return await super().read(query)

    with Memory("ram:") as plain:
        ids = [plain.add(WORD, kind=kind, user_id="ana").ids[0] for kind in ("secret", "fact")]
        plain.export(tmp_path / "all.jsonl")
    with Memory("ram:", policy=Curious(id=" ".join(ids))) as curious:
        curious.import_(tmp_path / "all.jsonl")
        assert len(curious.search(WORD, user_id="ana")) == 1
    assert seen == ["fact", "fact"]


def test_a_secret_that_was_indexed_once_is_not_found_and_repaired(open_memory: Open) -> None:
    memory = open_memory()
    [id] = memory.add(f"the word is {WORD}", kind="secret", user_id="ana").ids
    memory.add("the word is plain", user_id="ana")
    core = memory._bound.core
    record = memory.get(id)
    words, vector = core.encode([replace(record, kind="fact")])[0]
    core.store.commit(Batch((Reindex(id, record.version, words, vector),)))
    assert [problem.id for problem in memory.verify().problems] == [id]
    assert [hit.text for hit in memory.search(WORD, user_id="ana")] == ["the word is plain"]
    assert WORD not in memory.context(WORD, user_id="ana").text
    assert memory.repair().mended == 1
    assert memory.verify().ok
