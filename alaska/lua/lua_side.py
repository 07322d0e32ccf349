"""What Python passes to the Lua side: the sources of its files, and its settings."""

from __future__ import annotations

import functools
import os
import secrets
from importlib import resources

from alaska import __version__
from alaska.lua.options import LuaOptions
from alaska.lua.paths import join_paths, module_paths

_FOLDERS = ("limits", "world", "text", "modules")
WITH_CHECKS = frozenset(("cjson", "json_encode", "json_decode", "matching", "pretty", "searching", "tables", "utf8"))
"""Lua files with time checks, like scripts: each interpreter compiles them from source."""


@functools.cache
def lua_files() -> dict[str, bytes]:
    """Return the source of each of Alaska's Lua files, by file name without folder and suffix."""
    here = resources.files(__package__)
    files = [file for folder in _FOLDERS for file in here.joinpath(folder).iterdir() if file.name.endswith(".lua")]
    return {file.name.removesuffix(".lua"): file.read_bytes() for file in files}


def lua_settings(options: LuaOptions) -> dict[bytes, bytes | int | bool]:
    """Return the settings of the Lua side for these options."""
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
        b"partial_results": options.partial_results,
        b"seed": secrets.randbits(63),
        b"version": __version__.encode(),
    }
