"""Results in IPython and Jupyter, faces at a prompt, and that nobody's exception hook is touched."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import CapturedIO, capture_output
from traitlets.config import Config

from engram import AsyncMemory, Memory
from engram.bound import Bound
from engram.config import open_core
from engram.engine.place import Here

TALK = """
from engram import Memory
memory = Memory("ram:", policy="rrf")
receipt = memory.add(
    [
        {"role": "user", "name": "Ana", "content": "We moved to <b>Lisbon</b> in May. \\x1b[31mRed\\x1b[0m"},
        {"role": "assistant", "name": "Bo", "content": "Was the move to Lisbon hard?"},
    ],
    user_id="ana",
)
hits = memory.search("Lisbon", user_id="ana")
"""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Any]:
    """IPython, with the talk remembered."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    hook = sys.excepthook
    make: Any = InteractiveShell  # without type information
    shell = make(config=config, ipython_dir=str(tmp_path))
    assert shell.run_cell(TALK).success
    yield shell
    shell.user_ns["memory"].close()
    shell.restore_sys_module_state()
    assert sys.excepthook is hook


def typed(shell: Any, cell: str) -> str:
    """What the terminal shows for a cell."""
    with capture_output() as captured:
        assert isinstance(captured, CapturedIO)
        shell.run_cell(cell)
    return str(captured.stdout) + str(captured.stderr)


def shapes(shell: Any, expression: str) -> dict[str, Any]:
    """What Jupyter is sent for a value, by media type."""
    shown, _ = shell.display_formatter.format(eval(expression, shell.user_ns))  # noqa: S307 - as written here
    return dict(shown)


def test_a_cell_of_hits_is_a_line_each(shell: Any) -> None:
    lines = typed(shell, "hits").splitlines()
    assert [line.split()[0] for line in lines] == ["Out[0]:", "[<Hit", "<Hit"]
    assert "Ana: " in lines[1] + lines[2]
    assert "\x1b" not in "".join(lines)


def test_a_cell_of_one_hit_is_the_whole_of_it(shell: Any) -> None:
    shown = typed(shell, "[hit for hit in hits if hit.record.name == 'Ana'][0]")
    assert "Hit · " in shown
    assert "\n    We moved to <b>Lisbon</b> in May. \ufffd[31mRed" in shown
    assert "user_id=ana" in shown


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("hits[0]", "Lisbon"),
        ("hits[0].record", "Lisbon"),
        ("receipt", "2 stored"),
        ("memory.context('Lisbon', user_id='ana')", "citations"),
        ("memory.get_all(user_id='ana')", "Lisbon"),
        ("memory.verify()", "all agree"),
    ],
)
def test_a_notebook_gets_a_page_and_plain_text(shell: Any, expression: str, word: str) -> None:
    shown = shapes(shell, expression)
    assert set(shown) == {"text/plain", "text/html"}
    assert word in shown["text/plain"]
    assert word in shown["text/html"]
    assert "<b>Lisbon" not in shown["text/html"]
    assert "\x1b" not in shown["text/plain"] + shown["text/html"]


def test_an_error_in_a_cell_has_the_frames_that_ipython_draws(shell: Any) -> None:
    shown = typed(shell, "memory.search('Lisbon', user_id='')")
    assert "InvalidInput" in shown
    assert "user_id: an id is 1 to 512 printable characters" in shown
    assert not set("╭╮╰╯│") & set(shown)


def test_faces_say_where_how_and_whose(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with Memory(url, policy="rrf") as memory:
        assert repr(memory) == f"<Memory {url}, policy rrf>"
        assert repr(memory.scoped(user_id="ana")) == f"<Memory {url}, policy rrf, user_id=ana>"
        view = memory.scoped(user_id="ana").as_of(valid="2024-05-02T10:00", known="2026-01-01")
        assert repr(view) == (
            f"<View {url}, policy rrf, user_id=ana, valid 2024-05-02 10:00, known 2026-01-01 00:00>"
        )
    assert repr(memory) == f"<Memory {url}, policy rrf, closed>"


def test_the_asynchronous_faces_do_too() -> None:
    async def main() -> None:
        async with AsyncMemory("ram:", policy="rrf") as memory:
            assert repr(memory) == "<AsyncMemory ram:, policy rrf>"
            assert repr(memory.as_of(known="2026-01-01")) == (
                "<AsyncView ram:, policy rrf, known 2026-01-01 00:00>"
            )

    asyncio.run(main())


def test_a_password_in_the_url_is_not_shown() -> None:
    core = open_core("ram:", policy="rrf")
    core.url = "postgresql://ada:s3cr3t@db.example/m?sslpassword=s3cr3t"
    assert "s3cr3t" not in Bound(Here(core)).shown("Memory")
    assert "ada:***@db.example/m" in Bound(Here(core)).shown("Memory")
    core.close()


@pytest.mark.parametrize(
    "code",
    ["import engram; engram.Memory('ram:').close()", "from engram.cli import main; run(main)"],
    ids=["library", "command line"],
)
def test_the_exception_hook_is_left_alone(code: str) -> None:
    program = (
        "import sys\n"
        "def run(main):\n"
        "    sys.argv = ['engram', '--version']\n"
        "    try: main()\n"
        "    except SystemExit: pass\n"
        f"{code}\n"
        "assert sys.excepthook is sys.__excepthook__, sys.excepthook\n"
        "raise ZeroDivisionError('plain')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.endswith("ZeroDivisionError: plain\n")
    assert "╭" not in done.stderr
