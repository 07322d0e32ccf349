"""Lua: the only module that imports lupa.

A script runs in an interpreter that its thread keeps; the Lua side of that (``prologue.lua`` and its parts) gives each
request a world of its own, and ends scripts that go beyond a limit. Nothing of Python is reachable from a script,
because nothing of Python is ever handed to Lua: octets and numbers go in, octets and numbers come back when the script
has ended.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

import lupa

from alaska.errors import ScriptError, WrongLua
from alaska.worker.options import LuaOptions
from alaska.worker.paths import join_paths, module_paths
from alaska.worker.request import Outcome, Request, Send, SendKind
from alaska.worker.scripts import Script

if TYPE_CHECKING:
    from lupa import lua54

__all__ = ["LuaRunner", "Outcome", "Request", "Send", "SendKind"]

MODULES = {"5.4": "lupa.lua54", "luajit": "lupa.luajit21"}
_PARTS = (
    *("limits", "clock", "instrument", "chunks", "trace", "describe", "console", "sending", "modules", "leaving"),
    "guards",
    *("globals", "fenv", "sandbox", "trusted", "environment"),
)
_PARTS_AS_TEXT = ("cjson", "json_encode", "json_decode", "pretty", "utf8")
_FIELDS_OF_A_SEND = 6
_SHORT_OCTETS = 64 * 1024
_UNFIT, _FIT_WITH_MEMORY_TO_GIVE_BACK = 0, 2


class Lupa(Protocol):
    """A module of lupa: one version of Lua."""

    LuaRuntime: type[lua54.LuaRuntime]
    LuaError: type[Exception]


class LuaRunner:
    """Runs scripts for one thread: never two at once, and any number one after the other.

    No script sees anything of the ones before it. All runners of a process have the same version of Lua.

    :raises WrongLua: another version runs in this process.
    """

    def __init__(self, options: LuaOptions = LuaOptions()) -> None:  # noqa: B008  # it is frozen
        self._options = options
        self._module = lupa_module(options.version)
        self._lua: _Interpreter | None = None

    def run(self, script: Script, request: Request) -> Outcome:
        """Run a script for a request; whatever the script does, this returns what came of it and does not raise.

        Modules that the script requires are looked for next to it first.
        """
        lua = self._lua
        if lua is None:
            lua = self._lua = _Interpreter(self._module, self._options)
        try:
            outcome = lua.run(script, request.context)
        except (self._module.LuaError, MemoryError) as error:
            # The Lua side catches what scripts do, so this is a fault of ours, or a want of memory at a bad moment.
            outcome, lua.is_fit = Outcome(error=ScriptError(f"{script.path}: Lua failed: {error}")), False
        if not lua.is_fit:
            self._lua = lua = None
            _trim_memory()
        return outcome

    def close(self) -> None:
        """Let go of the interpreter; a later :meth:`run` makes a new one."""
        self._lua = None


class _Interpreter:
    """One Lua state and the scripts that are compiled in it. ``is_fit`` tells whether it can run another one.

    Its memory is not limited while anything but a short context is handed over: that is not guarded, and a failure
    would end the process. The Lua side sees to it that between two runs there is room for a short one.
    """

    def __init__(self, module: Lupa, options: LuaOptions) -> None:
        self._lua = lua = module.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_refuse_attribute,
            max_memory=0,
        )
        sources = {name.encode(): _part(options.version, name) for name in _PARTS}
        sources |= {name.encode(): _source(name) for name in _PARTS_AS_TEXT}
        settings = lua.table_from(_lua_settings(options))
        functions = lua.execute(_part(options.version, "prologue"), settings, lua.table_from(sources), mode="b")
        self._compile, self._hold, self._run, self._rescue, self._details, self._more = functions
        self._compiled: dict[bytes, Script] = {}
        self.is_fit = True
        used = lua.get_memory_used(total=True)
        self._limit = used + options.memory_octets if options.memory else 0
        lua.set_max_memory(self._limit, total=True)

    def run(self, script: Script, context: bytes) -> Outcome:
        """Run a script and return what came of it."""
        name = script.name
        given: bytes | None = context
        if self._compiled.get(name) is not script or len(context) > _SHORT_OCTETS:
            self._lua.set_max_memory(0)
            failure = self._prepare(script, context)
            self._lua.set_max_memory(self._limit, total=True)
            if failure is not None:
                return Outcome(error=failure)
            given = None
        try:
            values = self._run(name, given)
        except MemoryError:
            values = None
        if values is True:
            return Outcome()
        self._lua.set_max_memory(0)
        outcome = self._outcome(self._rescue() if values is None else values)
        self._lua.set_max_memory(self._limit, total=True)
        return outcome

    def _prepare(self, script: Script, context: bytes) -> ScriptError | None:
        """Hand over a context and compile a script that is new."""
        self._hold(context)
        known = self._compiled.get(script.name)
        if known is None or known.version != script.version:
            self._compiled.pop(script.name, None)
            path = os.fsencode(script.path)
            message = self._compile(script.name, script.source, path, os.path.dirname(path) or b".")
            if message is not None:
                return self._script_error(message)
        self._compiled[script.name] = script
        return None

    def _outcome(self, values: tuple[Any, ...]) -> Outcome:
        fitness, message, output, count, *fields = values
        self.is_fit = fitness != _UNFIT
        if fitness == _FIT_WITH_MEMORY_TO_GIVE_BACK:
            _trim_memory()
        error = None if message is None else self._script_error(message)
        while len(fields) < count:
            fields.extend(self._more(len(fields)))
        return Outcome(tuple(_sends(fields)), output, error)

    def _script_error(self, message: bytes) -> ScriptError:
        file, line, limit, traceback = self._details(message)
        return ScriptError(
            _text(message),
            file=None if file is None else _text(file),
            line=None if line is None else int(line),
            traceback=tuple(_text(traceback).split("\n")) if traceback else (),
            limit=None if limit is None else _text(limit),
        )


@functools.cache
def _malloc_trim() -> Callable[[int], object]:
    """Return what gives memory that is free back to the system, where the C library has that."""
    return getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)


def _trim_memory() -> None:
    """Give back what was let go of; the C library would keep it for what comes next."""
    _malloc_trim()(0)


def _lua_settings(options: LuaOptions) -> dict[bytes, bytes | int | bool]:
    path, cpath = module_paths(os.environ, options.version) if options.system_modules else ("", "")
    return {
        b"sandbox": options.sandbox,
        b"timeout": options.timeout,
        b"memory": options.memory,
        b"output": options.output,
        b"sends": options.sends,
        b"sends_size": options.sends_size,
        b"modules": os.fsencode(" ".join(options.modules)),
        b"path": os.fsencode(join_paths(options.path, path)),
        b"cpath": os.fsencode(join_paths(options.cpath, cpath)),
        b"seed": secrets.randbits(63),
    }


def _sends(values: list[Any]) -> Iterator[Send]:
    for start in range(0, len(values), _FIELDS_OF_A_SEND):
        is_stream, topic, subject, sender, content, attachment = values[start : start + _FIELDS_OF_A_SEND]
        kind = SendKind.STREAM if is_stream else SendKind.MAILBOX
        frames = (content,) if attachment is False else (content, attachment)
        yield Send(kind, topic, subject, frames, sender)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


def _refuse_attribute(_object: object, name: object, _is_setting: bool) -> NoReturn:
    raise AttributeError(f"no access to {name!r}")


def lupa_module(version: str) -> Lupa:
    """Return lupa's module for a version of Lua.

    Lua's C modules look for the interpreter's functions among the global symbols of the process, so the interpreter has
    to be loaded in this way, and at its first import. Only one Lua may be loaded so: two would mix up their symbols.
    """
    wanted = MODULES[version]
    for name in MODULES.values():
        if name != wanted and name in sys.modules:
            raise WrongLua(f"this process runs {name} already, and cannot run {wanted} as well")
    try:
        with lupa.allow_lua_module_loading():
            return cast(Lupa, importlib.import_module(wanted))
    except ImportError as error:
        raise WrongLua(f"the installed lupa has no {wanted}: {error}") from error


def _source(name: str) -> bytes:
    return resources.files(__package__).joinpath(f"{name}.lua").read_bytes()


@functools.cache
def _part(version: str, name: str) -> bytes:
    """Return a Lua file of ours, compiled: from that, a new interpreter is made in half the time."""
    dump = b"local name, source = ... return string.dump(assert((loadstring or load)(source, name)))"
    compiled: bytes = (
        lupa_module(version).LuaRuntime(encoding=None).execute(dump, f"=[alaska {name}]".encode(), _source(name))
    )
    return compiled
