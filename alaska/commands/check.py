"""``alas check``: compile scripts without running them, and list the globals that nobody has set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from alaska.commands import settings, streams
from alaska.commands.lua_names import NotLua, globals_of
from alaska.commands.parsing import Parser
from alaska.commands.trial import Bench
from alaska.config import WorkerSettings
from alaska.lua.request import Request

_SCRIPT = "check.lua"
_DESCRIPTION = """\
Compile scripts and modules without running them, and list what is wrong: what
does not compile, cannot be read, or uses a global that neither a worker gives
nor the file itself sets."""


def parser() -> Parser:
    """Return what reads the command line."""
    result = Parser(
        prog="alas check",
        description=_DESCRIPTION,
        epilog="exit status: 0 if there is nothing to list, 1 if there is, 2 for a wrong command line\n\n"
        "example: alas check services/",
    )
    result.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="a .lua file, or a folder of them")
    settings.add_option(result)
    return result


def main(arguments: list[str]) -> None:
    """Run the command; the exit status is 1 when it has listed anything."""
    options = parser().parse_args(arguments)
    is_good = True
    with TemporaryDirectory() as folder:
        compiler = Compiler(settings.load(options.config), Path(folder))
        for path in options.paths:
            for file in files(path):
                is_good &= check(file, compiler)
        compiler.close()
    raise SystemExit(not is_good)


def files(path: Path) -> Iterator[Path]:
    """Yield the Lua files of a folder and the folders in it, in order; a file that is named, whatever its name."""
    if path.is_dir():
        yield from sorted(path.rglob("*.lua"))
    else:
        yield path


def check(file: Path, compiler: Compiler) -> bool:
    """Print what is wrong with a file, a line each; return whether nothing is."""
    try:
        source = without_first_line_comment(file.read_bytes())
    except OSError as error:
        streams.say(f"{file}: cannot be read: {error.strerror}")
        return False
    failure = compiler.failure(source, file)
    if failure:
        streams.say(failure)
        return False
    try:
        uses, sets = globals_of(source)
    except NotLua as error:
        streams.say(f"{file}: its globals cannot be listed: {error}")
        return False
    unknown = [use for use in uses if use.name not in compiler.known and use.name not in sets]
    for use in unknown:
        streams.say(f"{file}:{use.line}: unknown global '{use.name}'")
    return not unknown


def without_first_line_comment(source: bytes) -> bytes:
    """Return a source as Lua reads it from a file, with its lines where they were."""
    source = source.removeprefix(b"\xef\xbb\xbf")
    return source[source.find(b"\n") if b"\n" in source else len(source) :] if source.startswith(b"#") else source


class Compiler:
    """Lua, as the worker's settings have it: it compiles, and knows which globals a script gets."""

    def __init__(self, loaded: WorkerSettings, folder: Path) -> None:
        script = resources.files(__package__).joinpath(_SCRIPT).read_bytes()
        (folder / _SCRIPT).write_bytes(script)
        self._bench = Bench(loaded, folder)
        self.known = frozenset(self._ask(b"").split())

    def failure(self, source: bytes, file: Path) -> str:
        """Return why a source does not compile, with file and line, or nothing."""
        return self._ask(b"@" + os.fsencode(file), source).strip()

    def _ask(self, *frames: bytes) -> str:
        outcome = self._bench.run(Request(b"", b"", b"check", b"", frames))
        if outcome.error is not None:
            raise outcome.error
        return outcome.output.decode("utf-8", "backslashreplace")

    def close(self) -> None:
        """Let go of the interpreter."""
        self._bench.close()
