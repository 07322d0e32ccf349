"""Runs scripts in Lua.

Each thread has one interpreter for its scripts. The Lua side (``prologue.lua`` and the other Lua files) gives each
request fresh globals and ends scripts that exceed a limit. A script cannot reach Python, because no Python object is
ever passed to Lua: only octets and numbers go in, and only octets and numbers come back, when the script has ended or
asks the worker.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from alaska.errors import ScriptBroken, ScriptError
from alaska.lua.description import FRAMES_PER_CALL, SHORT_OCTETS, description, is_short
from alaska.lua.lua_side import lua_files, lua_settings
from alaska.lua.lua_versions import LuaObject, Lupa, Runtime, lua_file, lupa_module
from alaska.lua.module_files import find_module
from alaska.lua.options import LuaOptions
from alaska.lua.questions import ERROR, MODULE, NONE, OK, Frames, pack, unpack
from alaska.lua.request import Call, Outcome, Request
from alaska.lua.results import question_from_lua, results_of
from alaska.lua.scripts import Script
from alaska.system.memory import MemoryReturner

if TYPE_CHECKING:  # Child processes do not import the settings, to start faster.
    from alaska.config.entries import Section

_MAX_LINE_DIGITS = 9
_STATUS = {OK: True, NONE: None, ERROR: False}
_MAX_MESSAGE_OCTETS = 64 * 1024
"""Maximum length of an error message; the rest is cut."""
_LARGE_OCTETS = 4 * 1024 * 1024
_NO_STACK = "too many results to unpack"
"""The error if Alaska's own Lua code needs more stack than there is memory for."""
_waste = MemoryReturner()
_DISCARD, _KEEP_AND_TRIM, _COMPLETE = 0, 2, 3


class RequestClaims(Protocol):
    """Claims on requests of a batch: the file ``path`` has an octet for each (:class:`alaska.pool.claims.Claims`)."""

    @property
    def path(self) -> bytes:
        """The file from which Lua reads one octet before it runs the next script."""

    def keep_from_children(self) -> None:
        """Prevent programs that scripts start from inheriting the file that Lua has opened."""


class LuaRunner:
    """Runs scripts in one thread, one at a time.

    No script sees anything of earlier ones. All runners of a process use the same version of Lua. ``call`` answers
    questions of scripts to the worker, ``config`` is the content of ``alaska.config``, and ``claims`` limit the batches
    of :meth:`run_several`.

    :raises WrongLua: this process already runs another version.
    """

    def __init__(
        self,
        options: LuaOptions = LuaOptions(),  # noqa: B008  # it is frozen
        call: Call | None = None,
        config: Section = (),
        claims: RequestClaims | None = None,
    ) -> None:
        self._options = options
        self._call = call if call is not None else _no_worker
        self._config = config
        self._claims = claims
        self._module = lupa_module(options.version)
        self._lua: _Interpreter | None = None

    def run(self, script: Script, request: Request) -> Outcome:
        """Run a script for a request and return its outcome, which includes any failure of the script.

        Modules are searched in the directory of the script first.
        """
        lua = self._lua
        if lua is None:
            lua = self._lua = _Interpreter(self._module, self._options, self._config, self._claims)
        context = request.context
        try:
            # The most frequent case first: a small script that finishes without messages and output.
            if lua.compiled.get(script.name) is script and len(context) <= SHORT_OCTETS:
                values = lua.run(script.name, context)
                if values is True:
                    lua.quiet.add(script.name)
                    if not _waste.rounds:
                        return Outcome()
                else:
                    lua.quiet.discard(script.name)
                outcome = lua.outcome(lua.answer_questions(values, request, self._call))
            elif lua.with_api.get(script.name) is script and is_short(request):
                until = lua.deadline()
                values = lua.run(script.name, context, *lua.describe(request))
                (lua.quiet.add if values is True else lua.quiet.discard)(script.name)
                outcome = lua.outcome(lua.answer_questions(values, request, self._call, until))
            else:
                outcome = lua.prepare_and_run(script, request, self._call)
        except (self._module.LuaError, MemoryError) as error:
            outcome = self._failed_outcome(lua, os.fsdecode(script.path), error)
        except BaseException:  # `call` has failed during the run: the interpreter is unusable.
            self._lua = None
            raise
        return self._after_run(lua, outcome)

    @property
    def memory(self) -> int:
        """The memory of the interpreter in octets; any thread may read it, also while a script runs."""
        lua = self._lua
        return 0 if lua is None else lua.memory()

    def is_quiet(self, name: bytes) -> bool:
        """Return whether the last run of a script had no messages and output, as :meth:`run_several` expects."""
        lua = self._lua
        return lua is not None and lua.run_several is not None and name in lua.quiet

    def fits(self, script: Script, request: Request) -> bool:
        """Return whether :meth:`run_several` can run a script: it is quiet, and this version is compiled."""
        lua = self._lua
        if lua is None or not self.is_quiet(script.name):
            return False
        has_api = lua.with_api.get(script.name) is script and is_short(request)
        return has_api or lua.compiled.get(script.name) is script

    def run_several(self, scripts: Sequence[Script], requests: Sequence[Request]) -> Outcome | None:
        """Run a batch of scripts that fit, each for its request. The requests have at most SHORT_OCTETS in total.

        The scripts run in order, until one has an outcome to report or no further request can be claimed. Return the
        outcome of the last script that ran, or None if neither it nor those before it have anything to report.
        """
        lua = self._lua
        assert lua is not None
        assert lua.run_several is not None
        arguments: list[Any] = []
        for script, request in zip(scripts, requests, strict=True):
            if script.name in lua.compiled:
                arguments += script.name, request.context, 0
            else:
                description = lua.describe(request)
                arguments += script.name, request.context, len(description), *description
        until = lua.deadline()
        try:
            values = lua.run_several(*arguments)
            if values is True and not _waste.rounds:
                return None
            if values is not True:
                lua.quiet.clear()  # the next runs show which script it was
                if values is not None and values[0] is None:
                    values = lua.answer_questions(values, requests[int(lua.position()) - 1], self._call, until)
            outcome = lua.outcome(values)
        except (self._module.LuaError, MemoryError) as error:
            outcome = self._failed_outcome(lua, "several scripts", error)
        except BaseException:  # `call` has failed during the run: the interpreter is unusable.
            self._lua = None
            raise
        return self._after_run(lua, outcome)

    def _after_run(self, lua: _Interpreter, outcome: Outcome) -> Outcome:
        """Release memory after a run; return its outcome."""
        if not lua.is_fit:
            self._lua = None
        if outcome.error is not None or outcome.memory > _LARGE_OCTETS:
            _waste.note()
        if _waste.rounds:
            _waste.return_memory()
        return outcome

    def _failed_outcome(self, lua: _Interpreter, what: str, error: Exception) -> Outcome:
        """Return the outcome of a run that failed outside of its script."""
        lua.is_fit = False
        try:
            if isinstance(error, MemoryError) or _NO_STACK in str(error):
                # In Alaska's own Lua code, while memory was limited.
                return lua.outcome(None)
        except (self._module.LuaError, MemoryError) as another:
            error = another
        return Outcome(error=ScriptError(f"{what}: Lua failed: {error}"))

    def close(self) -> None:
        """Release the interpreter; a later :meth:`run` creates a new one."""
        self._lua = None


class _Interpreter:
    """One Lua state. ``is_fit`` says whether it can run another script.

    ``compiled`` are the scripts that ``run(name, context)`` can run: those that do not use the table ``alaska``. A
    context of None means the one set before. ``run_several(name, context, ...)`` does the same for a batch; it is None
    where batches are not supported. ``with_api`` are the scripts that use it: ``run`` gets further arguments for them
    (:meth:`describe`). ``position()`` is the number of its current script. ``quiet`` are the names of the scripts whose
    last run had no messages and output. ``memory()`` are the octets in use.

    The memory limit is lifted while values other than short contexts are passed to Lua: those calls are not protected,
    and a failed allocation would end the process. The Lua side ensures that there is always enough memory for a short
    context between two runs.
    """

    def __init__(self, module: Lupa, options: LuaOptions, config: Section, claims: RequestClaims | None) -> None:
        self._lua = lua = module.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_refuse_attribute,
            max_memory=0,
        )
        sources = {name.encode(): lua_file(options.version, name) for name in lua_files()}
        more = {b"config": _table(lua, config), b"claims": None if claims is None else claims.path}
        settings = lua.table_from({**lua_settings(options), **more})
        functions = lua.execute(lua_file(options.version, "prologue"), settings, lua.table_from(sources), mode="b")
        self._compile, self._set_context, self.run, self.run_several, self._resume, *others = functions
        self._set_answer, self._recover, self._details, *others = others
        if claims is not None:
            claims.keep_from_children()
        self._next_values, self._release, self._describe_request, self._add_frames, self.position = others
        self._seconds = options.timeout / 1000 if options.timeout else None
        self.compiled: dict[bytes, Script] = {}
        self.with_api: dict[bytes, Script] = {}
        self.quiet: set[bytes] = set()
        self.is_fit = True
        self.memory = functools.partial(lua.get_memory_used, total=True)
        self._limit = self.memory() + options.memory_octets if options.memory else 0
        lua.set_max_memory(self._limit, total=True)

    def prepare_and_run(self, script: Script, request: Request, call: Call) -> Outcome:
        """Run a script that may be new or use the table ``alaska``, with a context of any length."""
        self._lua.set_max_memory(0)
        failure = self._prepare(script)
        if failure is None:
            self._set_context(request.context, script.name)
        self._lua.set_max_memory(self._limit, total=True)
        if failure is not None:
            return Outcome(error=failure)
        if script.name in self.with_api:
            return self.outcome(self._run_with_api(script.name, request, call))
        return self.outcome(self.answer_questions(self.run(script.name, None), request, call))

    def outcome(self, values: Any) -> Outcome:  # noqa: ANN401  # whatever Lua has returned
        """Return the outcome for Lua's results: True if there is nothing to report, None if memory ran out."""
        if values is True:
            return Outcome()
        memory = self._lua.get_memory_used()
        # Each call into Lua releases the GIL and acquires it again, so the frequent case makes no further call.
        if values is not None and values[0] == _COMPLETE:
            _, _, output, _, *fields = values
            sends, log, marks, verdict, progress = results_of(fields)
            return Outcome(sends, output, log=log, memory=memory, marks=marks, verdict=verdict, progress=progress)
        self._lua.set_max_memory(0)
        outcome = self._outcome(self._recover() if values is None else values)
        self._lua.set_max_memory(self._limit, total=True)
        outcome.memory = memory
        return outcome

    def _run_with_api(self, name: bytes, request: Request, call: Call) -> object:
        """Run a script that uses the table ``alaska``."""
        until = self.deadline()
        frames = request.frames
        self._lua.set_max_memory(0)
        self._describe_request(*self.describe(request))
        for start in range(FRAMES_PER_CALL, len(frames), FRAMES_PER_CALL):
            self._add_frames(*frames[start : start + FRAMES_PER_CALL])
        self._lua.set_max_memory(self._limit, total=True)
        return self.answer_questions(self.run(name, None), request, call, until)

    def deadline(self) -> float | None:
        """Return the deadline of a script that starts now, in seconds of the monotonic clock."""
        return None if self._seconds is None else time.monotonic() + self._seconds

    def describe(self, request: Request) -> tuple[Any, ...]:
        """Return the further arguments of ``run`` for a request."""
        return description(request, self._seconds)

    def answer_questions(self, values: Any, request: Request, call: Call, until: float | None = None) -> object:  # noqa: ANN401
        """Answer the questions of a script until it has ended; return the final values from Lua.

        ``values`` is the first result from Lua. ``until`` is the script's deadline, in seconds of the monotonic clock.
        """
        while isinstance(values, tuple) and values[0] is None:
            left = b"" if until is None else b"%.6f" % (until - time.monotonic())
            word, *answer = self._answer(values[1:], left, request, call)
            self._lua.set_max_memory(0)
            self._set_answer(_STATUS[word], *answer)
            self._lua.set_max_memory(self._limit, total=True)
            values = self._resume()
        return values

    def _answer(self, question: tuple[Any, ...], left: bytes, request: Request, call: Call) -> Frames:
        """Answer a question, in this module or by the worker."""
        if question[0] == MODULE:
            return find_module(*question[1:])
        return unpack(call(request, pack((left, *question_from_lua(question)))))

    def _prepare(self, script: Script) -> ScriptError | None:
        """Compile a script unless this version is compiled already."""
        known = self.compiled.get(script.name) or self.with_api.get(script.name)
        has_api = script.name in self.with_api
        if known is None or known.version != script.version:
            self.compiled.pop(script.name, None)
            self.with_api.pop(script.name, None)
            path = os.fsencode(script.path)
            message, has_api = self._compile(script.name, script.source, path, os.path.dirname(path) or b".")
            if message is not None:
                error = self._script_error(message, ScriptBroken)
                self._release()
                return error
        (self.with_api if has_api else self.compiled)[script.name] = script
        return None

    def _outcome(self, values: tuple[Any, ...]) -> Outcome:
        fitness, message, output, count, *fields = values
        self.is_fit = fitness != _DISCARD
        if fitness == _KEEP_AND_TRIM:
            _waste.note()
        error = None if message is None else self._script_error(message)
        while len(fields) < count:
            fields.extend(self._next_values(len(fields)))
        sends, log, marks, verdict, progress = results_of(fields)
        self._release()
        return Outcome(sends, output, error, log=log, marks=marks, verdict=verdict, progress=progress)

    def _script_error(self, message: bytes, cls: type[ScriptError] = ScriptError) -> ScriptError:
        if len(message) > _MAX_MESSAGE_OCTETS:
            message = message[:_MAX_MESSAGE_OCTETS] + b"... (%d octets)" % len(message)
        file, line, limit, traceback = self._details(message)
        return cls(
            _text(message),
            file=None if file is None else _text(file),
            # Scripts can put any digits where Lua writes the line.
            line=None if line is None or len(line) > _MAX_LINE_DIGITS else int(line),
            traceback=tuple(_text(traceback).split("\n")) if traceback else (),
            limit=None if limit is None else _text(limit),
        )


def _no_worker(_request: Request, _octets: bytes) -> bytes:
    return pack((ERROR, b"there is no worker to ask"))


def _table(lua: Runtime, section: Section) -> LuaObject:
    """Return a section of the configuration as a Lua table, with nested tables for its sections."""
    return lua.table_from(
        {name.encode(): value.encode() if isinstance(value, str) else _table(lua, value) for name, value in section}
    )


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


def _refuse_attribute(_object: object, name: object, _is_setting: bool) -> NoReturn:
    raise AttributeError(f"no access to {name!r}")
