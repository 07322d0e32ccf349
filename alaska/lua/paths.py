"""Where Lua modules of the system are looked for."""

from __future__ import annotations

import platform
import sys
import sysconfig
from collections.abc import Mapping

FOLDERS = {"5.4": "5.4", "luajit": "5.1"}
"""By the version of Lua, the folder where its modules are installed: LuaJIT runs those for Lua 5.1."""


def module_paths(environ: Mapping[str, str], version: str = "5.4") -> tuple[str, str]:
    """Return where Lua modules and C modules are looked for, as Lua writes ``package.path`` and ``package.cpath``.

    These are the places where Lua, LuaRocks and Debian install them, or what ``LUA_PATH_5_4`` (for Lua 5.4 alone),
    ``LUA_PATH``, ``LUA_CPATH_5_4`` and ``LUA_CPATH`` say, where ``;;`` stands for those places. Unlike Lua's own, they
    do not contain the working directory.
    """
    folder = FOLDERS[version]
    home = environ.get("HOME", "")
    roots = ["/usr/local", "/usr", *([f"{home}/.luarocks"] if home.startswith("/") else [])]
    lua = [
        f"{root}/{place}/lua/{folder}/{file}"
        for root in roots
        for place in ("share", "lib")
        for file in ("?.lua", "?/init.lua")
    ]
    # Debian keeps libraries in a folder for each kind of machine.
    triplet = sysconfig.get_config_var("MULTIARCH") or f"{platform.machine()}-{sys.platform}-gnu"
    c = [f"{root}/{place}/lua/{folder}/?.so" for root in roots for place in ("lib", f"lib/{triplet}")]
    return _path(environ, "LUA_PATH", folder, lua), _path(environ, "LUA_CPATH", folder, c)


def join_paths(*paths: str) -> str:
    """Return the places of several paths, in order."""
    return ";".join(path.strip(";") for path in paths if path.strip(";"))


def _path(environ: Mapping[str, str], variable: str, folder: str, places: list[str]) -> str:
    default = ";".join(places)
    given = environ.get(variable, ";;")
    if folder != "5.1":  # to which a variable with a version means nothing
        given = environ.get(f"{variable}_{folder.replace('.', '_')}", given)
    return given.replace(";;", f";{default};").strip(";")
