"""The kinds of values that options and arguments have, and which of them may be given together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from alaska.admin.text import to_text
from alaska.client import term_texts
from alaska.client.delivery import MOST_MILLISECONDS, MOST_POSITION
from alaska.commands import completing
from alaska.mlm.commands import LIVE_ONLY, MAX_STRING_OCTETS

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # with click before 8.3, it takes no type


class Parsed(ParamType):
    """A value that a function parses; the text of its ValueError says what is expected, without the value."""

    def __init__(
        self, name: str, parse: Callable[[str], Any], complete: completing.Complete = completing.nothing
    ) -> None:
        self.name = name
        self.parse = parse
        self._complete = complete

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return what a shell offers."""
        return self._complete(ctx, param, incomplete)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Parse a value; a default is no text, and stays as it is."""
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def whole_number(least: int, most: int, what: str = "") -> Parsed:
    """Return the kind of whole numbers within bounds."""

    def parse(text: str) -> int:
        if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most:
            return int(text)
        raise ValueError(f"expected {what or f'a number from {least} to {most}'}")

    return Parsed("number", parse)


def name_of(text: str) -> str:
    """Return a name of the command line as requests have it.

    :raises ValueError: it is empty or too long.
    """
    octets = text.encode("utf-8", "surrogateescape")
    if not 1 <= len(octets) <= MAX_STRING_OCTETS:
        raise ValueError(f"a name has 1 to {MAX_STRING_OCTETS} octets, found {len(octets)}")
    return to_text(octets)


def _pattern(text: str) -> str:
    return name_of(text) if text else ""


def _point_in_time(text: str) -> datetime:
    """Parse a time of ISO 8601, such as ``2026-12-01T08:00Z``; one without a time zone is local."""
    found = term_texts.point_in_time(text)
    try:
        return found.astimezone()
    except (ValueError, OverflowError, OSError):
        raise ValueError("it is not a time, such as 2026-12-01T08:00Z or 2026-12-01 08:00") from None


def position(text: str) -> int:
    """Parse a position of a stream, ``start`` (0, the oldest record), or ``now`` (``new``).

    :raises ValueError: it is none of these.
    """
    if text in ("new", "now"):
        return LIVE_ONLY
    if text == "start":
        return 0
    if not _is_position(text):
        raise ValueError("expected a position, which is a number, start or now")
    return int(text)


def _is_position(text: str) -> bool:
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_POSITION))
    return is_number and int(text) <= MOST_POSITION


class Since(float):
    """How many seconds ago the first wanted record arrived."""


def position_or_age(text: str) -> int | Since:
    """Parse a position of a stream as :func:`position` does, or an age such as ``10m``."""
    try:
        return Since(term_texts.duration(text)) if text[-1:].isalpha() and text[:1].isdecimal() else position(text)
    except ValueError:
        raise ValueError("expected start, now, a position, which is a number, or a time such as 10m") from None


NAME = Parsed("name", name_of)
SERVICE = Parsed("name", name_of, completing.names_of("services"))
MAILBOX = Parsed("name", name_of, completing.names_of("mailboxes"))
STREAM = Parsed("name", name_of, completing.names_of("streams"))
SUBJECT = Parsed("name", name_of, completing.names_of("scripts"))
FILE = click.Path(path_type=Path, readable=False)
PATTERN = Parsed("pattern", _pattern)
POSITION = Parsed("position", position)
POSITION_OR_AGE = Parsed("position", position_or_age)
DURATION = Parsed("time", term_texts.duration)
TIME = Parsed("time", _point_in_time)
PRIORITY = Parsed("priority", term_texts.priority)
ATTEMPTS = Parsed("number", term_texts.attempts)
BACKOFF = Parsed("first..most", term_texts.backoff)
MILLISECONDS = whole_number(0, MOST_MILLISECONDS, "a number of milliseconds")
POSITIVE_MILLISECONDS = whole_number(1, MOST_MILLISECONDS, "a number of milliseconds from 1 on")


def one_of(*, required: bool = False, **options: Any) -> str | None:  # noqa: ANN401  # of any kind
    """Return the name of the only option that is given, or None.

    :raises click.UsageError: several are given, or one is required and none is given.
    """
    given = [each for each, value in options.items() if value is not None and value is not False]
    names = ", ".join(f"--{each.replace('_', '-')}" for each in options)
    if len(given) > 1:
        raise click.UsageError(f"only one of {names} can be given")
    if required and not given:
        raise click.UsageError(f"one of {names} must be given")
    return given[0] if given else None
