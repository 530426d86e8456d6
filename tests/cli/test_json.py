"""What `--json` prints is what the documentation says, field by field."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.test_commands import TALK
from engram import Memory
from engram.cli.app import app
from engram.engine.tenants import add_database, place_tenant, router_at
from engram.kernel.clock import utc_now
from engram.kernel.operations import Job
from engram.kernel.protocols import Batch, PutJob
from engram.kernel.scope import Scope
from engram.serve.audit import Audit, Entry
from engram.serve.keys import KeyStore

PAGE = Path(__file__).resolve().parents[2] / "docs" / "json-lines.md"
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", re.MULTILINE)


def documented() -> dict[str, tuple[set[str], set[str]]]:
    """The fields of each command's objects, and those that may be missing, from the page."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for names, fields, _ in ROW.findall(PAGE.read_text(encoding="utf-8")):
        listed = re.findall(r"`([a-z_0-9]+)`(\?)?", fields)
        if not listed:
            continue
        whole = {name for name, mark in listed if not mark}
        for command in re.findall(r"`([a-z- ]+)`", names):
            found[command] = (whole, {name for name, mark in listed if mark})
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A store with something of everything; what stands for names in the commands below."""
    folder = tmp_path_factory.mktemp("json")
    talk = folder / "talk.json"
    talk.write_text(json.dumps(TALK), encoding="utf-8")
    audit = folder / "audit.jsonl"
    with closing(Audit(audit)) as written:
        written.note(Entry(utc_now(), "r1", "k1", "search", {"tenant": "acme"}, ["1"]))
    with Memory(f"sqlite:///{folder}/m.db") as memory:
        id = memory.add("a heron", user_id="ana").ids[0]
        other = memory.add("a weir", user_id="ana").ids[0]
        edit = memory.edit(other, text="a mended weir").change_set
        moment = memory.get(id).time
        store = memory._bound.core.store
        jobs = [Job("", "write", Scope(user_id="ana"), moment, "p:1", (id,), "parked")] * 3
        made = [store.commit(Batch((PutJob(job),))).jobs[0] for job in jobs]
        key = KeyStore(store).create()[0].id
    router = f"router:sqlite:///{folder}/directory.db"
    with closing(router_at(router)) as routed:
        for name in ("one", "two"):
            add_database(routed, name, f"sqlite:///{folder}/{name}.db")
        place_tenant(routed, "acme", "one")
    names = {
        "ROUTER": router,
        "MEMBER": f"sqlite:///{folder}/three.db",
        "ID": id,
        "EDIT": str(edit),
        "TALK": str(talk),
        "OUT": str(folder / "out.jsonl"),
        "AUDIT": str(audit),
        "KEY": key,
        "GOAL": f"sqlite:///{folder}/goal.db",
    }
    return {**names, "URL": f"sqlite:///{folder}/m.db", "JOB": made[0], "AGAIN": made[1], "GONE": made[2]}


CALLS = [
    "graph --everyone",
    "add words --user ana",
    "search heron --user ana",
    "ask heron --user ana",
    "context heron --user ana",
    "as-of heron --known now --user ana",
    "list --user ana",
    "show ID",
    "history ID",
    "import TALK",
    "export OUT",
    "copy URL GOAL",
    "stats",
    "scopes",
    "jobs list",
    "jobs show JOB",
    "jobs retry AGAIN",
    "jobs drop GONE --yes",
    "worker --once --tend 1d",
    "jobs wait --timeout 0",
    "verify",
    "repair",
    "doctor",
    "migrate",
    "policies",
    "edit ID crane",
    "undo EDIT",
    "tend",
    "reembed",
    "bench recall TALK --policy rrf",
    "compare TALK --policy rrf -j 1",
    "tenants list --url ROUTER",
    "tenants databases --url ROUTER",
    "tenants add three MEMBER --url ROUTER",
    "tenants place other one --url ROUTER",
    "tenants move acme two --url ROUTER",
    "keys create --rights write",
    "keys list",
    "keys rotate KEY",
    "keys revoke KEY --yes",
    "forget --user nobody --yes",
    "mcp --user ana",
    "top --once",
    "audit --file AUDIT",
]


def named(call: str) -> str:
    """The command of a call, as the page has it."""
    words = call.split()
    return " ".join(words[:2]) if words[0] in ("jobs", "keys", "bench", "tenants") else words[0]


def objects(call: str, store: dict[str, str]) -> list[dict[str, Any]]:
    """What a call prints with `--json`."""
    words = [store.get(word, word) for word in call.split()]
    result = CliRunner().invoke(app, ["--url", store["URL"], *words, "--json"])
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("call", CALLS)
def test_objects_have_the_fields_that_are_documented(call: str, store: dict[str, str]) -> None:
    found = objects(call, store)
    always, sometimes = documented()[named(call)]
    assert found
    for item in found:
        assert set(item) - sometimes == always


def test_every_command_with_json_is_on_the_page() -> None:
    from typer.main import get_command

    root: Any = get_command(app)
    leaves = {name: item for name, item in root.commands.items() if not hasattr(item, "commands")}
    for group, item in root.commands.items():
        leaves |= {f"{group} {name}": below for name, below in getattr(item, "commands", {}).items()}
    speaking = {
        name for name, item in leaves.items() if any("--json" in parameter.opts for parameter in item.params)
    }
    assert speaking == set(documented())
    assert speaking - {named(call) for call in CALLS} == {
        "bench speed",
        "bench ann",
        "bench plot",
        "serve",
    }  # take long, need lines, go on until stopped
