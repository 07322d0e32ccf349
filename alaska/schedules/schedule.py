"""A schedule, and its form as one line of text, as in the broker's settings:

    NAME 'CRON' [zone=ZONE] [missed=skip|once] [overlap=skip|queue] [paused] SERVICE SUBJECT [CONTENT]

Words are separated by spaces. The expression is in quotes, single or double ones; so may be the service and the
subject, which have to be if they contain spaces, or could be taken for an option. The content is the rest of the line.
"""

from __future__ import annotations

import difflib
import re
from typing import Literal, NamedTuple, cast

import msgspec

from alaska.errors import ScheduleError
from alaska.mlm.commands import MAX_STRING_OCTETS
from alaska.names import is_brokers_own
from alaska.schedules import times, zones

FORM = "NAME 'CRON' [zone=ZONE] [missed=skip|once] [overlap=skip|queue] [paused] SERVICE SUBJECT [CONTENT]"
MOST_SCHEDULES = 1000
"""The maximum number of schedules of the settings, and of all together to which others can be added."""
MOST_NAME = 100
"""The maximum length of the name of a schedule. The id of each of its requests begins with it."""
MOST_CONTENT_OCTETS = 8 * 1024
MISSED = ("skip", "once")
OVERLAP = ("queue", "skip")
_NAME = re.compile(f"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MOST_NAME - 1}}}")
_WORD = re.compile(r"\s*(?:(['\"])(.*?)\1(?=\s|$)|(\S+))")
_OPTIONS = ("zone", "missed", "overlap", "paused")
_MIN_SIMILARITY = 0.6
_MIN_SIMILARITY_TO_PAUSED = 0.85
"""A service whose name is so similar to ``paused`` has to be in quotes."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule: at the times of ``cron`` in ``zone``, a request is made for a service. Make it with :func:`checked`.

    - ``zone``: the name of the time zone; None: the one that the broker has for all.
    - ``missed``: what becomes of times at which the broker did not run: none of them, or one request for all.
    - ``overlap``: ``skip`` makes no request as long as the one before has not ended; ``queue`` makes it, too.
    - ``paused``: no requests are made until an administrator resumes the schedule.
    """

    name: str
    cron: str
    service: bytes
    subject: bytes
    content: bytes = b""
    zone: str | None = None
    missed: Literal["skip", "once"] = "skip"
    overlap: Literal["queue", "skip"] = "queue"
    paused: bool = False


class Plan(NamedTuple):
    """The schedules of the settings, and the time zone of those that name none."""

    schedules: tuple[Schedule, ...] = ()
    zone: zones.Zone = zones.UTC


def checked(schedule: Schedule) -> Schedule:
    """Return a schedule.

    :raises ScheduleError: something of it is not valid.
    """
    if _NAME.fullmatch(schedule.name) is None:
        raise ScheduleError(
            f"the name of a schedule has 1 to {MOST_NAME} letters, digits, dots, dashes and underscores, and begins"
            f" with a letter or digit, found {schedule.name[:MOST_NAME]!r}"
        )
    times.check(schedule.cron)
    if schedule.zone is not None:
        zones.zone(schedule.zone)
    for what, octets in (("service", schedule.service), ("subject", schedule.subject)):
        if not 1 <= len(octets) <= MAX_STRING_OCTETS:
            raise ScheduleError(f"the {what} has 1 to {MAX_STRING_OCTETS} octets, found {len(octets)}")
    if is_brokers_own(schedule.service):
        raise ScheduleError("a service of the broker itself has no schedules: its requests are for its clients")
    _check_content(schedule.content)
    return schedule


def _check_content(content: bytes) -> None:
    if len(content) > MOST_CONTENT_OCTETS:
        raise ScheduleError(f"the content has at most {MOST_CONTENT_OCTETS} octets, found {len(content)}")
    if content.lstrip()[:1] in (b"{", b"["):
        try:
            msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ScheduleError(f"the content begins as JSON, and is not valid: {error}") from None


def parse(text: str) -> Schedule:
    """Return the schedule of a line.

    :raises ScheduleError: it is not valid; the text says what is wrong with it.
    """
    words = _Words(text)
    name, is_quoted = words.next("the name")
    if is_quoted:
        raise ScheduleError(f"the name of a schedule is not quoted, found {name[:MOST_NAME]!r}")
    cron, is_quoted = words.next("the cron expression in quotes")
    if not is_quoted:
        raise ScheduleError(f"the cron expression must be in quotes, as in '0 3 * * *', found {cron[:MOST_NAME]!r}")
    options, service = _options_and_service(words)
    subject, _ = words.next("the subject")
    return checked(
        Schedule(
            name=name,
            cron=cron,
            service=service.encode("utf-8", "surrogateescape"),
            subject=subject.encode("utf-8", "surrogateescape"),
            content=words.rest.encode("utf-8", "surrogateescape"),
            zone=options.get("zone"),
            missed=cast("Literal['skip', 'once']", options.get("missed", MISSED[0])),
            overlap=cast("Literal['queue', 'skip']", options.get("overlap", OVERLAP[0])),
            paused="paused" in options,
        )
    )


class _Words:
    """The words of a line, one after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def next(self, what: str) -> tuple[str, bool]:
        """Return the next word, and whether it is in quotes; ``what`` it is to be, for the error if there is none."""
        found = _WORD.match(self._text, self._at)
        if found is None:
            raise ScheduleError(f"{what} is missing")
        self._at = found.end()
        quote, quoted, plain = found.groups()
        if quote is None and plain[0] in "'\"":
            raise ScheduleError(f"a quote is not closed, or is followed by something else: {plain[:MOST_NAME]}")
        return (plain, False) if quote is None else (quoted, True)

    @property
    def rest(self) -> str:
        """What is after the words."""
        return self._text[self._at :].strip()


def _options_and_service(words: _Words) -> tuple[dict[str, str], str]:
    """Return the options, and the word after them."""
    options: dict[str, str] = {}
    word, is_quoted = words.next("the service")
    while not is_quoted and _is_option(word):
        key, value = _option(word)
        if key in options:
            raise ScheduleError(f"{key} is given twice")
        options[key] = value
        word, is_quoted = words.next("the service")
    if not is_quoted and _is_like_paused(word):
        raise ScheduleError(
            f"expected the service, found {word[:MOST_NAME]!r}; did you mean paused? (a service of such a name must be"
            " in quotes)"
        )
    if "zone" in options:
        zones.known(options["zone"])
    return options, word


def _option(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    if key not in _OPTIONS:
        similar = difflib.get_close_matches(key.lower(), _OPTIONS, 1, _MIN_SIMILARITY)
        hint = f"; did you mean {similar[0]}?" if similar else ""
        raise ScheduleError(
            f"there is no option {key[:MOST_NAME]!r}{hint} (a service of such a name must be in quotes)"
        )
    known = {"missed": MISSED, "overlap": OVERLAP}.get(key)
    if known is not None and value not in known:
        similar = difflib.get_close_matches(value.lower(), known, 1, _MIN_SIMILARITY)
        hint = f"; did you mean {similar[0]}?" if similar else ""
        raise ScheduleError(f"{key} must be {' or '.join(known)}, found {value[:MOST_NAME]!r}{hint}")
    if key == "paused" and word != key:
        raise ScheduleError("the option paused has no value")
    return key, value


def _is_option(word: str) -> bool:
    return word == "paused" or "=" in word


def _is_like_paused(word: str) -> bool:
    return bool(difflib.get_close_matches(word.lower(), ["paused"], 1, _MIN_SIMILARITY_TO_PAUSED))


def write(schedule: Schedule) -> str:
    """Return the line of a schedule, which :func:`parse` reads."""
    parts = [schedule.name, _quoted(schedule.cron)]
    if schedule.zone is not None:
        parts.append(f"zone={schedule.zone}")
    if schedule.missed != MISSED[0]:
        parts.append(f"missed={schedule.missed}")
    if schedule.overlap != OVERLAP[0]:
        parts.append(f"overlap={schedule.overlap}")
    if schedule.paused:
        parts.append("paused")
    parts += [_word(schedule.service), _word(schedule.subject)]
    if schedule.content:
        parts.append(schedule.content.decode("utf-8", "surrogateescape"))
    return " ".join(parts)


def _word(octets: bytes) -> str:
    text = octets.decode("utf-8", "surrogateescape")
    is_plain = text.split() == [text] and text[0] not in "'\""
    return text if is_plain and not _is_option(text) and not _is_like_paused(text) else _quoted(text)


def _quoted(text: str) -> str:
    quote = "'" if "'" not in text else '"'
    return f"{quote}{text}{quote}"
