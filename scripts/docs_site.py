"""What mkdocs asks while it builds the site: the command line's page, and links that leave docs/.

The page of the command line is written from the commands themselves, so it cannot tell of an option that is
not there, nor forget one that is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

__all__ = ["COMMANDS_MARK", "commands", "examples", "on_page_markdown", "reference"]

COMMANDS_MARK = "<!-- commands -->"
_BOLD = re.compile(r"\[bold\](engram\b.*?)\[/bold\]", re.DOTALL)
_STYLE = re.compile(r"(?<!\\)\[/?[a-z ]+\]")
_INSTALLERS = ("install_completion", "show_completion")  # hidden, as `engram completion` is the way to them
_OUTWARD = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)([^)#]+)(?:#[^)]*)?\)")
_TYPES = [
    (re.compile(r" <list\[[^\]]*\]>$"), "..."),
    (re.compile(r"(?<=^)([A-Z-]+) <[^>]*>$"), r"\1"),
    (re.compile(r"<str>$"), "TEXT"),
    (re.compile(r"<(?:int|float)\b[^>]*>$"), "NUMBER"),
    (re.compile(r"<[Pp]ath\b[^>]*>$"), "PATH"),
]
_BRACKETS = re.compile(r"\s*\[(default: [^\]]*|required|[^\]]*required)\]\s*$")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """A page's Markdown as the site needs it; mkdocs calls this for every page."""
    if COMMANDS_MARK in markdown:
        markdown = markdown.replace(COMMANDS_MARK, reference())
    deep = page.file.src_uri.count("/")
    return _OUTWARD.sub(lambda link: _outside(link, deep), markdown)


def _outside(link: re.Match[str], deep: int) -> str:
    """A link out of docs/ as text: the site has no such page, the repository has the file."""
    text, target = link[1], link[2]
    if link[0].count("../") <= deep:
        return link[0]
    return text if text.strip("`") == target else f"{text} (`{target}`)"


def commands(root: Any = None, path: str = "engram") -> Iterator[tuple[str, Any]]:
    """Every command below `root` (default: all of engram) with its full name, groups first."""
    if root is None:
        from engram.cli.app import app

        root = typer.main.get_command(app)
    for name, command in root.commands.items():
        if not getattr(command, "hidden", False):
            full = f"{path} {name}"
            yield full, command
            if hasattr(command, "commands"):
                yield from commands(command, full)


def examples(command: Any) -> list[str]:
    """The command lines that a command's help gives as examples: in bold, behind the word Example."""
    _, _, shown = (command.epilog or "").partition("Example")
    return [" ".join(found.replace("\\[", "[").split()) for found in _BOLD.findall(shown)]


def _besides(epilog: str) -> str:
    """An epilog as Markdown, its examples left out."""
    before, _, shown = epilog.partition("Example")
    rest = _BOLD.sub("", shown).strip("s:\n \N{MIDDLE DOT},;")
    return "\n\n".join(_told(part) for part in (before, rest) if part.strip())


def _told(text: str) -> str:
    """Text in rich's markup as Markdown: what is bold is code."""
    parts = re.split(r"\[bold\](.*?)\[/bold\]", " ".join(text.split()))
    return "".join(f"`{part}`" if place % 2 else _prose(part) for place, part in enumerate(parts))


def reference() -> str:
    """Markdown of every command: usage, what it does, arguments, options, examples."""
    from engram.cli.app import app

    root = typer.main.get_command(app)
    parts = ["## engram", *_body("engram", root)]
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, command in commands(root):
        top = name.split()[1]
        panels.setdefault(root.commands[top].rich_help_panel or "Commands", []).append((name, command))  # type: ignore[attr-defined]
    for panel, held in panels.items():
        parts.append(f"## {panel}")
        for name, command in held:
            parts += [f"### {name}", *_body(name, command)]
    return "\n\n".join(parts)


def _body(name: str, command: Any) -> Iterator[str]:
    """What stands under one command's heading."""
    context = typer.Context(command, info_name=name)
    yield f"```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```"
    yield _prose(command.help or "")
    rows = [(*record, item) for item in command.params if (record := item.get_help_record(context))]
    rows = [row for row in rows if not getattr(row[2], "hidden", False) and row[2].name not in _INSTALLERS]
    for title, kind in (("Argument", "argument"), ("Option", "option")):
        if table := [row for row in rows if row[2].param_type_name == kind]:
            yield _table(title, table)
    if found := examples(command):
        yield '```text title="Example"\n' + "\n".join(found) + "\n```"
    if rest := _besides(command.epilog or ""):
        yield rest


def _table(title: str, rows: list[tuple[str, str, Any]]) -> str:
    lines = [f"| {title} | | Default |", "|---|---|---|"]
    for names, told, _ in rows:
        note = _BRACKETS.search(told)
        default = note[1].removeprefix("default: ") if note else ""
        default = default if default in ("", "required") else f"`{default}`"
        for pattern, plain in _TYPES:
            names = pattern.sub(plain, names)  # noqa: PLW2901
        lines.append(f"| `{_cell(names)}` | {_cell(_prose(_BRACKETS.sub('', told)))} | {_cell(default)} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _prose(text: str) -> str:
    """Help text as Markdown: nothing in it is markup."""
    plain = _STYLE.sub("", text).replace("\\[", "[")
    return re.sub(r"([*_<>\[\]])", r"\\\1", plain)
