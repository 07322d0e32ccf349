"""Read the pages of the site and run what they show: commands with their output, files, programs in other terminals.

A page has these blocks, each of which may follow an HTML comment that says what it is:

- ``console``: after ``$`` a command, which is run, then its output, which is compared. ``...`` stands for any text. A
  variable that a command sets (``NAME=...``) is known to the commands after it.
- ``<!-- terminal: NAME -->`` before one: the command goes on running; its output is awaited. ``<!-- stop: NAME -->``
  ends it.
- ``<!-- file: NAME -->``: a file that is written.
- ``<!-- settings: NAME -->``: a settings file, or a part of one, which is written, and checked by its program.
- ``<!-- lua -->`` and ``<!-- output -->``: a script that is run by itself; text that a program has printed.
- ``<!-- tested: MODULE -->``: what this module of tests reads and checks, such as commands for root.
  ``<!-- tested lua: MODULE -->`` says so of all blocks of a language from there on.
- ``<!-- syntax -->``: the form of something, which is no code.
- ``<!-- not run: REASON -->``: what a test cannot run.

Blocks may be indented, as in a list.

``<!-- system -->`` starts a worker with a broker, with ``alaska.cfg`` and, if the page has one, ``malamute.cfg``.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests import PROJECT

DOCS = PROJECT / "docs"
_TOKEN = re.compile(
    r"^[ ]*<!-- (?P<mark>(?:file|settings|terminal|stop|tested(?: \w+)?|not run): [^>]+?|system|lua|output|syntax)"
    r" -->\n"
    r"|^(?P<indent>[ ]*)(?P<fence>```|~~~)(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_INDENTED = re.compile(r"(?<=\n\n) {4}(?![-*] |\d+\. )\S")
_ALONE = ("system", "stop")
_DIRECTIVE = re.compile(r"\{(toctree|image|figure|eval-rst|automodule|grid|note|tip)\}")
RANDOM = re.compile(r"(?<![\w-])(?:[0-9a-f]{16,64}|[\w-]{43})(?![\w-])")
"""Trackers, hashes and tokens. Where a page has one that a command has printed, later commands get the real one."""
_VARYING = (
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?", "TIME"),
    (r"\b\d{8}T\d{6}\b", "TIME"),
    (RANDOM.pattern, "ID"),
    (r"\b1[5-9]\d{8}\.\d+\b", "TIME"),
    (r"\b(\w{2,8})::[\w.-]+::\d+(-[0-9A-F]{4})?", r"\1::ADDRESS"),
    (r"\bprocess \d+\b", "process NUMBER"),
    (r"\b\d+(\.\d+)?( ?(us|ms|s|min|m|h|d|MB|KiB|MiB|GiB))\b", "AMOUNT"),
    (rf"\b{re.escape(socket.gethostname())}\b", "box"),
    (r"\b\d+(\.\d+)?/s", "RATE"),
    (r"[ \t]+", " "),
)


class Block(NamedTuple):
    """A fenced block, or a mark that stands alone: what it is, its language, its text, its line."""

    kind: str
    name: str
    language: str
    text: str
    line: int


class Step(NamedTuple):
    """A command, and the lines that it prints."""

    command: str
    output: list[str]


def pages() -> list[Path]:
    """Return the pages all of whose blocks are run."""
    found = sorted(
        path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in ("generated", "_build")
    )
    names = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")
    return found + [PROJECT / name for name in names if (PROJECT / name).exists()]


def indented_blocks(text: str) -> list[int]:
    """Return the lines of blocks of code without a fence, which can have neither a mark nor a language."""
    without = _TOKEN.sub(lambda found: "x" + "\n" * found[0].count("\n"), text)
    return [without.count("\n", 0, found.start()) + 1 for found in _INDENTED.finditer(without)]


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a page, and the marks that stand alone. Directives of the site are left out."""
    kind, name = "", ""
    tested: dict[str, str] = {}
    for found in _TOKEN.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found["mark"]:
            kind, _, name = found["mark"].partition(": ")
            if kind in _ALONE:
                yield Block(kind, name, "", "", line)
                kind, name = "", ""
            elif kind.startswith("tested "):
                tested[kind.removeprefix("tested ")] = name
                kind, name = "", ""
        elif not _DIRECTIVE.match(found["language"]):
            language = found["language"].strip()
            code = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
            if not kind and language in tested:
                kind, name = "tested", tested[language]
            yield Block(kind or ("run" if language == "console" else ""), name, language, code, line)
            kind, name = "", ""


def steps(text: str) -> list[Step]:
    """Return the commands of a block."""
    found: list[Step] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command += f"\n{next(lines)}"
            found.append(Step(command, []))
        else:
            assert found, f"output before the first command: {line}"
            found[-1].output.append(line)
    return found


def without_varying(text: str) -> str:
    """Return text with times, ids and amounts replaced, which differ from run to run."""
    for pattern, word in _VARYING:
        text = re.sub(pattern, word, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def is_shown(expected: str, printed: str) -> bool:
    """Return whether a program has printed what a page shows."""
    pattern = re.escape(without_varying(expected)).replace(re.escape("...") + "\\\n", r"(?:.*\n)*?")
    pattern = pattern.replace("\\\n" + re.escape("..."), r"(?:\n.*)*").replace(re.escape("..."), r".*")
    return re.fullmatch(pattern, without_varying(printed)) is not None
