"""The site is built without a warning or a network, its links lead somewhere, nothing public is missing."""

import os
import re
import subprocess
import sys
import zlib
from html import unescape
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import FunctionType
from urllib.parse import unquote

import pytest

import engram
from engram.client import AsyncClient

ROOT = Path(__file__).resolve().parents[2]
# What the reference shows; everything else may change at any time.
PUBLIC = {
    "engram",
    *(
        f"engram.kernel.{name}"
        for name in (
            "adrive", "changes", "chat", "clock", "drive", "effects", "errors", "keeping", "operations",
            "policy", "preselect", "protocols", "record", "schema", "scope", "triple",
        )
    ),
    "engram.client",
    "engram.formats",
    "engram.models",
    "engram.models.prices",
    "engram.operators.retrieval.recall",
    "engram.policies.a_mem",
    "engram.policies.bm25",
    "engram.policies.dense",
    "engram.policies.fusion",
    "engram.policies.mem0",
    "engram.policies.mem_alpha",
    "engram.policies.memory_r1",
    "engram.policies.memorybank",
    "engram.policies.mirix",
    "engram.policies.rag",
    "engram.policies.recency",
    "engram.policies.rrf",
    "engram.stores",
    *(
        f"engram.testing.{name}"
        for name in ("builders", "contract", "doubles", "faults", "machine", "plausible", "server")
    ),
}  # fmt: skip
INTERNAL = re.compile(
    r"engram\.(aio|aview|bench|bound|cli|config|engine|memory|observe|operators|serve|upkeep|view|kernel\.(show|text))\b"
    r"|engram\.(client|formats|models|stores|policies)\.\w+"
    r"|engram\.testing\.(contract_\w+|driven|rules|strategies)"
)
TWINS = (engram.AsyncMemory, engram.AsyncView, AsyncClient)  # their methods are those of their twins
BUILD = "import conftest, mkdocs.__main__ as mkdocs; mkdocs.cli()"  # conftest closes the network


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Any warning fails the build."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "WARNING" not in said, said
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, str]:
    """The site's pages by their names."""
    return {str(path.relative_to(site)): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}


def anchors(html: str) -> set[str]:
    """The places of a page that a link can name."""
    return {unescape(id) for id in re.findall(r'\bid="([^"]+)"', html)}


def broken(links: list[str], page: str, places: dict[str, set[str]]) -> list[str]:
    """Those of a page's links that lead nowhere on the site."""
    found = []
    for link in links:
        path, _, anchor = unquote(unescape(link)).partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page  # noqa: PTH118, PTH120
        if target.endswith(".html") and (target not in places or (anchor and anchor not in places[target])):
            found.append(link)
    return found


def test_every_link_leads_somewhere(pages: dict[str, str]) -> None:
    places = {name: anchors(html) for name, html in pages.items()}
    lost = {
        name: broken(re.findall(r'href="(?!https?:|/)([^"]+)"', html), name, places)
        for name, html in pages.items()
        if name != "404.html"
    }
    assert {name: links for name, links in lost.items() if links} == {}


def test_the_readme_links_lead_somewhere(pages: dict[str, str]) -> None:
    places = {name: anchors(html) for name, html in pages.items()}
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []
    inside = [
        link.removeprefix("docs/").replace(".md", ".html") for link in links if link.startswith("docs/")
    ]
    assert broken(inside, "index.html", places) == []


def test_links_between_files_lead_somewhere() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
        assert [link for link in links if not (page.parent / link).exists()] == []


def test_reading_the_site_needs_no_network(site: Path, pages: dict[str, str]) -> None:
    loads = re.compile(r'<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')
    assert {name: loads.findall(html) for name, html in pages.items() if loads.search(html)} == {}
    sheets = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert [url for sheet in sheets for url in re.findall(r"url\((?:https?:)?//[^)]*\)", sheet)] == []


def documented(site: Path) -> set[str]:
    """The full names that the reference has a place for."""
    _, body = (site / "objects.inv").read_bytes().split(b"zlib.\n", 1)
    return {line.split()[0] for line in zlib.decompress(body).decode().splitlines()}


def names_of(module: str) -> list[tuple[str, set[str]]]:
    """What a module exports, each with the full names that it goes by in public."""
    loaded = import_module(module)
    return [
        (name, {f"{home}.{name}" for home in homes(name, getattr(loaded, name))})
        for name in getattr(loaded, "__all__", ())
    ]


def homes(name: str, value: object) -> set[str]:
    """The modules that a public name can be imported from, and the one that defines it."""
    public = {module for module in PUBLIC if getattr(import_module(module), name, None) is value}
    return public | {getattr(value, "__module__", "")}


def methods_of(kind: object) -> list[str]:
    """The public methods and properties that a class of engram's defines itself."""
    if not isinstance(kind, type) or kind in TWINS or not kind.__module__.startswith("engram."):
        return []
    defined = (FunctionType, property, classmethod, staticmethod)
    return [name for name, value in vars(kind).items() if name[0] != "_" and isinstance(value, defined)]


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_every_public_method_is_documented(module: str, site: Path) -> None:
    there = documented(site)
    loaded = import_module(module)
    missing = [
        f"{name}.{method}"
        for name, full in names_of(module)
        for method in methods_of(getattr(loaded, name))
        if not {f"{home}.{method}" for home in full} & there
    ]
    assert missing == []


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_every_public_name_is_documented(module: str, site: Path) -> None:
    there = documented(site)
    names = names_of(module)
    assert names, f"{module} exports nothing: give it an __all__"
    assert [name for name, full in names if not full & there] == []


def test_every_public_module_is_listed(pages: dict[str, str]) -> None:
    listed = pages["reference/index.html"]
    assert [
        module for module in PUBLIC if module not in listed and module.rpartition(".")[0] not in listed
    ] == []


def test_every_module_is_public_or_internal() -> None:
    modules = [found.name for found in walk_packages(engram.__path__, "engram.")]
    undecided = [
        name
        for name in modules
        if name not in PUBLIC
        and not INTERNAL.match(name)
        and not any(public.startswith(f"{name}.") for public in PUBLIC)
    ]
    assert undecided == []


def test_the_command_line_page_is_written(pages: dict[str, str]) -> None:
    assert "engram search" in pages["command-line.html"]
    assert "--explain" in pages["command-line.html"]


def test_no_page_is_in_the_menu_twice() -> None:
    lines = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2].splitlines()
    listed = [line.split()[-1] for line in lines if line.endswith(".md")]
    there = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted(there)


def test_the_picture_shows_every_floor() -> None:
    picture = (ROOT / "docs" / "pictures" / "architecture.svg").read_text(encoding="utf-8")
    packages = [path.name for path in (ROOT / "src" / "engram").iterdir() if (path / "__init__.py").exists()]
    assert [name for name in packages if not re.search(rf">[^<]*\b{name}\b", picture)] == []


def test_code_in_docstrings_runs(capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"^    (.*)$", engram.__doc__ or "", re.MULTILINE)
    namespace: dict[str, object] = {}
    exec("\n".join([*lines[:-1], f"print({lines[-1]})"]), namespace)  # noqa: S102 - our own docstring
    assert capsys.readouterr().out == "I moved to Lisbon in May.\n"
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    assert [source[:60] for source in sources if ">>> " in source] == []
