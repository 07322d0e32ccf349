"""Pages of lists that may be long: the work of each turn is bounded, and so are the octets of a page."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from heapq import nsmallest
from itertools import chain, islice
from typing import Any, TypeAlias, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from alaska.admin.requests import MOST_POSITION, Query
from alaska.admin.snapshots import Page, Snapshot
from alaska.admin.text import to_name, to_text
from alaska.errors import CONNECTION_REFUSED, FAILED, OperationFailed

TURN_ITEMS = 12_000
"""The maximum number of items that one turn looks at, in 2 to 5 ms; the next one is 10 ms later.

It is a little more than the 10 000 queues that a broker may have by default, so that these take one turn.
"""
TURN_SHOWN = 200
"""The maximum number of items that one turn makes."""
PAGE_OCTETS = 256 * 1024
"""A page ends when its items have this size as JSON."""
MOST_WORKS = 64
"""The maximum number of operations that continue in turns at the same time."""

T = TypeVar("T")
S = TypeVar("S", bound=Snapshot)
Key: TypeAlias = "tuple[Any, ...]"
"""The place of an item in its list: numbers, and names as octets."""
Work: TypeAlias = "Generator[None, None, T]"
"""Something that is done in turns: it yields between them, and returns its result."""
Matches: TypeAlias = Callable[[bytes], bool]


def matcher(match: str) -> Matches | None:
    """Return a function for the names that ``match`` selects; None if that is all of them."""
    octets = to_name(match)
    if octets.startswith(b"^"):
        start = octets[1:]
        return lambda name: name.startswith(start)
    return (lambda name: octets in name) if octets else None


def write_key(key: Key) -> str:
    """Return a key as text, for ``next``."""
    return "/".join(to_text(each).replace("/", "\\x2f") if isinstance(each, bytes) else str(each) for each in key)


def read_key(text: str, shape: tuple[type, ...]) -> Key | None:
    """Return the key for which :func:`write_key` has returned this text; None for an empty text.

    :raises OperationFailed: it is not the text of such a key.
    """
    if not text:
        return None
    parts = text.split("/")
    try:
        if len(parts) != len(shape):
            raise ValueError(text)
        return tuple(to_name(part) if kind is bytes else _number(part) for part, kind in zip(parts, shape, strict=True))
    except ValueError:
        raise OperationFailed("the argument after must be the next of another page of the same list") from None


def _number(text: str) -> int:
    number = int(text)
    if abs(number) > MOST_POSITION:
        # A store could not look for it.
        raise ValueError(text)
    return number


def page_of(
    keys: Iterable[Key | None],
    query: Query,
    shape: tuple[type, ...],
    show: Callable[[Key], S | None],
    turn_shown: int = TURN_SHOWN,
) -> Work[Page[S]]:
    """Return the page of a query of the items with these keys, in their order; None stands for one that is not wanted.

    Only the keys of the page are held, so an iterator of many keys takes no memory. What it iterates over must not
    change between turns. ``show`` returns an item, or None if it has gone since its key was collected. One turn makes
    at most ``turn_shown`` items.
    """
    best, total = yield from _first(iter(keys), read_key(query.after, shape), query.limit + 1)
    items: list[S] = []
    octets = 0
    upto = None
    for at, key in enumerate(best[: query.limit]):
        if at and not at % turn_shown:
            yield
        item = show(key)
        if item is not None:
            octets += len(msgspec.json.encode(item))
            if items and octets > PAGE_OCTETS:
                break
            items.append(item)
        upto = key
    has_more = upto is not None and upto != best[-1]
    return Page(items=items, total=total, next=write_key(upto) if has_more and upto is not None else None)


def _first(keys: Iterator[Key | None], after: Key | None, most: int) -> Work[tuple[list[Key], int]]:
    """Return the first keys after one in their order, at most ``most``, and the number of all keys."""
    total = 0
    best: list[Key] = []
    while True:
        looked = 0

        def wanted() -> Iterator[Key]:
            nonlocal looked, total
            for key in islice(keys, TURN_ITEMS):
                looked += 1
                if key is not None:
                    total += 1
                    if after is None or key > after:
                        yield key

        best = nsmallest(most, chain(best, wanted()))
        if looked < TURN_ITEMS:
            return best, total
        yield


class Turns:
    """Does works in turns: the first one at once, and the next ones at each :meth:`tick`, one after the other."""

    def __init__(self) -> None:
        self._works: list[tuple[Generator[None, None, Any], Deferred[Any]]] = []
        self.on_more: Callable[[], None] = lambda: None
        """Called when there is another turn to do, so that it need not wait for the next tick."""

    def do(self, work: Work[T]) -> Deferred[T]:
        """Begin a work; the Deferred returns its result, or fails with what it raises."""
        done: Deferred[T] = Deferred()
        if len(self._works) >= MOST_WORKS:
            done.errback(OperationFailed("too many operations are being carried out; try again", FAILED))
        elif self._continue(work, done):
            self._works.append((work, done))
            self.on_more()
        return done

    def __bool__(self) -> bool:
        """Whether there is more to do."""
        return bool(self._works)

    def tick(self) -> None:
        """Continue with the work that has waited longest, for one turn."""
        if self._works:
            work, done = self._works.pop(0)
            if self._continue(work, done):
                self._works.append((work, done))

    def end(self) -> None:
        """Let all works fail with OperationFailed, since there are no more turns."""
        works, self._works = self._works, []
        for work, done in works:
            work.close()
            done.errback(OperationFailed("the program ends", CONNECTION_REFUSED))

    def _continue(self, work: Generator[None, None, T], done: Deferred[T]) -> bool:
        """Do one turn; return whether there is another one."""
        try:
            next(work)
        except StopIteration as stop:
            done.callback(stop.value)
        except Exception:
            done.errback(Failure())
        else:
            return True
        return False
