"""Candidates of large scopes from PostgreSQL: what is found, how it follows, and whom it is kept from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from annsite import ACME, BOLT, COUNT, NOW, Site
from engram.config import load_policy
from engram.engine import upkeep
from engram.engine.core import Core
from engram.kernel.clock import micros
from engram.kernel.drive import run
from engram.kernel.errors import ConfigError
from engram.kernel.preselect import Among, Preselecting
from engram.kernel.protocols import Batch, Close, Expunge, Mark, Put, Stage, Supersede, Switch
from engram.kernel.record import Interval
from engram.kernel.scope import Scope
from engram.operators.analysis import ordered_hashes
from engram.operators.retrieval.codec import encode
from engram.stores import keeper_of
from engram.stores.postgres import ann_build
from engram.stores.postgres.connection import connect
from engram.stores.postgres.store import PostgresStore
from engram.stores.postgres.target import target_of
from engram.testing.builders import START, a_record, day
from postgres import SERVER, schemas

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")
pytest.importorskip("psycopg_pool", reason="the extra postgres is not installed")
Link = Any
"""A connection of psycopg."""


def hashes(text: str) -> list[int]:
    """The different terms of a text, as an index entry has them."""
    return list(dict.fromkeys(memoryview(ordered_hashes(text)).cast("I").tolist()))


@pytest.fixture(scope="module")
def site(postgres_server: str) -> Iterator[Site]:
    with psycopg.connect(postgres_server, autocommit=True) as link:
        row = link.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone()
        if row is None or SERVER is not None:
            pytest.skip("needs the tests' own server, with pgvector")
    made = Site(postgres_server)
    yield made
    made.close()


@pytest.mark.parametrize("user", [None, "u3"])
@pytest.mark.parametrize("few", [0, PostgresStore.few])
def test_most_of_the_nearest_are_found(site: Site, user: str | None, few: int) -> None:
    """By the index over vectors, and one by one."""
    scope = replace(ACME, user_id=user)
    site.store.few = few
    asked = site.embedder.embed(site.texts[5:400:20])
    own = np.array([user in (None, record.scope.user_id) for record in site.records])
    k = 50
    found = site.store.nearest(scope, list(asked), k, NOW)
    hits = 0
    for vector, near in zip(asked, found, strict=True):
        cosines = np.where(own, site.vectors @ vector, -2)
        exact = {site.ids[place] for place in np.argsort(-cosines)[:k].tolist()}
        assert [cosine for _, cosine in near] == sorted((cosine for _, cosine in near), reverse=True)
        assert abs(near[0][1] - cosines.max()) < 0.01
        hits += len(exact & {id for id, _ in near})
    assert hits >= 0.95 * k * len(asked)
    site.store.few = PostgresStore.few


def test_terms_are_counted_and_matched(site: Site) -> None:
    held = [set(hashes(text)) for text in site.texts]
    rarest: list[int] = []
    for number in (7, 500, 777):
        terms = hashes(site.texts[number])
        counts = site.store.often(ACME, terms, NOW)
        true = [sum(term in words for words in held) for term in terms]
        assert counts == true  # the sample is the whole of so few
        rarest = [term for _, term in sorted(zip(counts, terms, strict=True))]
        assert site.store.matching(ACME, rarest, 5, NOW).best[0] == site.ids[number]
    assert site.store.often(ACME, [12345], NOW) == [0]
    assert site.store.matching(ACME, [12345], 5, NOW).best == []
    narrow = replace(ACME, user_id="u7")
    found = site.store.matching(narrow, rarest, 1000, NOW, 20)
    assert found.best
    mine = {id for id, record in zip(site.ids, site.records, strict=True) if record.scope.user_id == "u7"}
    assert set(found.best) <= mine
    assert found.held == len(found.best)
    assert len(found.drawn) == min(20, found.held)
    assert set(found.drawn) <= set(found.best)
    assert set(found.terms) <= set(rarest)


def test_figures_of_a_scope(site: Site) -> None:
    found = site.store.census(ACME, NOW)
    assert isinstance(site.store, Preselecting)
    assert found is not None
    assert found.turns == COUNT
    assert found.sessions == len({record.scope for record in site.records})
    assert abs(found.assistant - 0.25) < 0.05
    assert abs(found.tokens - np.mean([len(text.split()) for text in site.texts])) < 3
    assert set(found.names) == {record.name for record in site.records}
    assert site.store.census(BOLT, NOW) is None
    drawn = site.store.sample(ACME, 100, NOW)
    assert len(set(drawn)) == len(drawn) == 100
    assert set(drawn) <= set(site.ids)
    assert site.store.sample(ACME, 100, NOW) == drawn


def test_neighbours_and_when_it_was_told(site: Site) -> None:
    entries = {entry.id: entry for entry in site.store.entries(ACME)}
    streams: dict[Scope, list[str]] = {}
    for id, record in zip(site.ids, site.records, strict=True):
        streams.setdefault(record.scope, []).append(id)
    asked = [site.ids[0], "gone", *site.ids[300:330]]
    found = site.store.around(ACME, asked, [3] * len(asked))
    assert found[1] == []
    for id, near in zip(asked, found, strict=True):
        if near:
            stream = streams[site.records[site.ids.index(id)].scope]
            place = stream.index(id)
            assert [entry.id for entry in near] == stream[max(0, place - 3) : place + 4]
            assert near == [entries[entry.id] for entry in near]
    assert site.store.around(replace(ACME, user_id="u1"), [site.ids[0]], [3]) == [[]]
    told = site.store.told(ACME, (None, None), NOW, last=5)
    assert [row.id for row in told] == site.ids[-5:]
    run = ("u0", None, "r2")
    stream = [
        id for id, r in zip(site.ids, site.records, strict=True) if r.scope == Scope("acme", "u0", None, "r2")
    ]
    episodes = replace(NOW, kinds=("episode",))
    assert [row.id for row in site.store.told(ACME, (None, None), episodes, run=run)] == stream
    span = (micros(site.records[10].time), micros(site.records[20].time))
    assert {row.id for row in site.store.told(ACME, span, NOW)} == set(site.ids[10:20])
    assert site.store.told(ACME, span, NOW, strength=2.0) == []


def test_it_follows_every_change(site: Site) -> None:
    """Another version, a new vector, an end, an erasure: the next question knows."""
    text = "A heron stood in the reeds."
    record = a_record(text, scope=replace(ACME, user_id="u1"))
    (id,) = site.put([record])
    assert site.near(text)[0] == id
    stored = replace(record, id=id, text="Bread is baked at dawn.", known=Interval(day(1)))
    words, vector = encode([stored.text], site.embedder.embed([stored.text]))[0]
    site.store.commit(Batch((Supersede(stored, 1, words, vector),)))
    assert site.near(stored.text)[0] == id
    assert site.store.matching(ACME, hashes("heron"), 3, NOW).best == []
    assert site.store.matching(ACME, hashes("baked"), 3, NOW).best == [id]
    site.store.commit(Batch((Mark(id, vector=encode([text], site.embedder.embed([text]))[0][1]),)))
    assert site.near(text)[0] == id
    site.store.commit(Batch((Close(id, 2, day(2)),)))
    assert id not in site.near(text)
    dead, fact = site.put(
        [
            a_record(text, scope=ACME, expires=START + timedelta(days=3)),
            a_record(text, scope=ACME, kind="fact", made_by="m", sources=(site.ids[0],)),
        ]
    )
    assert {dead, fact}.isdisjoint(site.near(text))
    assert site.near(text, among=replace(NOW, made_by="m"))[0] == fact
    assert site.near(text, among=replace(NOW, made_by="m", kinds=("fact",))) == [fact]
    assert fact not in site.near(text, among=replace(NOW, made_by="m", aside=("fact",)))
    assert site.near(text, among=replace(NOW, made_by="m", aside=("fact",), standing=True)) == [fact]
    assert dead in site.near(text, among=Among(micros(START)))
    assert site.store.check() == []
    site.store.commit(Batch((Expunge((id, dead, fact)),)))
    assert {id, dead, fact}.isdisjoint(site.near(text, among=Among(micros(START), "m")))
    assert site.store.check() == []


@pytest.mark.parametrize("kind", ["terms", "vectors"])
def test_an_index_is_used_under_row_level_security(site: Site, kind: str) -> None:
    """As the owner, who is no superuser: a condition that might leak must not come after a policy."""
    with connect(site.store.target) as link:
        asked = '{"tenant": "acme", "now": 0}'
        where = link.execute("SELECT ann_where(%s)", (asked,)).fetchone()
        assert where is not None
        far = "n.vector::public.halfvec(256) OPERATOR(public.<=>) '[" + ",".join("1" * 256) + "]'"
        rest, off, name = {
            "terms": (" AND n.terms @> ARRAY[7]", ("seqscan", "indexscan"), "ann_t_"),
            "vectors": (f" ORDER BY {far} LIMIT 5", ("seqscan", "sort", "bitmapscan"), "ann_v_"),
        }[kind]
        for way in off:
            link.execute("SELECT set_config(%s, 'off', false)", (f"enable_{way}",))
        explain = f"EXPLAIN SELECT n.id FROM ann n WHERE {where[0]}{rest}"  # noqa: S608 - nothing of a user's
        assert name in str(link.execute(explain.encode()).fetchall())


def test_nobody_sees_or_changes_what_is_indexed_of_another(site: Site) -> None:
    vector = list(site.vectors[:1])
    with closing(site.opened("bolt")) as bolt, closing(site.opened("acme")) as acme:
        assert acme.nearest(ACME, vector, 1, NOW)[0][0][0] == site.ids[0]
        assert acme.matching(ACME, hashes(site.texts[0]), 3, NOW).best
        assert bolt.census(ACME, NOW) is None
        assert bolt.nearest(ACME, vector, 1, NOW) == [[]]
        assert bolt.matching(ACME, hashes(site.texts[0]), 3, NOW).best == []
        assert bolt.often(ACME, hashes(site.texts[0])[:2], NOW) == [0, 0]
        assert bolt.sample(ACME, 5, NOW) == []
        assert bolt.around(ACME, site.ids[:1], [3]) == [[]]
        assert bolt.told(ACME, (None, None), NOW) == []
    with psycopg.connect(site.url("bolt"), autocommit=True) as link:
        link.execute("SET search_path = engram; SET engram.tenant = 'acme'; SET engram.everyone = 'on'")
        assert link.execute("SELECT count(*) FROM ann").fetchone() == (0,)
        assert link.execute("SELECT count(*) FROM ann_tenants").fetchone() == (0,)
        asked = '{"tenant": "acme", "now": 0, "anybody": true}'
        assert link.execute("SELECT * FROM ann_sample(%s, 100, 5)", (asked,)).fetchall() == []
        link.execute("SELECT ann_void()")
        link.execute("SET engram.tenant = 'bolt'")
        for escape in (
            "INSERT INTO ann_tenants VALUES ('bolt', 2, true)",
            "UPDATE ann SET ends = 0",
            "DELETE FROM ann",
            "SELECT ann_put(r, 256) FROM records r",
            "DROP TRIGGER ann_come ON records",
        ):
            with pytest.raises(psycopg.Error):
                link.execute(escape)
        asked = '{"tenant": "bolt\' OR true OR \'", "now": 0, "anybody": true}'
        assert link.execute("SELECT * FROM ann_sample(%s, 100, 5)", (asked,)).fetchall() == []
    assert site.near(site.texts[0])[0] == site.ids[0]


def test_values_that_are_no_words_do_no_harm(site: Site) -> None:
    """Whatever is asked is data: quotes, backslashes, NULL's likes."""
    for odd in ("'", "\\", "' OR true --", "%s", "{}", "$1"):
        assert site.near("tea", scope=Scope("acme", odd, odd, odd)) == []
        assert site.near("tea", among=replace(NOW, kinds=(odd,))) == []
        assert site.near("tea", among=replace(NOW, made_by=odd, aside=(odd,)))
    strange = replace(ACME, agent_id="o'x\\", run_id="r")
    (id,) = site.put([a_record("Odd.", scope=strange)])
    assert site.near("Odd.", scope=strange) == [id]
    site.store.commit(Batch((Put(a_record("short", scope=ACME), b"w", b"v"),)))
    assert site.store.check() == []


def test_a_tenant_may_be_indexed_again_and_others_besides(site: Site) -> None:
    with connect(site.store.target) as link:
        rows = ann_build.build(link, "acme")
        assert ann_build.build(link, "acme") == rows
        assert ann_build.build(link, "bolt") == 1
        link.execute("DELETE FROM ann WHERE id = %s", (site.ids[9],))
    assert any(site.ids[9] in problem for problem in site.store.check())
    with connect(site.store.target) as link:
        link.execute("UPDATE ann_tenants SET filled = false")
        assert site.store.census(ACME, NOW) is None
        for tenant in ("acme", "bolt"):
            ann_build.build(link, tenant)
    assert site.store.check() == []
    assert site.near("Of bolt.", scope=BOLT)


def test_nothing_of_it_is_left_after_a_purge(site: Site) -> None:
    agent = "xylocarpwren"
    with psycopg.connect(site.url(None), autocommit=True) as link:

        def sighted() -> bool:
            link.execute("CHECKPOINT")
            found = link.execute(
                "SELECT current_setting('data_directory'), pg_relation_filepath('engram.ann'), "
                "pg_relation_filepath('engram.ann_pkey')"
            ).fetchone()
            assert found is not None
            return any(agent.encode() in Path(found[0], name).read_bytes() for name in found[1:])

        (id,) = site.put([a_record("Bytes.", scope=replace(ACME, agent_id=agent))])
        assert sighted()
        site.store.commit(Batch((Expunge((id,)),)))
        for _ in range(20):  # other tests of this server may look back a while
            if site.store.purge():
                break
        assert not sighted()
    assert site.near(site.texts[3])[0] == site.ids[3]  # without an index over vectors, which was dropped
    with connect(site.store.target) as link:
        assert [tenant for tenant, _ in ann_build.lacking(link, 100)] == ["acme"]
        ann_build.build(link, "acme")
        assert ann_build.lacking(link, 100) == []


def test_tending_makes_what_a_tenant_lacks(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """As the owner; anybody else is told by doctor who can."""
    core = Core(site.store, load_policy("dense"), site.embedder, lambda: day(400), large=100)
    with connect(site.store.target) as link, closing(site.opened("acme")) as acme:
        ann_build.drop_vectors(link)
        assert not acme.index("acme", 100)
        assert not site.store.index("acme", 1 << 30)
        assert ann_build.lacking(link, 100, "bolt") == []
        assert [tenant for tenant, _ in ann_build.lacking(link, 100)] == ["acme"]
        with connect(site.store.target) as other, ann_build._alone(other):
            assert not site.store.index("acme", 100)
        assert [record.getMessage() for record in caplog.records if record.name == "engram.stores"] == [
            "the indexes of a large tenant are not made (StoreError); engram doctor --fix says why"
        ]
        run(upkeep.tend(core, ACME, 0.0), core.performed)
        assert ann_build.lacking(link, 100) == []
    assert not site.store.index("acme", 100)


class Other:
    """A store of its own in another schema, with a few records of `acme` and indexes."""

    def __init__(self, site: Site) -> None:
        self.store = site.opened("owner", next(schemas()))
        self.ids = site.put([a_record(text, scope=ACME) for text in site.texts[:40]], self.store)
        with connect(self.store.target) as link:
            ann_build.build(link, "acme")


@pytest.fixture
def other(site: Site) -> Iterator[Other]:
    made = Other(site)
    yield made
    made.store.close()


def small(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same in fewer dimensions."""
    cut = vectors[:, :64]
    return np.asarray(cut / np.linalg.norm(cut, axis=1, keepdims=True), np.float32)


def test_many_records_get_an_inverted_file(site: Site, other: Other) -> None:
    store = other.store
    with connect(store.target) as link:
        ann_build.drop_vectors(link)
        ann_build.build(link, "acme", graph=10)
        found = link.execute(
            "SELECT indexdef FROM pg_indexes WHERE starts_with(indexname, 'ann_v_')"
        ).fetchall()
        assert any("ivfflat" in row[0] for row in found)
        assert ann_build.lacking(link, 10) == []
    store.few = 0
    for number in (0, 39):
        assert (
            store.nearest(ACME, list(site.vectors[number : number + 1]), 5, NOW)[0][0][0] == other.ids[number]
        )


def test_a_new_embedder_makes_the_indexes_void(site: Site, other: Other) -> None:
    store = other.store
    entries = encode(site.texts[:40], small(site.vectors[:40]))
    stages = [Stage(id, 1, *entry) for id, entry in zip(other.ids, entries, strict=True)]  # type: ignore[arg-type]
    store.commit(Batch((*stages, Switch())))
    assert store.census(ACME, NOW) is None
    with connect(store.target) as link:
        ann_build.build(link, "acme")
    found = store.nearest(ACME, list(small(site.vectors[:1])), 1, NOW)
    assert found[0][0][0] == other.ids[0]
    assert store.check() == []


def test_a_new_embedder_of_an_older_engram_too(site: Site, other: Other) -> None:
    """It knows nothing of indexes, and rewrites the records alone."""
    entries = encode(site.texts[:40], small(site.vectors[:40]))
    with connect(other.store.target) as link, link.cursor() as cursor:
        rows = [(vector, id) for id, (_, vector) in zip(other.ids, entries, strict=True)]
        cursor.executemany("UPDATE records SET vector = %s WHERE id = %s", rows)
    assert other.store.census(ACME, NOW) is None
    with connect(other.store.target) as link:
        ann_build.build(link, "acme")
    assert other.store.nearest(ACME, list(small(site.vectors[:1])), 1, NOW)[0][0][0] == other.ids[0]


def test_without_pgvector_all_else_works(site: Site) -> None:
    """Where the extension is dropped with all that needs it, and where it may not be made."""
    name = f"{site.name}_bare"
    url = site.url(None).replace(f"/{site.name}?", f"/{name}?")
    with psycopg.connect(site.server, autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name} OWNER {site.name}_owner")
    try:
        with closing(PostgresStore(target_of(url))) as store:
            site.put([a_record(text, scope=ACME) for text in site.texts[:40]], store)
            with connect(store.target) as link:
                ann_build.build(link, "acme")  # a superuser's: the extension is made
                link.execute("DROP EXTENSION vector CASCADE")
            assert store.census(ACME, NOW) is None
            site.put([a_record("after it was dropped", scope=ACME)], store)
            assert len(store.entries(ACME)) == 41
        plain = target_of(url.replace("postgres@", f"{site.name}_owner@") + "&schema=plain")
        with closing(PostgresStore(plain)) as store:
            site.put([a_record("tea", scope=ACME)], store)
            with connect(plain) as link, pytest.raises(ConfigError, match="CREATE EXTENSION vector"):
                ann_build.build(link, "acme")
            keeper = keeper_of(url.replace("postgres@", f"{site.name}_owner@") + "&schema=plain")
            assert keeper is not None
            assert {finding.check: finding.level for finding in keeper.look()}["large"] == "ok"
            assert store.check() == []
    finally:
        with psycopg.connect(site.server, autocommit=True) as link:
            link.execute(f"DROP DATABASE {name} WITH (FORCE)")
