"""Read the pages of the site and run what they show: commands with their output, files, programs in other terminals.

A page has these blocks, each of which may follow an HTML comment that says what it is:

- ``console``: after ``$`` a command, which is run, then its output, which is compared. ``...`` stands for any text.
- ``<!-- terminal: NAME -->`` before one: the command goes on running; its output is awaited. ``<!-- stop: NAME -->``
  ends it.
- ``<!-- file: NAME -->``: a file that is written.
- ``<!-- lua -->`` and ``<!-- output -->``: a script that is run by itself; text that a program has printed.
- ``<!-- not run: REASON -->``: what a test cannot run.

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
    r"^<!-- (?P<mark>(?:file|terminal|stop|not run): [^>]+?|system|lua|output) -->\n"
    r"|^(?P<fence>```|~~~)(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_ALONE = ("system", "stop")
_DIRECTIVE = re.compile(r"\{(toctree|image|figure|eval-rst|automodule|grid|note|tip)\}")
_VARYING = (
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?", "TIME"),
    (r"\b\d{8}T\d{6}\b", "TIME"),
    (r"\b[0-9a-f]{16,32}\b", "ID"),
    (r"\b(\w{2,8})::[\w.-]+::\d+(-[0-9A-F]{4})?", r"\1::ADDRESS"),
    (r"\bprocess \d+\b", "process NUMBER"),
    (r"\b\d+(\.\d+)?( ?(us|ms|s|min|h|MB|KiB|MiB|GiB))\b", "AMOUNT"),
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
    names = ("tutorial", "concepts", "troubleshooting", "alas", "from-*", "howto/*")
    found = sorted(path for name in names for path in DOCS.glob(f"{name}.md"))
    return [*PROJECT.glob("README.md"), *found]


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a page, and the marks that stand alone. Directives of the site are left out."""
    kind, name = "", ""
    for found in _TOKEN.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found["mark"]:
            kind, _, name = found["mark"].partition(": ")
            if kind in _ALONE:
                yield Block(kind, name, "", "", line)
                kind, name = "", ""
        elif not _DIRECTIVE.match(found["language"]):
            language = found["language"].strip()
            yield Block(kind or ("run" if language == "console" else ""), name, language, found["text"], line)
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
