"""Lua: the only module that imports lupa.

A script runs in an interpreter that its thread keeps; the Lua side of that (``prologue.lua`` and its parts) gives each
request a world of its own. Nothing of Python is reachable from a script, because nothing of Python is ever handed to
Lua: octets and numbers go in, octets and numbers come back when the script has ended.

Scripts are trusted: they may use files and programs, and nothing stops one that never ends.
"""

from __future__ import annotations

import functools
import os
import platform
import secrets
import sys
import sysconfig
from collections.abc import Mapping
from importlib import resources
from typing import Any, NoReturn

import lupa

from alaska import __version__
from alaska.errors import ScriptBroken, ScriptError
from alaska.settings import Section
from alaska.worker.calls import ERROR, NONE, OK, pack, unpack
from alaska.worker.request import Call, LogLine, Outcome, Request, Send, SendKind
from alaska.worker.scripts import Script, Version

# Lua's C modules look for the interpreter's functions among the global symbols of the process, so the interpreter has
# to be loaded in this way, and at its first import. Only one Lua may be loaded so: two would mix up their symbols.
with lupa.allow_lua_module_loading():
    from lupa import lua54

__all__ = ["LuaRunner", "Outcome", "Request", "Send", "SendKind", "module_paths"]

OUTPUT_LIMIT_OCTETS = 1024 * 1024
_PARTS = ("console", "sending", "modules", "api", "environment", "cjson", "json_encode", "json_decode", "pretty")
_FIELDS_OF_A_SEND = 5  # and the frames
_LOG = b"log"
_KINDS = {kind.value.encode(): kind for kind in SendKind}
_FRAMES_AT_ONCE = 200  # Lua's stack has an end
_IS_GOOD = {OK: True, NONE: None, ERROR: False}
_LUA_VERSION = "5.4"


class LuaRunner:
    """Runs scripts for one thread: never two at once, and any number one after the other.

    No script sees anything of the ones before it. ``output_limit`` is how many octets a script may print; with
    ``system_modules`` false, scripts find no Lua modules of the system, so they get Alaska's own ``cjson`` and
    ``pl.pretty``. ``call`` answers what scripts ask of the worker, and ``config`` is what they find in
    ``alaska.config``.
    """

    def __init__(
        self,
        *,
        output_limit: int = OUTPUT_LIMIT_OCTETS,
        system_modules: bool = True,
        call: Call | None = None,
        config: Section = (),
    ) -> None:
        self._output_limit = output_limit
        self._paths = module_paths(os.environ) if system_modules else ("", "")
        self._call = call if call is not None else _nobody_answers
        self._config = config
        self._lua: _Interpreter | None = None

    def run(self, script: Script, request: Request) -> Outcome:
        """Run a script for a request; whatever the script does, this returns what came of it and does not raise.

        Modules that the script requires are looked for next to it first.
        """
        if self._lua is None:
            self._lua = _Interpreter(self._output_limit, self._paths, self._config)
        try:
            outcome, is_fit = self._lua.run(script, request, self._call)
        except (lua54.LuaError, MemoryError) as error:
            # The Lua side catches what scripts do, so this is a want of memory at the worst possible moment.
            outcome, is_fit = Outcome(error=ScriptError(f"{script.path}: Lua failed: {error}")), False
        if not is_fit:
            self._lua = None
        return outcome

    def close(self) -> None:
        """Let go of the interpreter; a later :meth:`run` makes a new one."""
        self._lua = None


class _Interpreter:
    """One Lua state and the scripts that are compiled in it."""

    def __init__(self, output_limit: int, paths: tuple[str, str], config: Section) -> None:
        lua = lua54.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_refuse_attribute,
        )
        settings = lua.table_from(
            {
                b"output_limit": output_limit,
                b"path": os.fsencode(paths[0]),
                b"cpath": os.fsencode(paths[1]),
                b"seed": secrets.randbits(63),
                b"version": __version__.encode(),
                b"config": _table(lua, config),
            }
        )
        sources = lua.table_from({name.encode(): _part(name) for name in _PARTS})
        functions = lua.execute(_part("prologue"), settings, sources, mode="b")
        self._compile, self._run, self._answer, self._more, self._describe, self._add_frames = functions
        self._compiled: dict[bytes, tuple[Version, bool]] = {}

    def run(self, script: Script, request: Request, call: Call) -> tuple[Outcome, bool]:
        """Run a script; return what came of it, and whether this interpreter can run another."""
        name = script.name
        version, has_api = self._compiled.get(name, (None, False))
        if version != script.version:
            failure, has_api = self._load(script)
            if failure is not None:
                return Outcome(error=failure), True
        if has_api:
            self._tell(request)
        result = self._run(name, request.context)
        while result[0] is None:
            result = self._answer(*_answer(request, result[1:], call))
        is_fit, message, kilobytes, output, count, *values = result
        error = None if message is None else ScriptError(_text(message))
        if not count:
            return Outcome((), output, error, memory=round(kilobytes * 1024)), is_fit
        while len(values) < count:
            values.extend(self._more(len(values)))
        sends, log = _written_down(values)
        return Outcome(sends, output, error, log=log, memory=round(kilobytes * 1024)), is_fit

    def _load(self, script: Script) -> tuple[ScriptError | None, bool]:
        self._compiled.pop(script.name, None)
        path = os.fsencode(script.path)
        message, has_api = self._compile(script.name, script.source, path, os.path.dirname(path) or b".")
        if message is not None:
            return ScriptBroken(_text(message)), False
        self._compiled[script.name] = script.version, has_api
        return None, has_api

    def _tell(self, request: Request) -> None:
        frames = request.frames
        fields = request.subject, request.address, request.sender, request.sender_tracker, request.worker
        self._describe(*fields, request.attempt, None, *frames[:_FRAMES_AT_ONCE])
        for start in range(_FRAMES_AT_ONCE, len(frames), _FRAMES_AT_ONCE):
            self._add_frames(*frames[start : start + _FRAMES_AT_ONCE])


def _answer(request: Request, question: tuple[bytes, ...], call: Call) -> tuple[Any, ...]:
    """Return the answer to what a script asks of its worker, as Lua is to be given it."""
    word, *values = unpack(call(request, pack((b"", *question))))
    return _IS_GOOD[word], *values


def _nobody_answers(_request: Request, _octets: bytes) -> bytes:
    return pack((ERROR, b"there is no worker to ask"))


def _written_down(values: list[Any]) -> tuple[tuple[Send, ...], tuple[LogLine, ...]]:
    """Return what a script wants sent, and logged."""
    sends: list[Send] = []
    log: list[LogLine] = []
    start = 0
    while start < len(values):
        kind, topic, subject, sender, count = values[start : start + _FIELDS_OF_A_SEND]
        start += _FIELDS_OF_A_SEND
        frames = tuple(values[start : start + count])
        start += count
        if kind == _LOG:
            log.append(LogLine(topic.decode(), frames[0]))
        else:
            sends.append(Send(_KINDS[kind], topic, subject, frames, sender))
    return tuple(sends), tuple(log)


def _table(lua: lua54.LuaRuntime, section: Section) -> lua54.LuaObject:
    """Return a section of the configuration as a Lua table, with further ones in it."""
    return lua.table_from(
        {name.encode(): value.encode() if isinstance(value, str) else _table(lua, value) for name, value in section}
    )


def _text(message: bytes) -> str:
    return message.decode("utf-8", "backslashreplace")


def _refuse_attribute(_object: object, name: object, _is_setting: bool) -> NoReturn:
    raise AttributeError(f"no access to {name!r}")


@functools.cache
def _part(name: str) -> bytes:
    """Return a Lua file of ours, compiled: from that, a new interpreter is made in half the time."""
    source = resources.files(__package__).joinpath(f"{name}.lua").read_bytes()
    dump = b"local name, source = ... return string.dump(assert(load(source, name, 't')))"
    compiled: bytes = lua54.LuaRuntime(encoding=None).execute(dump, f"=[alaska {name}]".encode(), source)
    return compiled


def module_paths(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return where Lua modules and C modules are looked for, as Lua writes ``package.path`` and ``package.cpath``.

    These are the places where Lua, LuaRocks and Debian install them, or what ``LUA_PATH_5_4``, ``LUA_PATH``,
    ``LUA_CPATH_5_4`` and ``LUA_CPATH`` say, where ``;;`` stands for those places. Unlike Lua's own, they do not
    contain the working directory.
    """
    home = environ.get("HOME", "")
    roots = ["/usr/local", "/usr", *([f"{home}/.luarocks"] if home.startswith("/") else [])]
    lua = [
        f"{root}/{folder}/lua/{_LUA_VERSION}/{file}"
        for root in roots
        for folder in ("share", "lib")
        for file in ("?.lua", "?/init.lua")
    ]
    # Debian keeps libraries in a folder for each kind of machine.
    triplet = sysconfig.get_config_var("MULTIARCH") or f"{platform.machine()}-{sys.platform}-gnu"
    c = [f"{root}/{folder}/lua/{_LUA_VERSION}/?.so" for root in roots for folder in ("lib", f"lib/{triplet}")]
    return _path(environ, "LUA_PATH", lua), _path(environ, "LUA_CPATH", c)


def _path(environ: Mapping[str, str], variable: str, places: list[str]) -> str:
    default = ";".join(places)
    versioned = f"{variable}_{_LUA_VERSION.replace('.', '_')}"
    given = environ.get(versioned, environ.get(variable, ";;"))
    return given.replace(";;", f";{default};").strip(";")
