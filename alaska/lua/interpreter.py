"""Lua: the only module that imports lupa.

A script runs in an interpreter that its thread keeps; the Lua side of that (``prologue.lua`` and its parts) gives each
request a world of its own, and ends scripts that go beyond a limit. Nothing of Python is reachable from a script,
because nothing of Python is ever handed to Lua: octets and numbers go in, octets and numbers come back when the script
has ended, or when it waits for something that the worker is asked for.
"""

from __future__ import annotations

import functools
import importlib
import os
import secrets
import sys
import time
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

import lupa

from alaska import __version__
from alaska.errors import ScriptBroken, ScriptError, WrongLua
from alaska.lua.module_files import find_module
from alaska.lua.options import LuaOptions
from alaska.lua.paths import join_paths, module_paths
from alaska.lua.questions import ERROR, MODULE, NONE, OK, Frames, pack, unpack
from alaska.lua.request import Call, Outcome, Request, Send, SendKind
from alaska.lua.scripts import Script
from alaska.lua.telling import worded, written_down
from alaska.system.memory import Waste

if TYPE_CHECKING:  # What runs in a child process starts without what reads settings.
    from lupa import lua54

    from alaska.config.entries import Section

__all__ = ["LuaRunner", "Outcome", "Request", "Send", "SendKind"]

MODULES = {"5.4": "lupa.lua54", "luajit": "lupa.luajit21"}
_FOLDERS = ("limits", "world", "text", "modules")
_WITH_CHECKS = frozenset(("cjson", "json_encode", "json_decode", "matching", "pretty", "searching", "tables", "utf8"))
"""The Lua files that check the time as scripts do: each interpreter compiles them anew, from their text."""
MOST_LINE_DIGITS = 9
_FRAMES_AT_ONCE = 200  # Lua's stack has an end
_IS_GOOD = {OK: True, NONE: None, ERROR: False}
SHORT_OCTETS = 64 * 1024
"""So much context can be handed over while memory is limited."""
MOST_MESSAGE_OCTETS = 64 * 1024
"""What is longer in an error's message is left out."""
LARGE_OCTETS = 4 * 1024 * 1024
_waste = Waste()
_UNFIT, _FIT_WITH_MEMORY_TO_GIVE_BACK, _READY = 0, 2, 3


class Lupa(Protocol):
    """A module of lupa: one version of Lua."""

    LuaRuntime: type[lua54.LuaRuntime]
    LuaError: type[Exception]


class MayBegin(Protocol):
    """Says of several scripts which may begin: ``path`` has an octet for each (:class:`alaska.pool.claims.Claims`)."""

    @property
    def path(self) -> bytes:
        """The file from which Lua reads an octet before it begins the next."""

    def keep_from_children(self) -> None:
        """Keep what Lua has opened from programs that scripts start."""


class LuaRunner:
    """Runs scripts for one thread: never two at once, and any number one after the other.

    No script sees anything of the ones before it. All runners of a process have the same version of Lua. ``call``
    answers what scripts ask of the worker, ``config`` is what they find in ``alaska.config``, and ``claims`` say how
    far :meth:`run_several` may go.

    :raises WrongLua: another version runs in this process.
    """

    def __init__(
        self,
        options: LuaOptions = LuaOptions(),  # noqa: B008  # it is frozen
        call: Call | None = None,
        config: Section = (),
        claims: MayBegin | None = None,
    ) -> None:
        self._options = options
        self._call = call if call is not None else _nobody_answers
        self._config = config
        self._claims = claims
        self._module = lupa_module(options.version)
        self._lua: _Interpreter | None = None

    def run(self, script: Script, request: Request) -> Outcome:
        """Run a script for a request; whatever the script does, this returns what came of it and does not raise.

        Modules that the script requires are looked for next to it first.
        """
        lua = self._lua
        if lua is None:
            lua = self._lua = _Interpreter(self._module, self._options, self._config, self._claims)
        context = request.context
        try:
            # First what is most frequent: a small script that comes to its end and leaves nothing to be told.
            if lua.compiled.get(script.name) is script and len(context) <= SHORT_OCTETS:
                values = lua.run(script.name, context)
                if values is True:
                    lua.quiet.add(script.name)
                    if not _waste.rounds:
                        return Outcome()
                else:
                    lua.quiet.discard(script.name)
                outcome = lua.outcome(lua.converse(values, request, self._call))
            else:
                outcome = lua.prepare_and_run(script, request, self._call)
        except (self._module.LuaError, MemoryError) as error:
            outcome = self._rescued(lua, os.fsdecode(script.path), error)
        except BaseException:  # Who answers has failed, and left a run that has not ended.
            self._lua = None
            raise
        return self._left(lua, outcome)

    def is_quiet(self, name: bytes) -> bool:
        """Return whether the last run of a script left nothing to be told, so that :meth:`run_several` may pay."""
        lua = self._lua
        return lua is not None and lua.run_several is not None and name in lua.quiet

    def fits(self, script: Script) -> bool:
        """Return whether :meth:`run_several` can run a script: it is quiet, and compiled in this very version."""
        return self.is_quiet(script.name) and self._lua is not None and self._lua.compiled.get(script.name) is script

    def run_several(self, scripts: Sequence[Script], requests: Sequence[Request]) -> Outcome | None:
        """Run scripts that fit, of which the contexts have SHORT_OCTETS together, each for its request.

        That is done in order, until one leaves something to be told or the claims say that no other may begin. Return
        what came of the last that has begun, None if it left nothing to be told, as all before it.
        """
        lua = self._lua
        assert lua is not None
        assert lua.run_several is not None
        arguments: list[bytes] = []
        for script, request in zip(scripts, requests, strict=True):
            arguments += script.name, request.context
        try:
            values = lua.run_several(*arguments)
            if values is True and not _waste.rounds:
                return None
            if values is not True:
                lua.quiet.clear()  # which it was that tells something is found out anew
                if values is not None and values[0] is None:
                    values = lua.converse(values, requests[lua.position() - 1], self._call)
            outcome = lua.outcome(values)
        except (self._module.LuaError, MemoryError) as error:
            outcome = self._rescued(lua, "several scripts", error)
        except BaseException:  # Who answers has failed, and left a run that has not ended.
            self._lua = None
            raise
        return self._left(lua, outcome)

    def _left(self, lua: _Interpreter, outcome: Outcome) -> Outcome:
        """Let go of what a run has left behind; return what came of it."""
        if not lua.is_fit:
            self._lua = None
        if outcome.error is not None or outcome.memory > LARGE_OCTETS:
            _waste.note()
        if _waste.rounds:
            _waste.give_back()
        return outcome

    def _rescued(self, lua: _Interpreter, what: str, error: Exception) -> Outcome:
        """Return what can be told of a run that ended outside of its script."""
        lua.is_fit = False
        try:
            if isinstance(error, MemoryError):  # in our own part, while memory was limited
                return lua.outcome(None)
        except (self._module.LuaError, MemoryError) as another:
            error = another
        return Outcome(error=ScriptError(f"{what}: Lua failed: {error}"))

    def close(self) -> None:
        """Let go of the interpreter; a later :meth:`run` makes a new one."""
        self._lua = None


class _Interpreter:
    """One Lua state. ``is_fit`` tells whether it can run another script.

    ``compiled`` are the scripts that ``run(name, context)`` can run, unless they have the table ``alaska``; for None it
    takes the context that was handed over before. ``run_several(name, context, ...)`` is the same for several, None
    where it cannot be. ``quiet`` are the names of scripts whose last run left nothing to be told.

    Its memory is not limited while anything but a short context is handed over: that is not guarded, and a failure
    would end the process. The Lua side sees to it that between two runs there is room for a short one.
    """

    def __init__(self, module: Lupa, options: LuaOptions, config: Section, claims: MayBegin | None) -> None:
        self._lua = lua = module.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_refuse_attribute,
            max_memory=0,
        )
        sources = {name.encode(): _part(options.version, name) for name in _files()}
        more = {b"config": _table(lua, config), b"claims": None if claims is None else claims.path}
        settings = lua.table_from({**_lua_settings(options), **more})
        functions = lua.execute(_part(options.version, "prologue"), settings, lua.table_from(sources), mode="b")
        self._compile, self._hold, self.run, self.run_several, self._go_on, *others = functions
        self._hold_answer, self._rescue, *others = others
        if claims is not None:
            claims.keep_from_children()
        self._details, self._more, self._forget, self._describe, self._add_frames, self._position = others
        self._seconds = options.timeout / 1000 if options.timeout else None
        self.compiled: dict[bytes, Script] = {}
        self._with_api: dict[bytes, Script] = {}
        self.quiet: set[bytes] = set()
        self.is_fit = True
        used = lua.get_memory_used(total=True)
        self._limit = used + options.memory_octets if options.memory else 0
        lua.set_max_memory(self._limit, total=True)

    def prepare_and_run(self, script: Script, request: Request, call: Call) -> Outcome:
        """Run a script that may be new, or have the table ``alaska``, with a context of any length."""
        self._lua.set_max_memory(0)
        self._hold(request.context)
        failure = self._prepare(script)
        self._lua.set_max_memory(self._limit, total=True)
        if failure is not None:
            return Outcome(error=failure)
        if script.name in self._with_api:
            return self.outcome(self._run_with_api(script.name, request, call))
        return self.outcome(self.converse(self.run(script.name, None), request, call))

    def position(self) -> int:
        """Return which of several scripts is run, from 1 on."""
        return int(self._position())

    def outcome(self, values: Any) -> Outcome:  # noqa: ANN401  # whatever Lua has returned
        """Return what came of a run, given what Lua told of it: True if there is nothing to tell, None if memory was
        short.
        """
        if values is True:
            return Outcome()
        memory = self._lua.get_memory_used()
        # Each call into Lua lets go of Python's lock and waits for it again, so what is frequent ends without another.
        if values is not None and values[0] == _READY:
            _, _, output, _, *fields = values
            sends, log = written_down(fields)
            return Outcome(sends, output, log=log, memory=memory)
        self._lua.set_max_memory(0)
        outcome = self._outcome(self._rescue() if values is None else values)
        self._lua.set_max_memory(self._limit, total=True)
        outcome.memory = memory
        return outcome

    def _run_with_api(self, name: bytes, request: Request, call: Call) -> object:
        """Run a script that may ask what its request is, and the worker for more; as the Lua side does."""
        started = time.monotonic()
        deadline = None if self._seconds is None else time.time() + self._seconds
        fields = request.subject, request.address, request.sender, request.sender_tracker, request.worker
        frames = request.frames
        self._lua.set_max_memory(0)
        self._describe(*fields, request.attempt, deadline, *frames[:_FRAMES_AT_ONCE])
        for start in range(_FRAMES_AT_ONCE, len(frames), _FRAMES_AT_ONCE):
            self._add_frames(*frames[start : start + _FRAMES_AT_ONCE])
        self._lua.set_max_memory(self._limit, total=True)
        until = None if self._seconds is None else started + self._seconds
        return self.converse(self.run(name, None), request, call, until)

    def converse(self, values: Any, request: Request, call: Call, until: float | None = None) -> object:  # noqa: ANN401
        """Ask the worker what a script asks until it has ended; return what Lua tells of its end.

        ``values`` is what Lua has returned, ``until`` when the script's time is over.
        """
        while isinstance(values, tuple) and values[0] is None:
            left = b"" if until is None else b"%.6f" % (until - time.monotonic())
            word, *answer = self._answer(values[1:], left, request, call)
            self._lua.set_max_memory(0)
            self._hold_answer(_IS_GOOD[word], *answer)
            self._lua.set_max_memory(self._limit, total=True)
            values = self._go_on()
        return values

    def _answer(self, question: tuple[Any, ...], left: bytes, request: Request, call: Call) -> Frames:
        """Return the answer to a question: of this side, or of the worker."""
        if question[0] == MODULE:
            return find_module(*question[1:])
        return unpack(call(request, pack((left, *worded(question)))))

    def _prepare(self, script: Script) -> ScriptError | None:
        """Compile a script unless its very version is compiled already."""
        known = self.compiled.get(script.name) or self._with_api.get(script.name)
        has_api = script.name in self._with_api
        if known is None or known.version != script.version:
            self.compiled.pop(script.name, None)
            self._with_api.pop(script.name, None)
            path = os.fsencode(script.path)
            message, has_api = self._compile(script.name, script.source, path, os.path.dirname(path) or b".")
            if message is not None:
                error = self._script_error(message, ScriptBroken)
                self._forget()
                return error
        (self._with_api if has_api else self.compiled)[script.name] = script
        return None

    def _outcome(self, values: tuple[Any, ...]) -> Outcome:
        fitness, message, output, count, *fields = values
        self.is_fit = fitness != _UNFIT
        if fitness == _FIT_WITH_MEMORY_TO_GIVE_BACK:
            _waste.note()
        error = None if message is None else self._script_error(message)
        while len(fields) < count:
            fields.extend(self._more(len(fields)))
        sends, log = written_down(fields)
        self._forget()
        return Outcome(sends, output, error, log=log)

    def _script_error(self, message: bytes, cls: type[ScriptError] = ScriptError) -> ScriptError:
        if len(message) > MOST_MESSAGE_OCTETS:
            message = message[:MOST_MESSAGE_OCTETS] + b"... (%d octets)" % len(message)
        file, line, limit, traceback = self._details(message)
        return cls(
            _text(message),
            file=None if file is None else _text(file),
            # A script may write any digits where Lua writes a line.
            line=None if line is None or len(line) > MOST_LINE_DIGITS else int(line),
            traceback=tuple(_text(traceback).split("\n")) if traceback else (),
            limit=None if limit is None else _text(limit),
        )


def _lua_settings(options: LuaOptions) -> dict[bytes, bytes | int | bool]:
    path, cpath = module_paths(os.environ, options.version) if options.system_modules else ("", "")
    return {
        b"sandbox": options.sandbox,
        b"timeout": options.timeout,
        b"memory": options.memory,
        b"output": options.output,
        b"sends": options.sends,
        b"sends_size": options.sends_size,
        b"senders": options.senders,
        b"lines": options.lines,
        b"modules": os.fsencode(" ".join(options.modules)),
        b"path": os.fsencode(join_paths(options.path, path)),
        b"cpath": os.fsencode(join_paths(options.cpath, cpath)),
        b"tells": options.tells,
        b"seed": secrets.randbits(63),
        b"version": __version__.encode(),
    }


def _nobody_answers(_request: Request, _octets: bytes) -> bytes:
    return pack((ERROR, b"there is no worker to ask"))


def _table(lua: lua54.LuaRuntime, section: Section) -> lua54.LuaObject:
    """Return a section of the configuration as a Lua table, with further ones in it."""
    return lua.table_from(
        {name.encode(): value.encode() if isinstance(value, str) else _table(lua, value) for name, value in section}
    )


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


@functools.cache
def _files() -> dict[str, bytes]:
    """Return the text of each of our Lua files, by its name without the folder and the ending."""
    here = resources.files(__package__)
    files = [file for folder in _FOLDERS for file in here.joinpath(folder).iterdir() if file.name.endswith(".lua")]
    return {file.name.removesuffix(".lua"): file.read_bytes() for file in files}


@functools.cache
def _part(version: str, name: str) -> bytes:
    """Return a Lua file of ours, compiled unless it checks the time: a new interpreter is made in half the time so."""
    source = _files()[name]
    if name in _WITH_CHECKS:
        return source
    dump = b"local name, source = ... return string.dump(assert((loadstring or load)(source, name)))"
    compiled: bytes = lupa_module(version).LuaRuntime(encoding=None).execute(dump, f"=[alaska {name}]".encode(), source)
    return compiled
