"""Every function that a script in the sandbox can reach, and its limits: the source of docs/functions.md.

``python -m tests.lua.functions`` prints the document. tests/lua/test_functions.py compares it with the file, and the
table with the functions that a script can reach in each Lua.
"""

from __future__ import annotations

from typing import NamedTuple

BOTH, ONLY_5_4, ONLY_JIT = "", "5.4", "LuaJIT"

# Time
SHORT = "short"
LINEAR = "linear, in C"
CALLS = "called functions are checked"
CHECKED = "checked"
PATTERN = "in C if the worst case is short, else checked"
LINEAR_CHECKED = "linear, in C; long texts are checked"
WAITS = "waits, within the script's time"

# Memory
NONE = "none"
LUA = "counted by Lua"
OUTPUT = "`worker/scripts/output`, `worker/scripts/lines`"
SENDS = "`worker/scripts/sends`, `worker/scripts/sends-size`, `worker/scripts/senders`"

# Access
VALUES = "its arguments and new values"
NUMBERS = "numbers"
OWN = "values that the script already has"


class Row(NamedTuple):
    """Functions with the same limits; ``lua`` is the only Lua that has them, empty for both."""

    names: str
    time: str
    memory: str
    reach: str
    lua: str = BOTH


class Group(NamedTuple):
    """A section of the document: a heading, a text about all of its rows, and the rows of its table."""

    heading: str
    text: str
    rows: tuple[Row, ...]


GLOBALS = Group(
    "Globals",
    "Each run has its own table of globals, with copies of the libraries.",
    (
        Row("assert error select type rawequal rawget rawset next ipairs", SHORT, NONE, OWN),
        Row("rawlen", SHORT, NONE, OWN, ONLY_5_4),
        Row("tonumber", LINEAR, NONE, NUMBERS),
        Row("tostring", CALLS, LUA, "the address of a table or function, which reveals nothing about others"),
        Row("pairs", CALLS, NONE, "the results of the script's `__pairs`"),
        Row("pcall", CALLS, NONE, "results of the called function; a caught limit is raised again at the next check"),
        Row("xpcall", f"{CALLS}; in LuaJIT, the nesting of error handlers is limited", NONE, "the same"),
        Row(
            "getmetatable", SHORT, NONE,
            "metatables of tables; a copy of the metatable of strings, used until the run ends; else nil",
        ),
        Row("setmetatable", SHORT, NONE, "tables of the script; a `__gc` is ignored and never runs"),
        Row("collectgarbage", SHORT, NONE, "the size of the memory in use; it collects nothing and sets nothing"),
        Row("load", f"{CHECKED}, as is the code; at most 4 MiB of text", LUA, "code that has the script's globals"),
        Row("loadstring", "the same", LUA, "the same", ONLY_JIT),
        Row(
            "require", f"{CHECKED}; a file next to the scripts has at most 4 MiB", LUA,
            "modules next to the scripts, loaded anew; installed modules that `worker/scripts/modules` lists",
        ),
        Row("print warn", CALLS, OUTPUT, "the output of the request"),
        Row("getfenv setfenv", SHORT, NONE, "globals of the script's functions; else the run's globals", ONLY_JIT),
        Row("unpack", LINEAR, "the stack: at most a million values", OWN, ONLY_JIT),
    ),
)  # fmt: skip

STRINGS = Group(
    "Strings",
    "A pattern may backtrack. Before a search, its time in the worst case is estimated. If that is long, the pattern "
    "is matched in Lua, with checks of the time ([limits](sandbox.md#limits)).",
    (
        Row("string.byte string.char string.len string.sub", LINEAR, LUA, VALUES),
        Row("string.lower string.upper string.reverse", LINEAR_CHECKED, LUA, VALUES),
        Row("string.rep", f"{LINEAR}; short for the empty string", LUA, VALUES),
        Row("string.format", f"{LINEAR_CHECKED}; {CALLS}", LUA, VALUES),
        Row("string.find string.match", PATTERN, LUA, VALUES),
        Row("string.gmatch", SHORT, LUA, "a function"),
        Row("string.gmatch()", PATTERN, LUA, VALUES),
        Row("string.gsub", f"{PATTERN}; {CALLS}", LUA, VALUES),
        Row("string.pack string.unpack", LINEAR_CHECKED, LUA, VALUES, ONLY_5_4),
        Row("string.packsize", LINEAR_CHECKED, NONE, NUMBERS, ONLY_5_4),
        Row(
            "strings.__add strings.__sub strings.__mul strings.__div strings.__mod strings.__pow strings.__unm "
            "strings.__idiv",
            CALLS, NONE, "numbers, and the results of the other operand's metamethod", ONLY_5_4,
        ),
        Row("utf8.char", "linear, in C or checked", LUA, VALUES),
        Row("utf8.codepoint utf8.len utf8.offset", f"{LINEAR_CHECKED}; or {CHECKED}", LUA, VALUES),
        Row("utf8.codes", SHORT, LUA, "a function"),
        Row("utf8.codes()", "short, or checked", NONE, VALUES),
    ),
)  # fmt: skip

TABLES = Group(
    "Tables",
    "A metatable can report any length for a table and handle each access. For a table with a metatable these "
    "functions are checked.",
    (
        Row("table.concat", f"{LINEAR}; long lists are checked; or {CHECKED}", LUA, VALUES),
        Row("table.insert table.remove", f"{LINEAR}, or {CHECKED}", LUA, OWN),
        Row("table.sort", f"{CALLS}", NONE, OWN),
        Row("table.move", f"{LINEAR} or {CHECKED}", LUA, OWN),
        Row("table.pack", LINEAR, LUA, VALUES),
        Row("table.unpack", LINEAR, "the stack: at most a million values", OWN),
        Row("table.foreach table.foreachi table.getn table.maxn", f"{LINEAR}; {CALLS}", NONE, OWN, ONLY_JIT),
    ),
)

NUMBER_GROUP = Group(
    "Numbers",
    "Each run starts its random numbers with a new seed from the system, so the random numbers of one request reveal "
    "nothing about those of another.",
    (
        Row(
            "math.abs math.acos math.asin math.atan math.ceil math.cos math.deg math.exp math.floor math.fmod math.log "
            "math.modf math.rad math.sin math.sqrt math.tan",
            SHORT, NONE, NUMBERS,
        ),
        Row("math.max math.min", f"{LINEAR}; {CALLS}", NONE, OWN),
        Row("math.random math.randomseed", SHORT, NONE, "the run's random numbers"),
        Row("math.tointeger math.type math.ult", SHORT, NONE, NUMBERS, ONLY_5_4),
        Row(
            "math.atan2 math.cosh math.frexp math.ldexp math.log10 math.pow math.sinh math.tanh",
            SHORT, NONE, NUMBERS, ONLY_JIT,
        ),
        Row(
            "bit.arshift bit.band bit.bnot bit.bor bit.bswap bit.bxor bit.lshift bit.rol bit.ror bit.rshift bit.tobit "
            "bit.tohex",
            SHORT, NONE, NUMBERS, ONLY_JIT,
        ),
    ),
)  # fmt: skip

TIME_AND_COROUTINES = Group(
    "Time, coroutines, tracebacks",
    "",
    (
        Row("os.clock os.difftime", SHORT, NONE, "numbers; the processor time of the whole process"),
        Row("os.time", f"{SHORT}; {CALLS}", NONE, NUMBERS),
        Row("os.date", "linear, in C; a format has at most 4096 octets", LUA, VALUES),
        Row("os.exit", SHORT, NONE, "ends the request, not the process"),
        Row("coroutine.create coroutine.wrap", SHORT, LUA, "a coroutine of the script"),
        Row("coroutine.resume coroutine.wrap()", CALLS, LUA, "values that the coroutine yields, except Alaska's own"),
        Row("coroutine.yield coroutine.status coroutine.running coroutine.isyieldable", SHORT, NONE, OWN),
        Row("coroutine.close", CALLS, NONE, OWN, ONLY_5_4),
        Row(
            "debug.traceback",
            "short: at most 22 lines",
            LUA,
            "names and lines of the script's functions, not of Alaska's",
        ),
    ),
)

ALASKA = Group(
    "The table alaska",
    "",
    (
        Row(
            "send sendTo sendFor alaska.later alaska.reply", SHORT, SENDS, "streams, mailboxes, services",
        ),
        Row(
            "alaska.request", WAITS, "the same",
            "services, except the broker's own (`alaska.`)",
        ),
        Row(
            "alaska.request_all", WAITS, "the same; 100 requests; 250 frames of each, 1000 of all answers",
            "services, except the broker's own (`alaska.`)",
        ),
        Row(
            "alaska.retry alaska.snooze alaska.reject", SHORT, "32 KiB for a reason; at most 30 days",
            "ends the request's run, and says whether and when there is another",
        ),
        Row(
            "alaska.kv.get alaska.kv.set alaska.kv.incr alaska.kv.ttl alaska.kv.delete", WAITS,
            "1 MiB for each value; `worker/kv/size-limit` for all", "the worker's store, which all scripts share",
        ),
        Row(
            "alaska.log.info alaska.log.warn alaska.log.error", CALLS, OUTPUT,
            "the worker's log, with control characters escaped",
        ),
        Row("alaska.cancelled", WAITS, "asks the worker 20 times a second", "whether this request is cancelled"),
        Row(
            "alaska.progress", SHORT, "told four times a second; 240 octets of text",
            "the sender of this request, and administrators",
        ),
        Row(
            "alaska.trace.set alaska.trace.event", SHORT,
            "128 in one run; 16 attributes of an event; 1 KiB for each text", "the span of this run",
        ),
        Row("alaska.json.encode alaska.json.decode", CHECKED, f"{LUA}; 1000 levels", VALUES),
        Row("alaska.json.array", SHORT, LUA, "a metatable that only this run has"),
    ),
)  # fmt: skip

MODULES = Group(
    "Modules that are always available",
    "`cjson` is the installed lua-cjson, or else Alaska's own version, which is checked. Each run has its own copy of "
    "lua-cjson. Values that would not fit into the memory that is left, or that are nested more than 1000 levels deep, "
    "are not passed to it. `cjson.safe` has the same functions. `pl.pretty` is Penlight's module if Penlight is "
    "installed.",
    (
        Row("cjson.encode cjson.decode", f"{LINEAR}, or {CHECKED}", f"estimated, or {LUA}; 1000 levels", VALUES),
        Row("cjson.new", SHORT, LUA, "another copy, with its own settings"),
        Row("cjson.encode_max_depth cjson.decode_max_depth", SHORT, NONE, "a setting of this copy, at most 1000"),
        Row(
            "cjson.encode_invalid_numbers cjson.decode_invalid_numbers cjson.encode_keep_buffer "
            "cjson.encode_number_precision cjson.encode_sparse_array",
            SHORT, NONE, "a setting of this copy",
        ),
        Row("pl.pretty.write pl.pretty.read pl.pretty.load", CHECKED, LUA, VALUES),
        Row("pl.pretty.dump", CHECKED, OUTPUT, "the output; files are refused"),
    ),
)  # fmt: skip

INSTALLED = Group(
    "What installed modules can use",
    "An installed module that is written in Lua has the same limits as scripts. It has the script's globals and, in "
    "addition, the functions below; a script can reach them through the module. A module written in C is not limited: "
    "it is available only if `worker/scripts/modules` lists its full name, or all modules (`*`).",
    (
        Row("io.write io.stdout:write", CALLS, OUTPUT, "the output of the request"),
        Row(
            "io.read io.lines io.lines() io.stdout:read io.stdout:lines io.stdout:lines()", SHORT, NONE,
            "an empty input",
        ),
        Row("io.type", SHORT, NONE, OWN),
        Row("io.stdout:close io.stdout:flush io.stdout:seek io.stdout:setvbuf", SHORT, NONE, "nothing: no effect"),
        Row("io.open io.popen io.input io.output io.tmpfile io.close", SHORT, NONE, "nothing: refused"),
        Row(
            "os.execute os.getenv os.remove os.rename os.tmpname os.setlocale", SHORT, NONE,
            "nothing: refused",
        ),
        Row("debug.getinfo", SHORT, LUA, "functions and lines of the script and its modules"),
        Row("debug.getupvalue debug.setupvalue debug.upvaluejoin", SHORT, NONE, "the globals of the same functions"),
        Row("debug.gethook debug.sethook", SHORT, NONE, "nothing: no effect"),
        Row("debug.setmetatable", SHORT, NONE, "the methods of strings: it removes and restores them"),
    ),
)  # fmt: skip

GROUPS = (GLOBALS, STRINGS, TABLES, NUMBER_GROUP, TIME_AND_COROUTINES, ALASKA, MODULES, INSTALLED)

INTRODUCTION = """# What a script in the sandbox can reach

This page lists every function that a script in the sandbox can reach, and what limits its time, its memory and its
access. A test walks through everything that a script can reach in both Luas, and finds exactly these functions. The
page is generated by `python -m tests.lua.functions > docs/functions.md`.

Time:

- *short*: the function takes little time, whatever its arguments are.
- *linear, in C*: the time grows with the size of the arguments, which fit into the script's memory. Lua cannot
  interrupt the function; a process is killed 0.25 s after the limit.
- *checked*: the function runs in Lua, where the time is checked, and ends at the limit (`worker/scripts/timeout`).
- *called functions are checked*: the script's functions and metamethods that it calls are checked; the rest takes
  little time.

In Lua 5.4 there are three more ways to spend a long time in C. These too can only be ended by killing a process:

- a call of a value whose `__call` is not a function but another value with a `__call`, in an endless chain;
- the growth of a table with tens of thousands of keys that were chosen so that all have the same hash;
- garbage collection of a weak table with tens of thousands of keys, each reachable only through the value of another.

Memory: *counted by Lua* means that Lua counts the memory and refuses more than `worker/scripts/memory`. Other limits
are given by their settings.

Access: nothing in this list belongs to another request, and nothing is a private table or function of Alaska's. Where
scripts share something on purpose, the table says so.
"""


def _names(row: Row) -> str:
    shown = ", ".join(f"`{name}`" for name in row.names.split())
    return f"{shown} ({row.lua} only)" if row.lua else shown


def document() -> str:
    """Return the text of docs/functions.md."""
    parts = [INTRODUCTION]
    for group in GROUPS:
        parts += [f"\n## {group.heading}\n", *([f"\n{group.text}\n"] if group.text else [])]
        parts.append("\n| functions | time | memory | access to |\n| --- | --- | --- | --- |\n")
        parts += [f"| {_names(row)} | {row.time} | {row.memory} | {row.reach} |\n" for row in group.rows]
    return "".join(parts)


def reachable(version: str) -> set[str]:
    """Return the names of all functions that the table lists for a version of Lua."""
    absent = ONLY_5_4 if version == "luajit" else ONLY_JIT
    return {name for group in GROUPS for row in group.rows if row.lua != absent for name in row.names.split()}


def callable_names(version: str) -> list[str]:
    """Return the names by which a script can call functions, without those that other functions return."""
    names = sorted(reachable(version))
    safe = [name.replace("cjson.", "cjson.safe.") for name in names if name.startswith("cjson.")]
    return [name for name in names if "(" not in name and not name.startswith("strings.")] + safe


if __name__ == "__main__":
    print(document(), end="")
