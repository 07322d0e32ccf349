"""The reference of ``alas``, made from the commands themselves: pages of the site, which are the man pages, too."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from alaska.commands.alas import SECTIONS, alas
from alaska.commands.command import Group


def man_pages() -> list[tuple[str, str, str, str, int]]:
    """Return the man pages: source, name, what it says in a line, authors, section."""
    pages = [("generated/alas/index", "alas", "send requests to services, and look after them", "", 1)]
    for entries in SECTIONS.values():
        for name, entry in entries.items():
            summary = entry.short_help.rstrip(".")
            pages.append((f"generated/alas/{name}", f"alas-{name}", summary[:1].lower() + summary[1:], "", 1))
    return pages


def write_alas_pages(folder: Path) -> None:
    """Write a page for each command, and one that lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for entries in SECTIONS.values() for name in entries]
    for old in folder.glob("*.md"):
        if old.stem not in {*names, "index"}:
            old.unlink()
    context = click.Context(alas, info_name="alas", **alas.context_settings)
    for name in names:
        command = alas.get_command(context, name)
        assert command is not None, name
        page = "\n".join(_command(command, f"alas {name}", context, 1))
        folder.joinpath(f"{name}.md").write_text(page, encoding="utf-8")
    folder.joinpath("index.md").write_text("\n".join(_index(context)), encoding="utf-8")


def _index(context: click.Context) -> Iterator[str]:
    yield from ("# alas", "", *_prose(inspect.cleandoc(alas.help or "")), "")
    for title, entries in SECTIONS.items():
        yield from (f"## {title}", "")
        for name, entry in entries.items():
            yield from (f"[`alas {name}`]({name}.md)", f": {_escaped(entry.short_help)}", "")
    yield from ("## Options", "", *_options(alas, context))
    listed = "\n".join(name for entries in SECTIONS.values() for name in entries)
    yield from ("```{toctree}", ":hidden:", "", listed, "```", "")


def _command(command: click.Command, path: str, parent: click.Context, level: int) -> Iterator[str]:
    """Yield the lines of a command, and of those below it."""
    context = click.Context(command, info_name=path.rsplit(maxsplit=1)[-1], parent=parent, **command.context_settings)
    yield from ("#" * level + f" {path}", "")
    usage = " ".join(command.collect_usage_pieces(context))
    yield from ("#" * (level + 1) + " Synopsis", "", "```text", f"{path} {usage}", "```", "")
    yield from (*_prose(inspect.cleandoc(command.help or "")), "")
    options = list(_options(command, context))
    if options:
        yield from ("#" * (level + 1) + " Options", "", *options)
    if command.epilog and not isinstance(command, Group):
        yield from ("#" * (level + 1) + " Exit status and examples", "", "```text", command.epilog.rstrip(), "```", "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, name
            yield from _command(below, f"{path} {name}", context, level + 1)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None:
            yield from (f"`{record[0]}`", f": {_escaped(record[1])}", "")


def _prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; indented ones are commands."""
    for paragraph in text.split("\n\n"):
        lines = paragraph.replace("\b\n", "").splitlines()
        if lines and all(line.startswith(" ") for line in lines):
            yield from ("```text", inspect.cleandoc("\n" + "\n".join(lines)), "```", "")
        else:
            yield from (_escaped(" ".join(lines)), "")


def _escaped(text: str) -> str:
    """Return text with what Markdown would read as markup escaped, and links to the documents that it names."""
    escaped = re.sub(r"([\\*_<>\[\]|#~`])", r"\\\1", text)
    return re.sub(r"\bdocs/([a-z]+)\.md\b", r"[\1](/\1.md)", escaped)
