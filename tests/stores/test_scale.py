"""What spreading a store over servers needs: keys begin with the tenant, and the page names every table."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from engram.stores import open_store

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")

OF_THE_STORE = {"counter", "info", "formats", "members", "clients"}
"""Tables without content, which belong to the whole store."""
KEYS = """
SELECT c.relname, i.relname,
    (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = k.indkey[0])
FROM pg_index k JOIN pg_class c ON c.oid = k.indrelid JOIN pg_class i ON i.oid = k.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r' AND k.indisunique
"""


def test_every_key_begins_with_the_tenant(postgres_url: str) -> None:
    """Primary keys and other unique indexes, so that `tenant` can be what a table is distributed by."""
    open_store(postgres_url).close()
    base, _, schema = postgres_url.rpartition("&schema=")
    with closing(psycopg.connect(base)) as link:
        keys = link.execute(KEYS, (schema,)).fetchall()
        tables = {
            row[0] for row in link.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,))
        }
    content = tables - OF_THE_STORE
    assert content >= {"records", "versions", "lineage", "edges", "states", "jobs", "staged", "ann"}
    assert {table for table, _, _ in keys} == tables
    assert {(name, first) for table, name, first in keys if table in content and first != "tenant"} == set()
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    for table in sorted(content):
        assert f"create_distributed_table('engram.{table}', 'tenant'" in page
    for table in sorted(OF_THE_STORE):
        assert f"`{table}`" in page
