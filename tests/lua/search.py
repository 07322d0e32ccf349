"""Runs random programs in a separate process, and reports effects that no script may have.

``python -m tests.lua.search luajit 1000 7`` runs a thousand programs with the seed 7. With a file name instead of the
numbers, it runs the programs of earlier findings again.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import NamedTuple

from alaska.lua.options import LuaOptions
from alaska.lua.questions import NONE, Frames
from alaska.lua.request import PRINTED, LogLine, Outcome, Request, Send
from alaska.lua.runner import SETTINGS, ScriptSettings
from alaska.pool.isolated import IsolatedRunner
from alaska.pool.process import child_command
from alaska.pool.runners import address_space
from alaska.store.kv import KeyValues
from alaska.worker.calls import Calls
from tests.asking import AnswersEach
from tests.lua import functions as lua_functions
from tests.lua.programs import CANARY, Programs
from tests.pool import children

TIMEOUT = 0.3
SLACK = 0.6
"""How much longer than its limit a program may take, in seconds."""
BATCH = 5
"""Number of programs between two checks with a harmless request."""
SEPARATOR = "\n-- and then\n"
TRIES = 3
"""Number of attempts before a timeout or a crash counts: the machine may be busy."""
SMALL = LuaOptions(
    path=str(Path(__file__).parent / "?.lua"),
    modules=("cjson", "cjson.safe", "pl", "pl.*", "lua_seen"),
    timeout=int(TIMEOUT * 1000),
    memory=16,
    output=65536,
    lines=500,
    sends=200,
    sends_size=2**20,
    senders=5,
    partial_results=True,
)
INTERNAL = (
    b"[alaska ",
    b"Lua failed",
    b"the worker failed",
    b"ValueError",
    b"OverflowError",
    b"KeyError",
    b"Traceback",
)
# A stack overflow may be detected in one of Alaska's functions, which is not an error.
NO_STACK = re.compile(rb"\[alaska \w+\]:\d+: (?:C )?stack overflow|error in error handling")

SECRET = """
local all = alaskaContext .. alaska.sender .. alaska.tracker .. alaska.frames[2]
secret, _G[all] = all, { all }
string.secret, math.secret, package.loaded.secret, package.preload.secret = all, { all }, all, function() return all end
getmetatable('').__secret, getmetatable('').__unm = all, function() return all end
getmetatable(alaska.json.array {}).secret = all
require('cjson').secret, require('cjson').null_of = all, { all }
package.loaded['pl.pretty'] = { secret = all }
print(all) alaska.log.info(all) sendTo(all, all, all, all)
return all
"""

HONEST = r"""
local cjson, safe = require 'cjson', require 'cjson.safe'
local names = {}
for _, library in ipairs { _G, string, table, math, os, utf8, coroutine, debug, package, package.loaded,
  package.preload, alaska, alaska.kv, alaska.json, alaska.log, getmetatable '', cjson, safe,
  getmetatable(alaska.json.array {}) } do
  local of_library = {}
  for name, value in next, library do
    of_library[#of_library + 1] = tostring(name) .. '=' .. type(value)
  end
  table.sort(of_library)
  names[#names + 1] = table.concat(of_library, ' ')
end
print(table.concat(names, '\n'))
print(alaskaContext, alaska.subject, alaska.sender, alaska.tracker, #alaska.frames, alaska.attempt, alaska.worker)
print(('x'):rep(3), ('%d %s'):format(5, 'y'), #'abc', ('abc'):upper(), getmetatable('').__index == string, 'a' < 'b')
print(pcall(error, 'x'), pcall(error, { 1 }), select('#', pcall(error)), math.floor(math.random()), tostring(nil))
print(cjson.encode { 1, { a = 'b' } }, cjson.encode_max_depth(), cjson.decode('[1]')[1], safe.decode '[', 5)
print(alaska.json.encode(alaska.json.decode '{"a":[[],1.5]}'), alaska.json.array {} ~= nil, alaska.kv.get 'honest')
print(coroutine.wrap(function(...) return coroutine.yield(...) end)(1, 2), coroutine.isyieldable())
print(load 'return 1 + 1'(), table.concat({ 1, 2 }, ','), table.unpack { 3, 4 })
print(pcall(string.rep), (debug.traceback 'here'):gsub('\n.*', ''))
sendTo('subject', 'content', 'mailbox', 'attachment', 'name')
return { answer = 42 }
"""


class NoBroker(AnswersEach):
    """Answers requests, without a broker."""

    def ask(self, service: bytes, subject: bytes, content: bytes, seconds: float, trace: object = None) -> Frames:
        """Return no answer."""
        return NONE, b"there is nobody here to ask"


class Result(NamedTuple):
    """The result of one script: its error, and all that it printed, sent and logged until its end."""

    error: str
    seconds: float
    printed: bytes
    sends: tuple[Send, ...]
    logged: tuple[LogLine, ...]

    def texts(self) -> Iterator[bytes]:
        """Yield all texts of the result, as octets."""
        yield from (self.error.encode("utf-8", "surrogatepass"), self.printed, *(line.text for line in self.logged))
        for send in self.sends:
            yield from (send.topic, send.subject, send.sender, *send.content)


class ProgramRunner:
    """A process with small limits that runs programs, and requests of others in between."""

    def __init__(self, version: str, has_system: bool) -> None:
        self._options = replace(SMALL, version=version, system_modules=has_system)
        self._deliveries: list[Outcome] = []
        self._kv = KeyValues(None, 2**16)
        self._runner = self._make()
        self.honest = self._honest()

    def _make(self) -> IsolatedRunner:
        settings = SETTINGS.encode(ScriptSettings(b"", self._options))
        call = Calls(self._kv, NoBroker(), process_partial=lambda _request, outcome: self._deliveries.append(outcome))
        command = child_command(children.program("lua"))
        return IsolatedRunner(command, settings, TIMEOUT, address_space(SMALL.memory), call)

    def close(self) -> None:
        """End the process."""
        self._runner.close()
        self._kv.close()

    def restart(self) -> None:
        """Continue with a new process."""
        self._runner.close()
        self._runner = self._make()

    def _run(self, name: str, source: str, word: bytes) -> Result:
        self._deliveries.clear()
        description = json.dumps(
            [name.encode().hex(), f"/nowhere/{name}.lua", source.encode().hex(), [hash(source), 0, 0, 0]]
        )
        frames = (word, b"second " + word, description.encode())
        started = time.monotonic()
        outcome = self._runner.run(Request(b"from " + word, b"here", name.encode(), b"id " + word, frames, worker=b"w"))
        seconds = time.monotonic() - started
        outcomes = (*self._deliveries, outcome)
        log = tuple(line for each in outcomes for line in each.log)
        error = outcome.error
        return Result(
            "" if error is None else "\n".join((str(error), *error.traceback)),
            seconds,
            b"".join(line.text for line in log if line.level == PRINTED) + outcome.output,
            tuple(send for each in outcomes for send in each.sends),
            tuple(line for line in log if line.level != PRINTED),
        )

    def _honest(self) -> Result:
        return self._run("honest", HONEST, b"honest")._replace(seconds=0.0)

    def run(self, source: str) -> Result:
        """Run a program in a process that has just served another request with a secret."""
        self._run("secret", SECRET, CANARY)
        return self._run("program", source, b"own")

    def changed(self) -> str | None:
        """Return how the result of the harmless request has changed, if it has."""
        for _ in range(TRIES):
            found = self._honest()
            if found == self.honest:
                return None
        return f"an honest request had another result:\n{found}\ninstead of\n{self.honest}"


def forbidden_effect(result: Result) -> str | None:
    """Return what is wrong with the result of a program, except for its time."""
    for text in (NO_STACK.sub(b"", text) for text in result.texts()):
        for word in (CANARY, b"private ", *INTERNAL):
            if word in text:
                return f"{word.decode()} shows: {text[:600]!r}"
    return None


def time_exceeded(result: Result) -> str | None:
    """Return a text if a program took too long or its process ended."""
    if "process" in result.error:
        return result.error
    return f"it took {result.seconds:.2f} s" if result.seconds > TIMEOUT + SLACK else None


def finding(runner: ProgramRunner, source: str) -> str | None:
    """Run a program; return what is wrong with its result, if anything."""
    why: str | None = None
    for _ in range(TRIES):
        result = runner.run(source)
        why = forbidden_effect(result)
        if why is not None:
            return why
        why = time_exceeded(result)
        if why is None:
            return None
    return why


def search(version: str, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Run programs; yield each finding and its program.

    Half of them have the system's modules, the others only Alaska's own.
    """
    programs = Programs(Random(seed), lua_functions.callable_names(version), version == "luajit")
    runners = ProgramRunner(version, True), ProgramRunner(version, False)
    try:
        for number in range(-(-count // BATCH)):
            runner = runners[number % 2]
            batch = [programs.program() for _ in range(BATCH)]
            for source in batch:
                why = finding(runner, source)
                if why is not None:
                    yield why, source
            why = runner.changed()
            if why is not None:
                yield why, SEPARATOR.join(batch)
                runner.restart()
    finally:
        for runner in runners:
            runner.close()


def repeat(version: str, sources: list[str]) -> Iterator[tuple[str, str]]:
    """Run the programs of earlier findings again, like :func:`search`."""
    for has_system in (True, False):
        runner = ProgramRunner(version, has_system)
        for source in sources:
            why = finding(runner, source)
            if why is not None:
                yield why, source
        why = runner.changed()
        if why is not None:
            yield why, SEPARATOR.join(sources)
        runner.close()


def main(version: str, what: str, seed: str = "0") -> int:
    """Search, or run the programs of a file; print the findings. Return the exit status."""
    if what.isdigit():
        found = search(version, int(what), int(seed))
    else:
        found = repeat(version, Path(what).read_text(encoding="utf-8").split(SEPARATOR))
    status = 0
    for why, source in found:
        status = 1
        print(f"-- {' '.join(why.splitlines())}\n{source}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
