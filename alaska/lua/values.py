"""Encodes requests, outcomes and settings for the pipe between the worker and a child process.

A malicious script may control the child process. So its data is not unpickled: it is MessagePack, decoded against the
expected types. The fields are those of the classes. A new field needs no code here if its type consists of texts,
octets, numbers, tuples, named tuples, enumerations, dataclasses and script errors.
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
    """The octets are not a value of the expected type."""


class Coder(Generic[T]):
    """Encodes and decodes the instances of a dataclass or named tuple."""

    def __init__(self, cls: Callable[..., T]) -> None:
        hints = typing.get_type_hints(cls)
        names = cls._fields if hasattr(cls, "_fields") else [field.name for field in fields(typing.cast("Any", cls))]
        # A tuple of the fields takes half the time and space of a map.
        types = tuple(hints[name] for name in names)
        self._cls = cls
        self._values = attrgetter(*names)
        self._is_single = len(names) == 1
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_encode_error)
        self._decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(
            tuple.__class_getitem__(types), dec_hook=_decode_error
        )

    def encode(self, value: T) -> bytes:
        """Encode an instance."""
        values = self._values(value)
        return self._encoder.encode((values,) if self._is_single else values)

    def decode(self, octets: bytes | memoryview) -> T:
        """Decode an instance.

        :raises BadValue: the octets are not valid.
        """
        try:
            return self._cls(*self._decoder.decode(octets))
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
            raise BadValue(f"an invalid {getattr(self._cls, '__name__', self._cls)}: {error}") from error


class _EncodedError(NamedTuple):
    """The encoded form of an error. Texts are octets, because a file name may not be valid UTF-8."""

    kind: str
    message: bytes
    file: bytes | None
    line: int | None
    traceback: tuple[bytes, ...]
    limit: bytes | None


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(octets: bytes) -> str:
    text = octets.decode("utf-8", "surrogatepass")
    text.encode("utf-8", "surrogateescape")  # raises a ValueError if the worker could not send it, e.g. as a reason
    return text


def _encode_error(value: object) -> _EncodedError:
    if isinstance(value, ScriptError):
        return _EncodedError(
            type(value).__name__,
            _octets(value.message),
            None if value.file is None else _octets(value.file),
            value.line,
            tuple(map(_octets, value.traceback)),
            None if value.limit is None else _octets(value.limit),
        )
    raise TypeError(f"a {type(value).__name__} cannot be encoded")


def _decode_error(cls: type, value: object) -> ScriptError:
    failure = msgspec.convert(value, _EncodedError)
    found = _error_classes(ScriptError).get(failure.kind)
    if cls is not ScriptError or found is None:
        raise ValueError("not an error of a script")
    error = found.__new__(found)
    # The classes differ in the parameters of their constructors, but not in their attributes.
    ScriptError.__init__(
        error,
        _text(failure.message),
        file=None if failure.file is None else _text(failure.file),
        line=failure.line,
        traceback=tuple(map(_text, failure.traceback)),
        limit=None if failure.limit is None else _text(failure.limit),
    )
    return error


def _error_classes(cls: type[ScriptError]) -> dict[str, type[ScriptError]]:
    kinds = {cls.__name__: cls}
    for each in cls.__subclasses__():
        kinds.update(_error_classes(each))
    return kinds


REQUESTS = Coder(Request)
OUTCOMES = Coder(Outcome)
