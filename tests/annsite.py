"""A database for tests of candidates: a tenant with indexes, and one without."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from typing import Any

from engram.bench.texts import turns
from engram.kernel.clock import micros
from engram.kernel.preselect import Among
from engram.kernel.protocols import Batch, Put
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.models.static import StaticEmbedder
from engram.operators.retrieval.codec import encode
from engram.stores.postgres import ann_build
from engram.stores.postgres.connection import connect
from engram.stores.postgres.store import PostgresStore
from engram.stores.postgres.target import target_of
from engram.testing.builders import a_record, day

__all__ = ["ACME", "BOLT", "COUNT", "NOW", "Site"]

ACME, BOLT = Scope("acme"), Scope("bolt", "ana")
USERS = 10
COUNT = 800
NOW = Among(micros(day(400)))
psycopg: Any = import_module("psycopg")


class Site:
    """A database of its own: one tenant with indexes and ten users, another with neither."""

    def __init__(self, server: str) -> None:
        self.name = f"ann{os.getpid()}"
        self.server = server
        with psycopg.connect(server, autocommit=True) as link:
            link.execute(f"DROP DATABASE IF EXISTS {self.name}")
            link.execute(f"CREATE DATABASE {self.name}")
            for role in ("owner", "acme", "bolt"):
                link.execute(f"CREATE ROLE {self.name}_{role} LOGIN")
            link.execute(f"GRANT ALL ON DATABASE {self.name} TO {self.name}_owner")
        with psycopg.connect(self.url(None), autocommit=True) as link:
            link.execute("CREATE EXTENSION vector")
        self.embedder = StaticEmbedder()
        self.store = self.opened("owner")
        messages = list(turns(COUNT))
        self.texts = [message["content"] for message in messages]
        self.vectors = self.embedder.embed(self.texts)
        self.records = [
            a_record(
                message["content"],
                scope=replace(ACME, user_id=f"u{number % USERS}", run_id=f"r{number // 100}"),
                name=message["name"],
                role="assistant" if number % 4 == 0 else "user",
                time=datetime.fromisoformat(message["time"]),
            )
            for number, message in enumerate(messages)
        ]
        self.ids = self.put(self.records)
        self.put([a_record("Of bolt.", scope=BOLT)])
        with connect(self.store.target) as link:
            assert ann_build.lacking(link, COUNT - 1) == [("acme", COUNT)]
            assert ann_build.build(link, "acme") == COUNT
            assert ann_build.lacking(link, COUNT - 1) == []
            for role in ("acme", "bolt"):
                link.execute("SELECT admit(%s, %s)", (f"{self.name}_{role}", role))

    def url(self, role: str | None) -> str:
        """Of the database, as a role."""
        url = self.server.replace("/postgres?", f"/{self.name}?")
        user = "postgres" if role is None else f"{self.name}_{role}"
        return "postgresql://" + user + "@" + url.partition("://")[2].rpartition("@")[2]

    def opened(self, role: str | None, schema: str = "engram") -> PostgresStore:
        """The store, for a role."""
        return PostgresStore(target_of(f"{self.url(role)}&schema={schema}"))

    def put(self, records: list[Record], store: PostgresStore | None = None) -> list[str]:
        """Add records with their entries."""
        texts = [record.text for record in records]
        entries = encode(texts, self.embedder.embed(texts))
        puts = [Put(record, *entry) for record, entry in zip(records, entries, strict=True)]
        return list((store or self.store).commit(Batch(tuple(puts))).ids)

    def near(self, text: str, k: int = 3, among: Among = NOW, scope: Scope = ACME) -> list[str]:
        """The ids that are found near to a text."""
        found = self.store.nearest(scope, list(self.embedder.embed([text])), k, among)
        return [id for id, _ in found[0]]

    def close(self) -> None:
        """Remove everything."""
        self.store.close()
        with psycopg.connect(self.server, autocommit=True) as link:
            link.execute(f"DROP DATABASE {self.name} WITH (FORCE)")
            for role in ("owner", "acme", "bolt"):
                link.execute(f"DROP ROLE {self.name}_{role}")
