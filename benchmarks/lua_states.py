"""The cost of isolation and limits for a script, in each Lua: ``python benchmarks/lua_states.py``.

The first figures are for a script that does nothing: in a plain Lua state that is reused without any isolation, and as
the worker runs it. The others are loops, without and with checks of the time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from alaska.lua.interpreter import LuaRunner
from alaska.lua.lua_versions import MODULES, lupa_module
from alaska.lua.options import LuaOptions
from alaska.lua.request import Outcome, Request
from alaska.lua.scripts import Script, Scripts

ROUNDS = 60
CALLS = 3000
NOTHING = "-- nothing\n"
BARE = b"""
local script = (loadstring or load)(...)
return function(context)
  alaskaContext = context
  return pcall(script)
end
"""
LOOPS = {
    "pi, 2 million steps": """
        local sum, sign = 3, 1
        for step = 1, 2e6 do
          local even = 2 * step
          sum = sum + sign * 4 / (even * (even + 1) * (even + 2))
          sign = -sign
        end""",
    "fib(27)": "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end fib(27)",
    "sieve of 200 000": """
        local sieve = {}
        for i = 2, 2e5 do if not sieve[i] then for j = i * i, 2e5, i do sieve[j] = true end end end""",
    "100 000 strings": "local t = {} for i = 1, 1e5 do t[i % 1000] = ('x'):rep(10) .. i end",
}


class BareRunner:
    """A replacement for the worker's runner: one state, one script, and no isolation."""

    def __init__(self, version: str) -> None:
        lua = lupa_module(version).LuaRuntime(encoding=None, register_eval=False, unpack_returned_tuples=True)
        self._call = lua.execute(BARE, NOTHING.encode())

    def run(self, _script: Script, request: Request) -> Outcome:
        """Run the script and return its outcome."""
        if self._call(request.context) is not True:
            raise AssertionError("the script failed")
        return Outcome()


def microseconds(work: Callable[[], object], calls: int, rounds: int) -> float:
    """Return the minimum time of a call, which other load on the machine affects least."""
    best = float("inf")
    for _ in range(rounds):
        started = time.thread_time()
        for _ in range(calls):
            work()
        best = min(best, time.thread_time() - started)
    return best / calls * 1e6


def measure(version: str, folder: Path) -> None:
    """Print the figures for one Lua."""
    scripts = Scripts(folder)

    def runs(source: str, timeout: int) -> Callable[[], Outcome]:
        (folder / "script.lua").write_text(source, encoding="utf-8")
        runner = LuaRunner(LuaOptions(version=version, timeout=timeout, system_modules=False))
        request = Request(b"sender", b"default", b"script", b"", (b'{"n":1}',))
        assert runner.run(scripts.find(b"script"), request).error is None
        return lambda: runner.run(scripts.find(b"script"), request)

    isolated = runs(NOTHING, LuaOptions().timeout)
    bare_runner = BareRunner(version)
    request = Request(b"sender", b"default", b"script", b"", (b'{"n":1}',))

    def bare() -> Outcome:
        return bare_runner.run(scripts.find(b"script"), request)

    one, other = microseconds(bare, CALLS, ROUNDS), microseconds(isolated, CALLS, ROUNDS)
    print(f"{version:7} nothing, bare state and worker: {one:9.2f} {other:9.2f} us  {other / one - 1:+.0%}")
    for name, source in LOOPS.items():
        without, with_checks = (microseconds(runs(source, timeout), 1, 9) for timeout in (0, 60_000))
        share = with_checks / without - 1
        print(f"{version:7} {name}, without and with checks: {without:9.0f} {with_checks:9.0f} us  {share:+.0%}")


def main() -> None:
    """Measure each Lua in its own process, because a process runs only one version."""
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory() as folder:
            measure(sys.argv[1], Path(folder))
        return
    for version in MODULES:
        subprocess.run([sys.executable, __file__, version], check=True)


if __name__ == "__main__":
    main()
