"""Modules in the scripts directory: ``require 'a.b'`` finds ``a/b.lua`` or ``a/b/init.lua``."""

from __future__ import annotations

import os

from alaska.lua.files import SUFFIX, InvalidFile, read_file, version_at
from alaska.lua.questions import ERROR, NONE, OK, Frames

_SUFFIXES = (SUFFIX, b"/init" + SUFFIX)


def find_module(directory: bytes, name: bytes, known: bytes) -> Frames:
    """Find a module in the scripts directory.

    Return one of:

    * ``OK``, the module's path, its version as text, and its source unless the version is ``known``;
    * ``NONE``, the paths that were tried, and the first word of the name if no folder has this name, else nothing;
    * ``ERROR`` and the reason why its file cannot be used.

    :raises ScriptUnreadable: its file cannot be read at present.
    """
    base = os.path.join(directory, name.replace(b".", b"/"))
    missing = []
    for suffix in _SUFFIXES:
        path = base + suffix
        version = version_at(path) if b"\0" not in path else None
        if version is None:
            missing.append(b"no file '%s'" % path)
        elif (text := b"%s %d %d %d %d" % (path, *version)) == known:
            return OK, path, text
        else:
            return _read(directory, path, name)
    folder = name.partition(b".")[0]
    return NONE, b"\n\t".join(missing), b"" if os.path.isdir(os.path.join(directory, folder)) else folder


def _read(directory: bytes, path: bytes, name: bytes) -> Frames:
    try:
        file = read_file(directory, path)
    except InvalidFile as error:
        why = str(error)
    except OSError as error:
        why = f"it cannot be read ({error.strerror})"
    else:
        return OK, path, b"%s %d %d %d %d" % (path, *file.version), file.source
    return ERROR, b"error loading module '%s' from file '%s':\n\t%s" % (name, path, why.encode())
