"""Every command, as someone at a terminal would use it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engram.cli.app import app

Call = Callable[..., Result]
TALK = {
    "name": "ada",
    "turns": [
        {
            "id": "1",
            "session": 1,
            "speaker": "Ada",
            "text": "My cat is called Plum.",
            "time": "2024-01-02T10:00:00",
        },
        {
            "id": "2",
            "session": 1,
            "speaker": "Ben",
            "text": "Mine is a goldfish.",
            "time": "2024-01-02T10:01:00",
        },
        {
            "id": "3",
            "session": 2,
            "speaker": "Ada",
            "text": "We moved to Porto.",
            "time": "2024-03-02T10:00:00",
        },
    ],
    "questions": [{"question": "What is the cat called?", "evidence": ["1"], "category": "pets"}],
}


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Run a command on one store; the exit code is expected to be `code`."""

    def run(*arguments: str, code: int = 0, text: str | None = None) -> Result:
        result = CliRunner().invoke(
            app, arguments, input=text, env={"ENGRAM_URL": f"sqlite:///{tmp_path}/a.db"}
        )
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def talk(tmp_path: Path) -> str:
    path = tmp_path / "talk.json"
    path.write_text(json.dumps(TALK), encoding="utf-8")
    return str(path)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_what_was_added_is_found_with_who_and_when(call: Call) -> None:
    call(
        "add", "I moved to Lisbon in May.", "--user", "ana", "--name", "Ana", "--time", "2024-05-02T10:00:00Z"
    )
    call("add", "The boiler was mended.", "--user", "ana")
    found = call("search", "Lisbon", "--user", "ana", "--explain").stdout
    assert "I moved to Lisbon in May." in found
    assert "2024-05-02 10:00" in found
    assert "Ana" in found
    hits = lines(call("search", "Lisbon", "--user", "ana", "-k", "1", "--explain", "--json"))
    assert [hit["text"] for hit in hits] == ["I moved to Lisbon in May."]
    assert 0 < hits[0]["score"] <= 1
    assert hits[0]["why"]


def test_add_takes_several_texts_standard_input_and_metadata(call: Call) -> None:
    [receipt] = lines(call("add", "first", "-", "--metadata", '{"from": "mail"}', "--json", text="second\n"))
    assert [item["event"] for item in receipt["items"]] == ["stored", "stored"]
    shown = lines(call("show", receipt["items"][1]["id"], "--json"))[0]
    assert (shown["text"], shown["metadata"], shown["versions"]) == ("second\n", {"from": "mail"}, 1)


def test_an_own_id_is_stored_once(call: Call) -> None:
    assert call("add", "words", "--id", "mine").stdout.startswith("stored")
    assert call("add", "words", "--id", "mine").stdout.startswith("duplicate")
    assert "Conflict" not in call("add", "others", "--id", "mine", code=1).stderr
    call("add", "one", "two", "--id", "mine", code=2)


def test_add_and_search_without_a_scope_mean_user_default(call: Call) -> None:
    call("add", "The key is under the mat.")
    [hit] = lines(call("search", "Where is the key?", "--json"))
    assert hit["record"]["scope"]["user_id"] == "default"
    assert lines(call("search", "key", "--user", "default", "--json")) != []


def test_nothing_found_says_where_there_is_something(call: Call) -> None:
    assert "the store is empty" in call("search", "anything").stderr
    call("add", "words", "--user", "ana")
    assert "users with records: 'ana'" in call("search", "words").stderr
    assert "nothing found" in call("search", "?!", "--user", "ana").stderr


def test_everyone_reaches_the_whole_tenant(call: Call) -> None:
    call("add", "a heron", "--user", "ana")
    call("add", "a heron", "--user", "bo")
    call("add", "a heron", "--user", "cy", "--tenant", "other")
    hits = lines(call("search", "heron", "--everyone", "--json"))
    assert {hit["record"]["scope"]["user_id"] for hit in hits} == {"ana", "bo"}


def test_a_conversation_is_imported_once(call: Call, talk: str) -> None:
    assert "3 stored" in call("import", talk).stdout
    again = lines(call("import", talk, "--json"))[0]
    assert (again["path"], again["stored"], again["duplicate"], again["ok"]) == (talk, 0, 3, True)
    hits = lines(call("search", "Where did they move?", "--user", "ada", "--run", "2", "--json"))
    assert [hit["record"]["name"] for hit in hits] == ["Ada"]
    call("import", talk, "--user", "someone")
    assert lines(call("stats", "--user", "someone", "--json"))[0]["records"] == 3


def test_an_export_comes_back_in_another_store(call: Call, talk: str, tmp_path: Path) -> None:
    call("import", talk)
    copy = str(tmp_path / "copy.jsonl")
    assert "3 records" in call("export", copy).stdout
    other = f"sqlite:///{tmp_path}/b.db"
    assert "3 stored" in call("import", copy, "--url", other).stdout
    ask = ("search", "What is the cat called?", "--user", "ada", "--json")
    ids = [[hit["id"] for hit in lines(call(*ask, *more))] for more in ((), ("--url", other))]
    assert ids[0] == ids[1] != []


def test_context_is_packed_within_its_budget(call: Call, talk: str) -> None:
    call("import", talk)
    packed = call("context", "the cat", "--user", "ada").stdout
    assert packed.startswith("<memory")
    assert "My cat is called Plum." in packed
    [small] = lines(call("context", "the cat", "--user", "ada", "--budget", "60", "--json"))
    assert small["tokens"] <= 60


def test_history_and_show_know_all_versions(call: Call, tmp_path: Path) -> None:
    from engram.memory import Memory

    id = lines(call("add", "It is red.", "--json"))[0]["items"][0]["id"]
    with Memory(f"sqlite:///{tmp_path}/a.db") as memory:
        memory.edit(id, text="It is blue.")
    assert [version["text"] for version in lines(call("history", id, "--json"))] == [
        "It is red.",
        "It is blue.",
    ]
    assert call("history", id).stdout.index("It is red.") < call("history", id).stdout.index("It is blue.")
    shown = call("show", id).stdout
    assert "It is blue." in shown
    assert "versions  2" in shown


def test_forget_asks_first_and_can_only_tell(call: Call, talk: str) -> None:
    call("import", talk)
    assert "3 would be erased" in call("forget", "--user", "ada", "--dry-run").stdout
    refused = call("forget", "--user", "ada", code=1, text="y\n")
    assert "My cat is called Plum." in refused.stdout
    assert "add --yes" in refused.stderr
    assert lines(call("stats", "--json"))[0]["records"] == 3
    assert "3 erased" in call("forget", "--user", "ada", "--yes").stdout
    assert lines(call("stats", "--json"))[0]["records"] == 0


def test_forget_by_id_with_yes(call: Call) -> None:
    id = lines(call("add", "a secret", "--json"))[0]["items"][0]["id"]
    [receipt] = lines(call("forget", id, "--yes", "--json"))
    assert [item["id"] for item in receipt["items"]] == [id]
    assert "no record" in call("show", id, code=1).stderr
    assert "--user" in call("forget", "--yes", code=2).stderr


def test_forgetting_nothing_asks_nothing(call: Call) -> None:
    assert call("forget", "--user", "nobody").stdout == "0 erased, bytes on disk: done\n"


@pytest.mark.parametrize("command", [("search", "heron"), ("context", "heron"), ("forget", "--yes")])
def test_an_empty_scope_is_no_scope(call: Call, command: tuple[str, ...]) -> None:
    """A script whose variable is unset reads and erases nobody's records."""
    call("add", "a heron")
    assert "user_id" in call(*command, "--user", "", code=1).stderr
    assert lines(call("stats", "--json"))[0]["records"] == 1


def test_stats_verify_and_repair_agree(call: Call, talk: str) -> None:
    call("import", talk)
    assert "records      3" in call("stats").stdout
    assert call("verify").stdout.splitlines() == ["3 records checked", "all agree"]
    assert lines(call("repair", "--json"))[0]["mended"] == 0
    assert "3 index entries of 3 records written" in call("reembed").stdout


def test_verify_names_a_broken_entry_and_repair_mends_it(call: Call, tmp_path: Path) -> None:
    import sqlite3

    id = lines(call("add", "a heron", "--json"))[0]["items"][0]["id"]
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("UPDATE records SET text = 'a stork' WHERE id = ?", (id,))
    connection.close()
    assert f"{id}: the index entry does not agree" in call("verify", code=1).stdout
    assert lines(call("verify", "--json", code=1))[0]["ok"] is False
    assert lines(call("repair", "--json"))[0]["mended"] == 1
    call("verify")


def test_bench_prints_tables_or_json(call: Call, talk: str) -> None:
    printed = call("bench", talk, "--policy", "rrf", "--k", "1,5").stdout
    assert "talk: recall over 1 questions" in printed
    assert "pets" in printed
    for arguments in (
        ("bench", "--policy", "rrf", talk, "--json"),
        ("bench", "recall", talk, "--policy", "rrf", "--json"),
    ):
        measured = lines(call(*arguments))
        assert [line["policy"] for line in measured] == ["rrf", "bm25", "dense"]
        assert measured[0]["recall"] == {"5": 1.0, "10": 1.0, "20": 1.0, "50": 1.0}


@pytest.mark.parametrize("k", ["0", "five", "5,,10", "-1"])
def test_bench_refuses_depths_that_are_none(call: Call, talk: str, k: str) -> None:
    assert "expected" in call("bench", talk, "--k", k, code=2).stderr


ERRORS: list[tuple[tuple[str, ...], str]] = [
    (("search", "words", "--policy", "x"), "No such option"),
    (("show",), "Missing argument"),
    (("search", "words", "-k", "0"), "-k"),
    (("add", "words", "--metadata", "{"), "no JSON"),
    (("bench",), "Usage"),
    (("add", "words", "--time", "soon"), "'soon' is not a time"),
    (("search", "words", "--at", "soon"), "'soon' is not a time"),
    (("bench", ".", "--policy", "nope"), "'nope' is not one"),
    (("bench", "speed", "--policy", "nope"), "'nope' is not one"),
    (("search", "words", "--filter", "rle = user"), "did you mean 'role'?"),
    (("nonsense",), "No such command"),
    (("export", "."), "is a directory"),
]


@pytest.mark.parametrize("arguments, message", ERRORS)
def test_a_command_that_is_not_understood_ends_with_2(
    call: Call, arguments: tuple[str, ...], message: str
) -> None:
    result = call(*arguments, code=2)
    assert message in " ".join(result.output.replace("│", " ").split())


FAILURES: list[tuple[tuple[str, ...], str]] = [
    (("show", "NOID"), "there is no record 'NOID' in this scope"),
    (("add", "  "), "empty"),
    (("add", "words", "--role", "king"), "'king' is not one of user, assistant"),
    (("import", "nowhere.json"), "there is no such file or folder"),
    (("bench", "nowhere.json"), "there is no such file or folder"),
    (("stats", "--url", "ftp://x"), "ftp"),
    (("search", "words", "--url", "sqlite:///mistyped.db"), "there is no store at sqlite:///mistyped.db"),
    (("forget", "--user", "ana", "--url", "sqlite:///mistyped.db"), "begin one with engram add"),
]


@pytest.mark.parametrize("arguments, message", FAILURES)
def test_what_cannot_be_done_ends_with_1_and_one_line(
    call: Call, arguments: tuple[str, ...], message: str
) -> None:
    result = call(*arguments, code=1)
    assert message in result.stderr
    assert result.stderr.startswith("engram: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_broken_export_is_refused_with_its_line(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"type": "header", "format": "engram-export/1"}\nnonsense\n', encoding="utf-8")
    assert f"{path}:2: not JSON" in " ".join(call("import", str(path), code=1).stderr.split())


def test_text_cannot_give_orders_to_the_terminal(call: Call) -> None:
    call("add", "heron \x1b[2J\x1b]0;owned\x07 [bold]here[/bold]")
    id = lines(call("search", "heron", "--json"))[0]["id"]
    for arguments in (("search", "heron"), ("show", id), ("history", id)):
        shown = call(*arguments).stdout
        assert "\x1b" not in shown
        assert "\x07" not in shown
        assert "[bold]here[/bold]" in shown


def every_command() -> list[tuple[str, ...]]:
    import typer.main

    group: Any = typer.main.get_command(app)
    return [(name,) for name in group.commands] + [
        ("bench", name) for name in group.commands["bench"].commands
    ]


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert f"Example: engram {' '.join(command)}" in " ".join(result.output.split())


def test_all_published_commands_are_there() -> None:
    wanted = {
        "add",
        "import",
        "search",
        "context",
        "show",
        "history",
        "forget",
        "stats",
        "verify",
        "demo",
        "bench",
    }
    assert wanted <= {command[0] for command in every_command()}
