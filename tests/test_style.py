"""The style limits, as gates over the sources. `style.py` beside this file holds the gates themselves."""

from collections.abc import Callable, Iterator
from pathlib import Path

import grimp
import pytest

import style
from style import Finding

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PYTHON = [*SOURCES, *TESTS, *sorted((ROOT / "scripts").rglob("*.py"))]


def over(paths: list[Path], gate: Callable[[str, str], Iterator[Finding]]) -> list[str]:
    """What one gate finds in some files, as lines that an editor can follow."""
    named = [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in paths]
    return [str(finding) for name, text in named for finding in gate(name, text)]


def test_files_are_short() -> None:
    assert over(PYTHON, style.long_files) == []


def test_functions_are_short() -> None:
    assert over(PYTHON, style.long_functions) == []


def test_classes_have_few_public_methods() -> None:
    assert over(SOURCES, style.wide_classes) == []


def test_broad_except_stays_at_the_borders() -> None:
    assert over(PYTHON, style.broad_excepts) == []


def test_no_mocks() -> None:
    assert over(PYTHON, style.mocks) == []


def test_only_config_reads_the_environment() -> None:
    assert over(SOURCES, style.environment_reads) == []


def test_the_kernel_imports_the_standard_library_only() -> None:
    kernel = [path for path in SOURCES if "kernel" in path.parts]
    assert over(kernel, style.third_party_imports) == []


def test_public_names_have_docstrings() -> None:
    assert over(SOURCES, style.missing_docstrings) == []


def test_every_test_asserts_something() -> None:
    tests = [path for path in TESTS if path.name.startswith("test_")]
    assert over(tests, style.empty_tests) == []


def test_no_tracked_file_names_a_machine() -> None:
    assert over(style.tracked_text_files(ROOT), style.machine_names) == []


def test_no_module_is_in_an_import_cycle() -> None:
    graph = grimp.build_graph("engram", exclude_type_checking_imports=True)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert style.cycles(imports) == []


BAD: list[tuple[Callable[[str, str], Iterator[Finding]], str, str]] = [
    (style.long_files, "src/engram/a.py", "x = 1\n" * 401),
    (style.long_files, "src/engram/policies/a.py", "x = 1\n" * 151),
    (style.long_functions, "a.py", "def f():\n" + "    x = 1\n" * 40),
    (style.long_functions, "a.py", "class A:\n    async def f(self):\n" + "        x = 1\n" * 40),
    (style.wide_classes, "a.py", "class A:\n" + "".join(f"    def m{i}(self): ...\n" for i in range(16))),
    (
        style.wide_classes,
        "a.py",
        "class Memory:\n" + "".join(f"    def m{i}(self): ...\n" for i in range(26)),
    ),
    (style.broad_excepts, "src/engram/memory.py", "try:\n    f()\nexcept Exception:\n    raise\n"),
    (style.broad_excepts, "src/engram/memory.py", "try:\n    f()\nexcept:\n    raise\n"),
    (
        style.broad_excepts,
        "src/engram/memory.py",
        "try:\n    f()\nexcept (OSError, BaseException):\n    raise\n",
    ),
    (style.broad_excepts, "src/engram/memory.py", "with contextlib.suppress(Exception):\n    f()\n"),
    (style.mocks, "a.py", "from unittest import mock\n"),
    (style.mocks, "a.py", "import unittest.mock\n"),
    (style.mocks, "a.py", "from unittest.mock import patch\n"),
    (style.environment_reads, "src/engram/memory.py", "import os\nos.environ['A']\n"),
    (style.environment_reads, "src/engram/memory.py", "import os\nos.getenv('A')\n"),
    (style.environment_reads, "src/engram/memory.py", "from os import environ\n"),
    (style.third_party_imports, "src/engram/kernel/a.py", "def f():\n    import numpy\n"),
    (style.third_party_imports, "src/engram/kernel/a.py", "from engram.stores import ram\n"),
    (style.missing_docstrings, "a.py", "__all__ = ['f']\ndef f(): ...\n"),
    (
        style.missing_docstrings,
        "a.py",
        "__all__ = ['A']\nclass A:\n    '''A thing.'''\n    def go(self):\n        x = 1\n        return x\n",
    ),
    (style.empty_tests, "a.py", "def test_it():\n    run()\n"),
    (style.machine_names, "a.md", "see " + "/" + "home/someone/notes\n"),
    (style.machine_names, "a.lock", "--extra-index-" + "url https://example.org/simple\n"),
]


@pytest.mark.parametrize("gate, name, text", BAD)
def test_each_gate_can_fail(gate: Callable[[str, str], Iterator[Finding]], name: str, text: str) -> None:
    assert list(gate(name, text))


GOOD: list[tuple[Callable[[str, str], Iterator[Finding]], str, str]] = [
    (style.long_files, "src/engram/a.py", "x = 1\n" * 400),
    (style.long_functions, "a.py", "def f():\n" + "    x = 1\n" * 39),
    (
        style.wide_classes,
        "a.py",
        "class Memory:\n" + "".join(f"    def m{i}(self): ...\n" for i in range(25)),
    ),
    (style.wide_classes, "a.py", "class A:\n" + "".join(f"    def _m{i}(self): ...\n" for i in range(30))),
    (style.broad_excepts, "src/engram/kernel/drive.py", "try:\n    f()\nexcept BaseException:\n    raise\n"),
    (style.broad_excepts, "a.py", "try:\n    f()\nexcept (OSError, ValueError):\n    raise\n"),
    (style.environment_reads, "src/engram/config.py", "import os\nos.environ['A']\n"),
    (style.third_party_imports, "src/engram/kernel/a.py", "import json\nfrom engram.kernel import b\n"),
    (style.missing_docstrings, "a.py", "__all__ = ['f']\ndef f():\n    '''A thing.'''\ndef _g(): ...\n"),
    (style.empty_tests, "a.py", "def test_it():\n    with pytest.raises(KeyError):\n        run()\n"),
    (style.machine_names, "a.md", "https://example.org/home and ../shared/data\n"),
]


@pytest.mark.parametrize("gate, name, text", GOOD)
def test_no_gate_fails_what_is_allowed(
    gate: Callable[[str, str], Iterator[Finding]], name: str, text: str
) -> None:
    assert list(gate(name, text)) == []


def test_cycles_are_found() -> None:
    assert style.cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert style.cycles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def test_the_network_is_closed() -> None:
    import socket

    with pytest.raises(RuntimeError, match="no network"):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)
    with pytest.raises(RuntimeError, match="no network"):
        socket.getaddrinfo("example.org", 80)
