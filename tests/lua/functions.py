"""Every function that a script in the sandbox can reach, and what bounds it: docs/functions.md is made of this table.

``python -m tests.lua.functions`` prints the document. tests/lua/test_functions.py compares it with what is there, and
the table with the world of a script in each Lua.
"""

from __future__ import annotations

from typing import NamedTuple

BOTH, ONLY_5_4, ONLY_JIT = "", "5.4", "LuaJIT"

# Time
ONCE = "at once"
LINEAR = "linear, in C"
CALLS = "what it calls is checked"
CHECKED = "checked"
PATTERN = "in C where its worst case is short, or checked"
LOOKS = "linear, in C, which looks at the time where a text is long"
WAITS = "waits; the time of the script goes on"

# Memory
NONE = "none"
LUA = "Lua's"
OUTPUT = "`worker/scripts/output`, `worker/scripts/lines`"
SENDS = "`worker/scripts/sends`, `worker/scripts/sends-size`, `worker/scripts/senders`"

# Reach
VALUES = "its arguments, new values"
NUMBERS = "numbers"
OWN = "what the script has already"


class Row(NamedTuple):
    """Functions that are bounded alike; ``lua`` says which Lua has them, if not both have."""

    names: str
    time: str
    memory: str
    reach: str
    lua: str = BOTH


class Group(NamedTuple):
    """A table of the document: a heading, what there is to say about all of its rows, and the rows."""

    heading: str
    text: str
    rows: tuple[Row, ...]


GLOBALS = Group(
    "Globals",
    "Each run has a table of globals of its own, with copies of the libraries.",
    (
        Row("assert error select type rawequal rawget rawset next ipairs", ONCE, NONE, OWN),
        Row("rawlen", ONCE, NONE, OWN, ONLY_5_4),
        Row("tonumber", LINEAR, NONE, NUMBERS),
        Row("tostring", CALLS, LUA, "the address of a table or function, which tells nothing of others"),
        Row("pairs", CALLS, NONE, "what the script's `__pairs` returns"),
        Row("pcall", CALLS, NONE, "what it calls returns; a limit is raised again at the next check"),
        Row("xpcall", f"{CALLS}; in LuaJIT handlers are counted as C's stack is", NONE, "the same"),
        Row(
            "getmetatable", ONCE, NONE,
            "metatables of tables; that of strings is a copy, in force until the run ends; for all others nil",
        ),
        Row("setmetatable", ONCE, NONE, "tables of the script; a `__gc` marks nothing, so that it never runs"),
        Row("collectgarbage", ONCE, NONE, "how much memory is in use; nothing is collected or set"),
        Row("load", "checked, as what it compiles is; 4 MiB of text at most", LUA, "code, with globals of the script"),
        Row("loadstring", "the same", LUA, "the same", ONLY_JIT),
        Row(
            "require", f"{CHECKED}; a file beside the scripts has 4 MiB at most", LUA,
            "modules beside the scripts, loaded anew; of the system, what `worker/scripts/modules` names",
        ),
        Row("print warn", CALLS, OUTPUT, "the output of the request"),
        Row("getfenv setfenv", ONCE, NONE, "globals of the script's functions; of all others, the run's", ONLY_JIT),
        Row("unpack", LINEAR, "the stack: a million values", OWN, ONLY_JIT),
    ),
)  # fmt: skip

STRINGS = Group(
    "Strings",
    "What searches by a pattern goes back and forth as the pattern says. How long that may take at worst is estimated "
    "before, and where it is more than a moment, the matching is done in Lua and checked ([lua.md](lua.md#limits)).",
    (
        Row("string.byte string.char string.len string.sub", LINEAR, LUA, VALUES),
        Row("string.lower string.upper string.reverse", LOOKS, LUA, VALUES),
        Row("string.rep", f"{LINEAR}; of nothing, at once", LUA, VALUES),
        Row("string.format", f"{LOOKS}; {CALLS}", LUA, VALUES),
        Row("string.find string.match", PATTERN, LUA, VALUES),
        Row("string.gmatch", ONCE, LUA, "a function"),
        Row("string.gmatch()", PATTERN, LUA, VALUES),
        Row("string.gsub", f"{PATTERN}; {CALLS}", LUA, VALUES),
        Row("string.pack string.unpack", LINEAR, LUA, VALUES, ONLY_5_4),
        Row("string.packsize", LINEAR, NONE, NUMBERS, ONLY_5_4),
        Row(
            "strings.__add strings.__sub strings.__mul strings.__div strings.__mod strings.__pow strings.__unm "
            "strings.__idiv",
            CALLS, NONE, "numbers, what the other operand's metamethod returns", ONLY_5_4,
        ),
        Row("utf8.char", "linear, in C or checked", LUA, VALUES),
        Row("utf8.codepoint utf8.len utf8.offset", f"{LOOKS}, or checked", LUA, VALUES),
        Row("utf8.codes", ONCE, LUA, "a function"),
        Row("utf8.codes()", "at once, or checked", NONE, VALUES),
    ),
)  # fmt: skip

TABLES = Group(
    "Tables",
    "A metatable can make a table as long as it says, and answer each access: where a table has one, what these do is "
    "checked.",
    (
        Row("table.concat", f"{LINEAR}, or {CHECKED}", LUA, VALUES),
        Row("table.insert table.remove", f"{LINEAR}, or {CHECKED}", LUA, OWN),
        Row("table.sort", f"{CALLS}", NONE, OWN),
        Row("table.move", f"{LINEAR} or {CHECKED}", LUA, OWN),
        Row("table.pack", LINEAR, LUA, VALUES),
        Row("table.unpack", LINEAR, "the stack: a million values", OWN),
        Row("table.foreach table.foreachi table.getn table.maxn", f"{LINEAR}; {CALLS}", NONE, OWN, ONLY_JIT),
    ),
)

NUMBER_GROUP = Group(
    "Numbers",
    "Random numbers begin with a seed of the system's in each run, so those of one request tell nothing of another's.",
    (
        Row(
            "math.abs math.acos math.asin math.atan math.ceil math.cos math.deg math.exp math.floor math.fmod math.log "
            "math.modf math.rad math.sin math.sqrt math.tan",
            ONCE, NONE, NUMBERS,
        ),
        Row("math.max math.min", f"{LINEAR}; {CALLS}", NONE, OWN),
        Row("math.random math.randomseed", ONCE, NONE, "the run's random numbers"),
        Row("math.tointeger math.type math.ult", ONCE, NONE, NUMBERS, ONLY_5_4),
        Row(
            "math.atan2 math.cosh math.frexp math.ldexp math.log10 math.pow math.sinh math.tanh",
            ONCE, NONE, NUMBERS, ONLY_JIT,
        ),
        Row(
            "bit.arshift bit.band bit.bnot bit.bor bit.bswap bit.bxor bit.lshift bit.rol bit.ror bit.rshift bit.tobit "
            "bit.tohex",
            ONCE, NONE, NUMBERS, ONLY_JIT,
        ),
    ),
)  # fmt: skip

TIMES_AND_THREADS = Group(
    "Time, coroutines, tracebacks",
    "",
    (
        Row("os.clock os.difftime", ONCE, NONE, "numbers; the time that the whole process has computed"),
        Row("os.time", f"{ONCE}; {CALLS}", NONE, NUMBERS),
        Row("os.date", "linear, in C; a format has 4096 octets at most", LUA, VALUES),
        Row("os.exit", ONCE, NONE, "ends the request, not the process"),
        Row("coroutine.create coroutine.wrap", ONCE, LUA, "a coroutine of the script"),
        Row("coroutine.resume coroutine.wrap()", CALLS, LUA, "what the coroutine yields; never a question of ours"),
        Row("coroutine.yield coroutine.status coroutine.running coroutine.isyieldable", ONCE, NONE, OWN),
        Row("coroutine.close", CALLS, NONE, OWN, ONLY_5_4),
        Row(
            "debug.traceback",
            "at once: 22 lines at most",
            LUA,
            "names and lines of the script's functions, none of ours",
        ),
    ),
)

ALASKA = Group(
    "The table alaska",
    "",
    (
        Row(
            "send sendTo sendFor alaska.reply", ONCE, SENDS, "streams, mailboxes, services",
        ),
        Row(
            "alaska.request", WAITS, "the same",
            "services, but none of the broker's own (`alaska.`)",
        ),
        Row(
            "alaska.kv.get alaska.kv.set alaska.kv.incr alaska.kv.ttl alaska.kv.delete", WAITS,
            "a value has 1 MiB; all have `worker/kv/size-limit`", "the worker's store, which all scripts share",
        ),
        Row(
            "alaska.log.info alaska.log.warn alaska.log.error", CALLS, OUTPUT,
            "the worker's log, with control characters escaped",
        ),
        Row("alaska.json.encode alaska.json.decode", CHECKED, f"{LUA}; 1000 levels", VALUES),
        Row("alaska.json.array", ONCE, LUA, "a metatable of this run alone"),
    ),
)  # fmt: skip

MODULES = Group(
    "Modules that are always there",
    "`cjson` is the system's lua-cjson where that is installed, else Alaska's own, which is checked. Of lua-cjson each "
    "run has a copy of its own; it is given nothing that would not fit into the memory that is left, and nothing "
    "deeper than 1000 levels. `cjson.safe` has the same functions. `pl.pretty` is Penlight's where that is installed.",
    (
        Row("cjson.encode cjson.decode", f"{LINEAR}, or {CHECKED}", "estimated before, or Lua's; 1000 levels", VALUES),
        Row("cjson.new", ONCE, LUA, "another copy, with settings of its own"),
        Row("cjson.encode_max_depth cjson.decode_max_depth", ONCE, NONE, "a setting of this copy, 1000 at most"),
        Row(
            "cjson.encode_invalid_numbers cjson.decode_invalid_numbers cjson.encode_keep_buffer "
            "cjson.encode_number_precision cjson.encode_sparse_array",
            ONCE, NONE, "a setting of this copy",
        ),
        Row("pl.pretty.write pl.pretty.read pl.pretty.load", CHECKED, LUA, VALUES),
        Row("pl.pretty.dump", CHECKED, OUTPUT, "the output; files are refused"),
    ),
)  # fmt: skip

SEEN = Group(
    "What modules of the system see",
    "A module of the system that is in Lua is held to the rules of scripts. It has the script's globals, and beside "
    "these the functions below; a script can get at them through the module. A module in C is as its author made it: "
    "it is there only if `worker/scripts/modules` names it in full, or all (`*`).",
    (
        Row("io.write io.stdout:write", CALLS, OUTPUT, "the output of the request"),
        Row(
            "io.read io.lines io.lines() io.stdout:read io.stdout:lines io.stdout:lines()", ONCE, NONE,
            "an input that is empty",
        ),
        Row("io.type", ONCE, NONE, OWN),
        Row("io.stdout:close io.stdout:flush io.stdout:seek io.stdout:setvbuf", ONCE, NONE, "nothing: they do nothing"),
        Row("io.open io.popen io.input io.output io.tmpfile io.close", ONCE, NONE, "nothing: they are refused"),
        Row(
            "os.execute os.getenv os.remove os.rename os.tmpname os.setlocale", ONCE, NONE,
            "nothing: they are refused",
        ),
        Row("debug.getinfo", ONCE, LUA, "functions and lines of the script and its modules"),
        Row("debug.getupvalue debug.setupvalue debug.upvaluejoin", ONCE, NONE, "globals of the same functions"),
        Row("debug.gethook debug.sethook", ONCE, NONE, "nothing: they do nothing"),
        Row("debug.setmetatable", ONCE, NONE, "takes the methods of strings away, and gives them back"),
    ),
)  # fmt: skip

GROUPS = (GLOBALS, STRINGS, TABLES, NUMBER_GROUP, TIMES_AND_THREADS, ALASKA, MODULES, SEEN)

INTRODUCTION = """# What a script in the sandbox can reach

Every function that a script in the sandbox can get hold of, and what bounds its time, its memory, and what it can lead
to. A test walks the world of a script in both Luas and finds these functions and no others. This page is made by
`python -m tests.lua.functions > docs/functions.md`.

Time:

- *at once*: it takes a moment, whatever it is given.
- *linear, in C*: it takes as long as its arguments are large, and these fit into the script's memory. Lua cannot end it
  half-way; in a process it is killed 0.25 s after the limit.
- *checked*: it is done in Lua, where the time is looked at, and ends with the limit (`worker/scripts/timeout`).
- *what it calls is checked*: the script's own functions and metamethods are, and nothing else takes long.

Lua 5.4 has three more ways to take long in C, and that, too, only a process can end:

- to call a value whose `__call` is no function but something that has to be called in turn, without an end;
- to let a table grow that has ten thousands of keys, chosen so that all of them have the same place in it;
- to collect garbage where a weak table has ten thousands of keys, each of which the value of another alone reaches.

Memory: *Lua's* is what Lua counts and refuses beyond `worker/scripts/memory`. Settings are named.

What it reaches: nothing that is named here belongs to another request, and none of it is a private table or function of
Alaska's. What scripts share on purpose is said there.
"""


def _words(row: Row) -> str:
    shown = ", ".join(f"`{name}`" for name in row.names.split())
    return f"{shown} ({row.lua} only)" if row.lua else shown


def document() -> str:
    """Return docs/functions.md."""
    parts = [INTRODUCTION]
    for group in GROUPS:
        parts += [f"\n## {group.heading}\n", *([f"\n{group.text}\n"] if group.text else [])]
        parts.append("\n| functions | time | memory | what it reaches |\n| --- | --- | --- | --- |\n")
        parts += [f"| {_words(row)} | {row.time} | {row.memory} | {row.reach} |\n" for row in group.rows]
    return "".join(parts)


def reachable(version: str) -> set[str]:
    """Return the names of all that the table has for a version of Lua."""
    absent = ONLY_5_4 if version == "luajit" else ONLY_JIT
    return {name for group in GROUPS for row in group.rows if row.lua != absent for name in row.names.split()}


def callable_names(version: str) -> list[str]:
    """Return the names by which a script can call them: none of what others return."""
    names = sorted(reachable(version))
    safe = [name.replace("cjson.", "cjson.safe.") for name in names if name.startswith("cjson.")]
    return [name for name in names if "(" not in name and not name.startswith("strings.")] + safe


if __name__ == "__main__":
    print(document(), end="")
