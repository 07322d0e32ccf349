"""The types of values that a setting can have, each with a description and a parser."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from alaska.endpoints import tcp
from alaska.message import Retention
from alaska.mlm.commands import MAX_STRING_OCTETS
from alaska.mlm.patterns import compile_pattern
from alaska.schedules import schedule, zones
from alaska.system import durations
from alaska.system.retry_plan import Backoff, backoff_of

T = TypeVar("T")

MAX_MILLISECONDS: Final = 2**31 - 1
MAX_OCTETS: Final = 2**64 - 1
MAX_LIFETIME: Final = 2**53
"""The highest number of milliseconds that a message may live, so that times stay exact."""
_DIGITS = re.compile("[0-9]{1,20}")
_WHOLE = re.compile("[+-]?[0-9]{1,20}")


class Fault(ValueError):
    """A value is not as expected; the text says why, where that is not clear from ``expected``."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A type of value: ``expected`` completes the sentence "it must be …", ``parse`` converts a text or raises.

    ``write`` converts a value back to a text of the file.
    """

    expected: str
    parse: Callable[[str], T]
    write: Callable[[Any], str] = str

    def read(self, text: str) -> T:
        """Return the value of a text.

        :raises ValueError: the text is not as expected, contains a NUL, or cannot be encoded as UTF-8.
        :raises Fault: the same, with the reason.
        :raises PatternError: a pattern was expected, and the text is not a valid pattern.
        :raises ScheduleError: a schedule or time zone was expected, and the text is not a valid one.
        """
        if b"\0" in text.encode("utf-8"):
            raise ValueError(text)
        return self.parse(text)


def _checked(good: bool, value: T) -> T:
    if not good:
        raise ValueError(value)
    return value


def _digits(text: str) -> int:
    return int(_checked(_DIGITS.fullmatch(text) is not None, text))


def number(least: int, most: int, unit: str = "") -> Kind[int]:
    """Return the kind of the whole numbers from ``least`` to ``most``, written in decimal digits."""

    def parse(text: str) -> int:
        value = _digits(text)
        return _checked(least <= value <= most, value)

    return Kind(f"a number {f'of {unit} ' if unit else ''}from {least} to {most}", parse)


def one_of(*words: str) -> Kind[str]:
    """Return the kind that accepts these words only."""
    return Kind(" or ".join(words), lambda text: _checked(text in words, text))


def _text(least_octets: int) -> Callable[[str], str]:
    return lambda text: _checked(least_octets <= len(text.encode()) <= MAX_STRING_OCTETS, text)


def _path(text: str) -> Path:
    return Path(_checked(bool(text), text))


def _path_or_none(text: str) -> Path | None:
    return Path(text) if text else None


def _pattern(text: str) -> str:
    compile_pattern(text.encode())
    return text


def _binding(text: str) -> tuple[str, str]:
    stream, _, pattern = text.strip().partition(" ")
    return _text(1)(stream), _pattern(_text(0)(pattern.strip()))


def _size(text: str) -> int | None:
    if text == "max":
        return None
    value = _digits(text)
    return _checked(value <= MAX_OCTETS, value)


def _retention(text: str) -> tuple[bytes, Retention]:
    name, *parts = text.split()
    given = dict(part.split("=", 1) for part in parts)
    _checked(len(given) == len(parts) and given.keys() <= {"count", "size", "age"}, text)
    count, size, age = (_size(given.get(key, "max")) for key in ("count", "size", "age"))
    return name.encode(), Retention(count, size, age)


def _lifetime(text: str) -> int | None:
    if text == "max":
        return None
    value = _digits(text)
    return _checked(0 < value <= MAX_LIFETIME, value)


def _or_most(parse: Callable[[str], int | None], most: int) -> Callable[[str], int]:
    """Return a parser for which ``max`` is a number, so that it differs from a setting that is not given."""
    return lambda text: most if (value := parse(text)) is None else value


def _write_or_most(most: int) -> Callable[[int], str]:
    return lambda value: "max" if value >= most else str(value)


def _two_names(text: str) -> tuple[bytes, bytes]:
    first, second = text.split()
    _text(1)(first), _text(1)(second)
    return first.encode(), second.encode()


def _write_size(value: int | None) -> str:
    return "max" if value is None else str(value)


def _write_retention(value: tuple[bytes, Retention]) -> str:
    name, retention = value
    count, size, age = retention.most_records, retention.most_octets, retention.most_seconds
    parts = (("count", count), ("size", size), ("age", age))
    return " ".join([name.decode(), *(f"{key}={'max' if most is None else f'{most:g}'}" for key, most in parts)])


def _backoff(text: str) -> Backoff:
    # Written with two dots, as in the headers of scripts and on the command line, it is the same.
    first, most = map(durations.to_milliseconds, text.split("..") if ".." in text else text.split())
    return backoff_of(first, most)


def _ageing(text: str) -> int:
    return 0 if text == "0" else durations.to_milliseconds(text)


def _write_backoff(value: Backoff) -> str:
    return f"{durations.to_text(value.first)} {durations.to_text(value.most)}"


def _write_flag(value: bool) -> str:
    return str(int(value))


def _rotation(text: str) -> tuple[int | None, int | None]:
    size, count = text.split()
    return _checked(size != "0", _size(size)), _size(count)


def _endpoint(text: str, least_port: int) -> str:
    parts = tcp(text)
    return _checked(parts is None or parts.port >= least_port, text)


def _http_endpoint(text: str) -> str | None:
    if not text:
        return None
    parts = tcp(text)
    _checked(parts is not None and not parts.source and (parts.version is not None or parts.host == "localhost"), text)
    return text


def _flag(text: str) -> bool:
    return int(_checked(_WHOLE.fullmatch(text) is not None, text)) != 0


# As in the C programs, any number except 0 means 1. Words are refused: the C programs read "true" and "yes" as 0, and
# a file must not mean one thing here and another there.
FLAG: Final = Kind("0 or 1", _flag, _write_flag)
VERBOSITY: Final = Kind("0, or 1 and higher for more detail", lambda text: bool(text) and _flag(text), _write_flag)
MILLISECONDS: Final = number(0, MAX_MILLISECONDS, "milliseconds")
SIZE: Final = Kind("a number of octets, or max", _size, _write_size)
COUNT: Final = Kind("a number, or max", _size, _write_size)
SECONDS: Final = Kind("a number of seconds, or max", _size, _write_size)
LIFETIME: Final = Kind("a number of milliseconds from 1, or max", _lifetime, _write_size)
GIVEN_LIFETIME: Final = Kind(
    "max, or a number of milliseconds from 1", _or_most(_lifetime, MAX_LIFETIME), _write_or_most(MAX_LIFETIME)
)
GIVEN_SIZE: Final = Kind("max, or a number of octets", _or_most(_size, MAX_OCTETS), _write_or_most(MAX_OCTETS))
TWO_NAMES: Final = Kind(
    "two names, separated by a space", _two_names, lambda names: " ".join(name.decode() for name in names)
)
RETENTION: Final = Kind("the name of a stream and any of count=N size=N age=N", _retention, _write_retention)
AGEING: Final = Kind("a time such as 60s, or 0", _ageing, durations.to_text)
BACKOFF: Final = Kind("the first and the longest wait, such as 1s 5m or 1s..5m", _backoff, _write_backoff)
NAME: Final = Kind(f"a string of 1 to {MAX_STRING_OCTETS} octets", _text(1))
TEXT: Final = Kind(f"a string of at most {MAX_STRING_OCTETS} octets", _text(0))
LINE: Final = Kind("a string", str)
ROTATION: Final = Kind(
    "a number of octets or max, and a number of files or max",
    _rotation,
    lambda value: " ".join(map(_write_size, value)),
)
WORDS: Final = Kind("words separated by spaces", lambda text: tuple(text.split()), " ".join)
PATH: Final = Kind("a path", _path)
PATH_OR_NONE: Final = Kind("a path, or nothing", _path_or_none)
SCHEDULE: Final = Kind("NAME 'CRON' OPTIONS SERVICE SUBJECT CONTENT", schedule.parse, schedule.write)
ZONE: Final = Kind("the name of a time zone", lambda text: zones.known(text).name)
BINDING: Final = Kind("the name of a stream, a space and a pattern", _binding, lambda value: " ".join(value).rstrip())
PATTERN: Final = Kind("a pattern", _pattern)
CONNECT_ENDPOINT: Final = Kind("tcp://host:port, ipc://path or inproc://name", lambda text: _endpoint(text, 1))
BIND_ENDPOINT: Final = Kind("tcp://address:port, ipc://path or inproc://name", lambda text: _endpoint(text, 0))
HTTP_ENDPOINT: Final = Kind("tcp://address:port, with an IP address, localhost or *, or nothing", _http_endpoint)
