"""The versions of Lua: loads lupa's module for one of them. The only module that imports lupa."""

from __future__ import annotations

import functools
import importlib
import sys
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import lupa

from alaska.errors import WrongLua
from alaska.lua.lua_side import WITH_CHECKS, lua_files

if TYPE_CHECKING:  # The module of one version is loaded, by its name.
    from lupa import lua54

Runtime: TypeAlias = "lua54.LuaRuntime"
LuaObject: TypeAlias = "lua54.LuaObject"
MODULES = {"5.4": "lupa.lua54", "luajit": "lupa.luajit21"}


class Lupa(Protocol):
    """A module of lupa, for one version of Lua."""

    LuaRuntime: type[Runtime]
    LuaError: type[Exception]


def lupa_module(version: str) -> Lupa:
    """Return lupa's module for a version of Lua.

    C modules for Lua look up the interpreter's functions among the global symbols of the process. So the library must
    be loaded with global symbols, at its first import. Only one Lua can be loaded: the symbols of two would conflict.
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


def name_of(version: str) -> str:
    """Return the full name of a version of Lua, such as ``Lua 5.4`` or ``LuaJIT 2.1.1``.

    :raises WrongLua: this process cannot run it.
    """
    name: bytes = lupa_module(version).LuaRuntime(encoding=None).execute(b"return jit and jit.version or _VERSION")
    return name.decode("ascii", "replace")


@functools.cache
def lua_file(version: str, name: str) -> bytes:
    """Return one of Alaska's Lua files, precompiled unless it has time checks.

    This halves the time to create an interpreter.
    """
    source = lua_files()[name]
    if name in WITH_CHECKS:
        return source
    dump = b"local name, source = ... return string.dump(assert((loadstring or load)(source, name)))"
    compiled: bytes = lupa_module(version).LuaRuntime(encoding=None).execute(dump, f"=[alaska {name}]".encode(), source)
    return compiled
