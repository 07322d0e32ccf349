"""Search paths for system modules of Lua."""

from __future__ import annotations

import platform
import sys
import sysconfig
from collections.abc import Mapping

FOLDERS = {"5.4": "5.4", "luajit": "5.1"}
"""Folder of modules for each version of Lua. LuaJIT uses modules for Lua 5.1."""


def module_paths(environ: Mapping[str, str], version: str = "5.4") -> tuple[str, str]:
    """Return the search paths for Lua modules and C modules, in the format of ``package.path`` and ``package.cpath``.

    By default these are the places where Lua, LuaRocks and Debian install modules. ``LUA_PATH_5_4`` (Lua 5.4 only),
    ``LUA_PATH``, ``LUA_CPATH_5_4`` and ``LUA_CPATH`` replace them; ``;;`` in their values stands for the default.
    Unlike Lua's own defaults, they do not contain the working directory.
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
    # Debian has a library folder for each architecture.
    triplet = sysconfig.get_config_var("MULTIARCH") or f"{platform.machine()}-{sys.platform}-gnu"
    c = [f"{root}/{place}/lua/{folder}/?.so" for root in roots for place in ("lib", f"lib/{triplet}")]
    return _path(environ, "LUA_PATH", folder, lua), _path(environ, "LUA_CPATH", folder, c)


def join_paths(*paths: str) -> str:
    """Join several search paths, in order."""
    return ";".join(path.strip(";") for path in paths if path.strip(";"))


def _path(environ: Mapping[str, str], variable: str, folder: str, places: list[str]) -> str:
    default = ";".join(places)
    given = environ.get(variable, ";;")
    if folder != "5.1":  # Lua 5.1 has no variables with a version
        given = environ.get(f"{variable}_{folder.replace('.', '_')}", given)
    return given.replace(";;", f";{default};").strip(";")
