"""The table of what can be asked: it drives the dispatch, the checks of arguments, and the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred

from alaska.access import Level
from alaska.admin.http.answers import Answer
from alaska.admin.http.users import NOBODY, Key, Role, User
from alaska.admin.text import to_text
from alaska.errors import HTTPRefused

MOST_ARGUMENTS = 32
MOST_NAME_OCTETS = 255
OWN, OF_MESSAGE = "alaska-", "alaska-header-"
"""How the names of our own headers begin, and those of the headers of messages."""
_DECIMAL = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?")


@dataclass(frozen=True)
class Asked:
    """A request as the call of its route gets it.

    ``names`` are the variable parts of the path, with their percent escapes decoded. ``arguments`` are those of the
    query, converted and checked; one that was not given has its default. Names of ``headers`` are in lower case.
    ``is_valid`` returns whether the same request would still be accepted: for answers that last.
    """

    names: Mapping[str, bytes] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, bytes] = field(default_factory=dict)
    body: bytes = b""
    user: User = NOBODY
    key: Key | None = None
    address: str = ""
    is_secure: bool = False
    cookie: str = ""
    is_valid: Callable[[], bool] = lambda: True


Call: TypeAlias = "Callable[[Asked], Answer | Deferred[Answer]]"


@dataclass(frozen=True)
class Parameter:
    """An argument of the query. ``read`` converts its text, and raises ValueError for a bad one.

    ``schema`` is its JSON schema, ``expected`` completes the sentence "it must be …".
    """

    name: str
    read: Callable[[str], Any]
    expected: str
    schema: Mapping[str, Any]
    doc: str
    default: Any = None


def seconds(name: str, most: float, doc: str) -> Parameter:
    """Return a parameter whose value is a number of seconds up to ``most``, with or without decimals."""

    def read(text: str) -> float:
        value = float(text) if _DECIMAL.fullmatch(text) else most + 1
        if value > most:
            raise ValueError(text)
        return value

    schema = {"type": "number", "minimum": 0, "maximum": most}
    return Parameter(name, read, f"a number of seconds from 0 to {most:g}", schema, doc)


def text(name: str, doc: str, most: int = MOST_NAME_OCTETS, default: str | None = None) -> Parameter:
    """Return a parameter whose value is a text of at most ``most`` octets; octets that are not UTF-8 are kept."""

    def read(given: str) -> str:
        if len(given.encode("utf-8", "surrogateescape")) > most:
            raise ValueError(given)
        return given

    schema = {"type": "string", "maxLength": most}
    return Parameter(name, read, f"a text of at most {most} octets", _with_default(schema, default), doc, default)


def word(name: str, words: Iterable[str], doc: str, default: str | None = None) -> Parameter:
    """Return a parameter whose value is one of some words."""
    known = tuple(words)

    def read(given: str) -> str:
        if given not in known:
            raise ValueError(given)
        return given

    schema = {"type": "string", "enum": list(known)}
    return Parameter(name, read, " or ".join(known), _with_default(schema, default), doc, default)


def _with_default(schema: dict[str, Any], default: object) -> dict[str, Any]:
    return schema if default is None else {**schema, "default": default}


@dataclass(frozen=True)
class Header:
    """A header of a request that its route understands, for the document."""

    name: str
    doc: str


@dataclass(frozen=True)
class Route:
    """One thing that can be asked.

    A part of the ``path`` in braces is a name, of 1 to 255 octets. ``role`` is what the user needs; ``NONE`` allows
    everybody who may connect. ``answers`` has for each status, besides errors, its meaning, and the type of the
    answer in JSON, or a content type, or None for no content; ``takes`` is the type of the body.
    ``level`` is what the access rules must allow besides, if there are any. ``lasts``: the answer may last for hours.

    With ``request``, the call gets the argument ``request`` of this type instead: it is decoded from the body in JSON,
    of at most ``most_octets``, or without a body from the query, and has the names of the path and the values of
    ``fixed``.
    """

    method: str
    path: str
    call: Call
    role: Role
    doc: str
    answers: Mapping[int, tuple[str, object]]
    takes: object = None
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[Header, ...] = ()
    level: Level | None = None
    request: type[Struct] | None = None
    most_octets: int = 16 * 1024
    lasts: bool = False
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the path."""
        return tuple(self.path.split("/")[1:])

    def check_headers(self, names: Iterable[str]) -> None:
        """Check that a message has none of our headers that its route does not know; names are in lower case.

        :raises HTTPRefused: there is one, which would have no effect.
        """
        known = {header.name.lower() for header in self.headers}
        for name in names:
            if known and name.startswith(OWN) and not name.startswith(OF_MESSAGE) and name not in known:
                listed = ", ".join(header.name for header in self.headers)
                raise HTTPRefused(400, f"the header {_shown(name)} is not one of {listed}")

    def arguments(self, query: bytes, body: bytes, names: Mapping[str, bytes]) -> dict[str, Any]:
        """Return the arguments of a query, those that are not given with their defaults; or the ``request``.

        :raises HTTPRefused: an argument is unknown, repeated or bad.
        """
        if self.request is not None:
            return {"request": self._decoded(self.request, query, body, names)}
        values = {parameter.name: parameter.default for parameter in self.parameters}
        known = {parameter.name: parameter for parameter in self.parameters}
        given = set()
        for name, value in _pairs(query):
            if name not in known or name in given:
                fault = "is given twice" if name in given else f"is not one of {', '.join(known) or 'none'}"
                raise HTTPRefused(400, f"the argument {_shown(name)} {fault}")
            given.add(name)
            try:
                values[name] = known[name].read(value)
            except ValueError:
                raise HTTPRefused(400, f"the argument {name} must be {known[name].expected}") from None
        return values

    def _decoded(self, kind: type[Struct], query: bytes, body: bytes, names: Mapping[str, bytes]) -> Struct:
        if len(body) > self.most_octets:
            raise HTTPRefused(413, f"the body must have at most {self.most_octets} octets")
        given: dict[str, Any] = {}
        for name, value in _pairs(query):
            if name in given:
                raise HTTPRefused(400, f"the argument {_shown(name)} is given twice")
            given[name] = value
        in_path = {**{name: to_text(value) for name, value in names.items()}, **self.fixed}
        try:
            if not body:
                return msgspec.convert(given | in_path, kind, strict=False)
            if not in_path:
                return msgspec.json.decode(body, type=kind)
            content = msgspec.json.decode(body, type=dict[str, Any])
            # Names from the path are text, also where a number is wanted.
            return msgspec.convert(content | in_path, kind, strict=not in_path)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise HTTPRefused(400, f"the request is not valid: {error}") from None


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="surrogateescape", max_num_fields=MOST_ARGUMENTS
        )
    except ValueError:
        raise HTTPRefused(400, f"the query must be ASCII, with at most {MOST_ARGUMENTS} arguments") from None


def _shown(name: str) -> str:
    return ascii(name[:40])


class Routes:
    """All routes, found by path and method."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.all = tuple(routes)

    def find(self, method: str, path: bytes) -> tuple[Route, dict[str, bytes]]:
        """Return the route for a path and method, with the names in the path. HEAD is answered as GET.

        :raises HTTPRefused: 404 for an unknown path, 405 for a method that it does not have, 400 for a path that is
            not valid.
        """
        found = self._at(path)
        wanted = "GET" if method == "HEAD" else method
        for route, names in found:
            if route.method == wanted:
                return route, names
        allowed = allow(route for route, _ in found)
        raise HTTPRefused(405, f"the method must be {allowed.decode()}", headers={b"Allow": allowed})

    def allowed(self, path: bytes) -> bytes:
        """Return the header Allow for a path; raises the errors of :meth:`find`."""
        return allow(route for route, _ in self._at(path))

    def _at(self, path: bytes) -> list[tuple[Route, dict[str, bytes]]]:
        parts = _split(path)
        found = [(route, names) for route in self.all if (names := _match(route.parts, parts)) is not None]
        if not found:
            raise HTTPRefused(404, "there is nothing at this path; GET /api/v1/openapi.json lists what there is")
        # Of several, that with the fewest names: a word of the table goes before a name.
        return sorted(found, key=lambda one: len(one[1]))


def allow(routes: Iterable[Route]) -> bytes:
    """Return the header Allow for the routes of one path."""
    methods = {route.method for route in routes}
    return ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set()))).encode()


def _split(path: bytes) -> list[bytes]:
    """Return the parts of a path, decoded. An escaped slash is part of a name, so the path is split before."""
    if not path.startswith(b"/") or b"#" in path or re.search(rb"%(?![0-9A-Fa-f]{2})", path):
        raise HTTPRefused(400, "the path is not valid")
    return [unquote_to_bytes(part) for part in path[1:].split(b"/")]


def _match(parts: tuple[str, ...], given: list[bytes]) -> dict[str, bytes] | None:
    if len(parts) != len(given):
        return None
    names = {}
    for part, value in zip(parts, given, strict=True):
        if part.startswith("{"):
            if not 1 <= len(value) <= MOST_NAME_OCTETS:
                return None
            names[part[1:-1]] = value
        elif part.encode() != value:
            return None
    return names
