"""The style gates: each takes a file's name and text and yields what breaks its limit."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

FILE_LINES, POLICY_LINES, FUNCTION_LINES = 400, 150, 40
PUBLIC_METHODS, FACE_METHODS = 15, 25
FACES = {"Memory", "AsyncMemory"}
BROAD = {"Exception", "BaseException"}
BROAD_ALLOWED = ("src/engram/kernel/drive.py", "src/engram/kernel/adrive.py", "src/engram/serve/edge.py")
Function = ast.FunctionDef | ast.AsyncFunctionDef

# Built from parts, so that this file does not find itself.
MACHINE_NAMES = re.compile(
    r"(?<![\w.:/-])/(?:" + "home|root|Users|work|mnt|srv" + r")/\w"
    r"|(?:--)?(?:extra-)?index-" + r"url\b"
    r"|find-" + r"links\s*[=/]"
    r"|\bfile:" + r"///(?!path)\w"
)


class Finding(NamedTuple):
    """A place that breaks a limit."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


def _walk(text: str) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(text))


def long_files(name: str, text: str) -> Iterator[Finding]:
    """Files over 400 lines, policies over 150."""
    limit = POLICY_LINES if name.startswith("src/engram/policies/") else FILE_LINES
    if (lines := text.count("\n")) > limit:
        yield Finding(name, lines, f"{lines} lines, at most {limit}: split it")


def long_functions(name: str, text: str) -> Iterator[Finding]:
    """Functions over 40 lines from `def` to the last, decorators aside."""
    for node in _walk(text):
        if (
            isinstance(node, Function)
            and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
        ):
            yield Finding(name, node.lineno, f"{node.name} has {lines} lines, at most {FUNCTION_LINES}")


def wide_classes(name: str, text: str) -> Iterator[Finding]:
    """Classes with more than 15 public methods and properties; the two faces may have 25."""
    for node in _walk(text):
        if isinstance(node, ast.ClassDef):
            public = {item.name for item in node.body if isinstance(item, Function) and item.name[0] != "_"}
            limit = FACE_METHODS if node.name in FACES else PUBLIC_METHODS
            if len(public) > limit:
                yield Finding(
                    name, node.lineno, f"{node.name} has {len(public)} public methods, at most {limit}"
                )


def _names(node: ast.expr | None) -> set[str]:
    """The last parts of the exception names in an `except` clause or a call."""
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return {part.id if isinstance(part, ast.Name) else getattr(part, "attr", "") for part in parts if part}


def broad_excepts(name: str, text: str) -> Iterator[Finding]:
    """`except:`, `except Exception` and `suppress(Exception)` outside the driver and the server's edge."""
    if name in BROAD_ALLOWED:
        return
    for node in _walk(text):
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _names(node.type) & BROAD):
            yield Finding(name, node.lineno, "broad except: name what can be raised here")
        elif (
            isinstance(node, ast.Call)
            and "suppress" in _names(node.func)
            and _names(ast.Tuple(node.args)) & BROAD
        ):
            yield Finding(name, node.lineno, "broad suppress: name what can be raised here")


def _imports(text: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported; `from a import b` gives `a.b`."""
    for node in _walk(text):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def mocks(name: str, text: str) -> Iterator[Finding]:
    """Imports of unittest.mock and its kin."""
    for line, module in _imports(text):
        if re.match(r"unittest\.mock|mock\b|pytest_mock", module):
            yield Finding(name, line, "mocks test the wiring: script an outside world with replay or a fake")


def environment_reads(name: str, text: str) -> Iterator[Finding]:
    """Uses of os.environ and os.getenv outside config.py."""
    if name == "src/engram/config.py":
        return
    for node in _walk(text):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "getenvb"}:
            yield Finding(name, node.lineno, "the environment is read in engram/config.py only")
    for line, module in _imports(text):
        if module in {"os.environ", "os.getenv"}:
            yield Finding(name, line, "the environment is read in engram/config.py only")


def third_party_imports(name: str, text: str) -> Iterator[Finding]:
    """Imports, at any depth of the code, of anything but the standard library and the kernel."""
    for line, module in _imports(text):
        inside = module == "engram.kernel" or module.startswith("engram.kernel.")
        if not inside and module.partition(".")[0] not in sys.stdlib_module_names:
            yield Finding(name, line, f"the kernel imports {module}")


def _exported(tree: ast.Module) -> set[str]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            value = getattr(node, "value", None)
            if isinstance(value, ast.List | ast.Tuple):
                return {item.value for item in value.elts if isinstance(item, ast.Constant)}  # type: ignore[misc]
    return set()


def missing_docstrings(name: str, text: str) -> Iterator[Finding]:
    """What `__all__` exports without a docstring: functions, classes, and methods that are no one-liners."""
    tree = ast.parse(text)
    exported = _exported(tree)
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and node.name in exported:
            inside = node.body if isinstance(node, ast.ClassDef) else []
            methods = [item for item in inside if isinstance(item, Function) and item.name[0] != "_"]
            for item in (node, *(method for method in methods if len(method.body) > 1)):
                overload = any("overload" in _names(mark) for mark in item.decorator_list)
                if ast.get_docstring(item) is None and not overload:
                    yield Finding(name, item.lineno, f"{item.name} is public and has no docstring")


def _checks(node: ast.AST) -> bool:
    """Whether a node asserts: `assert`, `pytest.raises` and its kin, a helper named `check…` or `assert…`."""
    if isinstance(node, ast.Call):
        called = "".join(_names(node.func))
        return called in {"raises", "warns", "fail", "assert_type"} or called.startswith(("check", "assert"))
    return isinstance(node, ast.Assert)


def empty_tests(name: str, text: str) -> Iterator[Finding]:
    """Tests with nothing in them that can fail but an exception."""
    for node in _walk(text):
        if (
            isinstance(node, Function)
            and node.name.startswith("test_")
            and not any(map(_checks, ast.walk(node)))
        ):
            yield Finding(name, node.lineno, f"{node.name} asserts nothing")


def machine_names(name: str, text: str) -> Iterator[Finding]:
    """Absolute paths of somebody's machine, and package hosts."""
    for number, line in enumerate(text.splitlines(), 1):
        if match := MACHINE_NAMES.search(line):
            yield Finding(name, number, f"{match[0]!r} is a path or host of one machine")


def tracked_text_files(root: Path) -> list[Path]:
    """The files that git tracks and that are text; none where this is no git checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False)  # noqa: S607
    paths = [root / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def cycles(imports: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other; shapes as `{importer: {imported, …}}`."""
    reach = {module: _reachable(module, imports) for module in imports}
    groups = {
        tuple(sorted(other for other in reach[module] if module in reach.get(other, ())))
        for module in imports
        if module in reach[module]
    }
    return [list(group) for group in sorted(groups)]


def _reachable(start: str, imports: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(imports.get(start, ()))
    while waiting:
        if (module := waiting.pop()) not in seen:
            seen.add(module)
            waiting.extend(imports.get(module, ()))
    return seen
