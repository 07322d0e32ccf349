"""Requests, outcomes and settings as octets, for the pipe between the worker and a child process.

The other side of the pipe may be in the hands of whoever wrote the script. So what comes from it is not unpickled, it
is read as MessagePack by a decoder that is told of which types it has to be. The fields are those of the classes:
a new one crosses without a line here, as long as its type is made of texts, octets, numbers, tuples, named tuples,
enumerations, dataclasses and script errors.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from alaska.errors import AlaskaError, ScriptError
from alaska.lua.request import Outcome, Request

T = TypeVar("T")


class BadValue(AlaskaError):
    """Octets that are no value of the type that was expected."""


class Coder(Generic[T]):
    """Turns the instances of one dataclass or named tuple into octets, and octets into instances."""

    def __init__(self, cls: Callable[..., T]) -> None:
        hints = typing.get_type_hints(cls)
        names = cls._fields if hasattr(cls, "_fields") else [field.name for field in fields(typing.cast("Any", cls))]
        # A tuple with one place for each field takes half the time of a map, and half the room.
        types = tuple(hints[name] for name in names)
        self._cls = cls
        self._values = attrgetter(*names)
        self._is_single = len(names) == 1
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(
            tuple.__class_getitem__(types), dec_hook=_made
        )

    def encode(self, value: T) -> bytes:
        """Return an instance as octets."""
        values = self._values(value)
        return self._encoder.encode((values,) if self._is_single else values)

    def decode(self, octets: bytes | memoryview) -> T:
        """Return the instance that octets stand for.

        :raises BadValue: they stand for none.
        """
        try:
            return self._cls(*self._decoder.decode(octets))
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
            raise BadValue(f"no {getattr(self._cls, '__name__', self._cls)}: {error}") from error


class _Failure(NamedTuple):
    """An error as it crosses; texts are octets, since one may hold a file's name that is no UTF-8."""

    kind: str
    message: bytes
    file: bytes | None
    line: int | None
    traceback: tuple[bytes, ...]
    limit: bytes | None


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogatepass")


def _plain(value: object) -> _Failure:
    if isinstance(value, ScriptError):
        return _Failure(
            type(value).__name__,
            _octets(value.message),
            None if value.file is None else _octets(value.file),
            value.line,
            tuple(map(_octets, value.traceback)),
            None if value.limit is None else _octets(value.limit),
        )
    raise TypeError(f"a {type(value).__name__} cannot cross")


def _made(cls: type, value: object) -> ScriptError:
    failure = msgspec.convert(value, _Failure)
    found = _kinds(ScriptError).get(failure.kind)
    if cls is not ScriptError or found is None:
        raise ValueError("an error of a kind that scripts do not have")
    error = found.__new__(found)
    # Kinds of error differ in what they are made of, and not in what they hold.
    ScriptError.__init__(
        error,
        _text(failure.message),
        file=None if failure.file is None else _text(failure.file),
        line=failure.line,
        traceback=tuple(map(_text, failure.traceback)),
        limit=None if failure.limit is None else _text(failure.limit),
    )
    return error


def _kinds(cls: type[ScriptError]) -> dict[str, type[ScriptError]]:
    kinds = {cls.__name__: cls}
    for each in cls.__subclasses__():
        kinds.update(_kinds(each))
    return kinds


REQUESTS = Coder(Request)
OUTCOMES = Coder(Outcome)
