"""CZMQ's zconfig and zrex, as references for the tests.

The library runs in a child process, because it writes to the standard output, and some patterns make it hang or abort.
If the library is not installed, :data:`MISSING` is the reason with which tests are skipped.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import subprocess
import sys
from typing import Any, Final

LIBRARY: Final = "libczmq.so.4"
DEADLINE_SECONDS: Final = 10

# A tree in the form of the test vectors: name, value, children.
Tree = list[Any]

_POINTER = ctypes.c_void_p
_STRING = ctypes.c_char_p
_FUNCTIONS: Final = {
    "zconfig_new": (_POINTER, [_STRING, _POINTER]),
    "zconfig_destroy": (None, [_POINTER]),
    "zconfig_set_value": (None, [_POINTER, _STRING, _STRING]),
    "zconfig_str_load": (_POINTER, [_STRING]),
    "zconfig_str_save": (_POINTER, [_POINTER]),
    "zconfig_name": (_STRING, [_POINTER]),
    "zconfig_value": (_STRING, [_POINTER]),
    "zconfig_child": (_POINTER, [_POINTER]),
    "zconfig_next": (_POINTER, [_POINTER]),
    "zconfig_get": (_STRING, [_POINTER, _STRING, _STRING]),
    "zconfig_put": (None, [_POINTER, _STRING, _STRING]),
    "zstr_free": (None, [_POINTER]),
    "zrex_new": (_POINTER, [_STRING]),
    "zrex_destroy": (None, [_POINTER]),
    "zrex_valid": (ctypes.c_bool, [_POINTER]),
    "zrex_matches": (ctypes.c_bool, [_POINTER, _STRING]),
}


def _bind() -> ctypes.CDLL:
    library = ctypes.CDLL(LIBRARY)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def _missing() -> str | None:
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return f"{LIBRARY} is not installed (Debian's package libczmq4)"
    return None


MISSING: Final = _missing()


class NoAnswer(Exception):
    """The library did not answer before the deadline, or its process ended."""


class Library:
    """CZMQ in a child process, which is started with the first call."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def load(self, text: bytes) -> tuple[Tree, bytes] | None:
        """Return the tree that zconfig loads and the text that it saves again; None if it refuses the text."""
        answer = self._ask("load", text)
        return None if answer is None else (answer[0], answer[1].encode("latin-1"))

    def save(self, tree: Tree) -> bytes:
        """Return a tree as zconfig saves it."""
        return bytes(self._ask("save", tree).encode("latin-1"))

    def get(self, text: bytes, path: bytes, default: bytes) -> str | None:
        """Return the value that zconfig finds at a path of a valid text."""
        found: str | None = self._ask("get", text, path, default)
        return found

    def put(self, items: list[tuple[bytes, bytes]]) -> bytes:
        """Return the saved text of an empty tree into which zconfig has put these paths and values."""
        return bytes(self._ask("put", *(part for item in items for part in item)).encode("latin-1"))

    def matches(self, pattern: bytes, subject: bytes) -> bool | None:
        """Return whether zrex finds the pattern in the subject; None if it calls the pattern invalid.

        :raises NoAnswer: zrex did not return in time, or aborted.
        """
        found: bool | None = self._ask("matches", pattern, subject)
        return found

    def close(self) -> None:
        """End the child process."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def _ask(self, name: str, *arguments: Any) -> Any:
        child = self._child = self._child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps([name, *arguments], default=_latin_1).encode() + b"\n")
        child.stdin.flush()
        ready, _, _ = select.select([child.stdout], [], [], DEADLINE_SECONDS)
        line = child.stdout.readline() if ready else b""
        if not line:
            self.close()
            raise NoAnswer(name, *arguments)
        return json.loads(line)

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        # By default, CZMQ catches signals and classifies characters by the locale.
        environment = {**os.environ, "ZSYS_SIGHANDLER": "false", "LC_ALL": "C"}
        return subprocess.Popen(
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )


def _latin_1(octets: bytes) -> str:
    return octets.decode("latin-1")


class _LibraryCalls:
    """Library calls in the child process; strings are passed as Latin-1, one character for each octet."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._c = library

    def load(self, text: str) -> tuple[Tree, str] | None:
        root = self._c.zconfig_str_load(text.encode("latin-1"))
        return (self._tree(root), self._saved(root)) if root else None

    def save(self, tree: Tree) -> str:
        return self._saved(self._built(tree, None))

    def get(self, text: str, path: str, default: str) -> str | None:
        root = self._c.zconfig_str_load(text.encode("latin-1"))
        found = self._c.zconfig_get(root, path.encode("latin-1"), default.encode("latin-1"))
        return None if found is None else _latin_1(found)

    def put(self, *parts: str) -> str:
        root = self._c.zconfig_new(b"root", None)
        for path, value in zip(parts[::2], parts[1::2], strict=True):
            self._c.zconfig_put(root, path.encode("latin-1"), value.encode("latin-1"))
        return self._saved(root)

    def matches(self, pattern: str, subject: str) -> bool | None:
        rex = self._c.zrex_new(pattern.encode("latin-1"))
        found = self._c.zrex_matches(rex, subject.encode("latin-1")) if self._c.zrex_valid(rex) else None
        self._c.zrex_destroy(ctypes.byref(_POINTER(rex)))
        return found

    def _tree(self, item: Any) -> Tree:
        children = []
        child = self._c.zconfig_child(item)
        while child:
            children.append(self._tree(child))
            child = self._c.zconfig_next(child)
        value = self._c.zconfig_value(item)
        return [_latin_1(self._c.zconfig_name(item)), None if value is None else _latin_1(value), children]

    def _built(self, tree: Tree, parent: Any) -> Any:
        name, value, children = tree
        item = self._c.zconfig_new(name.encode("latin-1"), parent)
        if value is not None:
            self._c.zconfig_set_value(item, b"%s", value.encode("latin-1"))
        for child in children:
            self._built(child, item)
        return item

    def _saved(self, root: Any) -> str:
        text = self._c.zconfig_str_save(root)
        saved = _latin_1(ctypes.string_at(text))
        self._c.zstr_free(ctypes.byref(_POINTER(text)))
        self._c.zconfig_destroy(ctypes.byref(_POINTER(root)))
        return saved


def _serve() -> None:
    """Answer each line of JSON with a line of JSON, until the end of the input."""
    # The library logs to the standard output, so answers use a copy of the original descriptor.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    library = _LibraryCalls(_bind())
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(library, name)(*arguments)), file=answers)


if __name__ == "__main__":
    _serve()
