"""A model of bindings: each record that matches becomes a request at least once, and without a crash once."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from alaska.broker.binding import BindingKey
from alaska.mlm import commands as mlm
from tests.broker.model_state import matches
from tests.broker.stream_model import StreamsModel, Written


@dataclass(eq=False)
class Bound:
    """One binding. ``missing`` are the records that have not become requests, ``again`` those that may do so again.

    ``is_settled``: the store has written the binding.
    """

    key: BindingKey
    missing: dict[int, Written] = field(default_factory=dict)
    made: dict[int, Written] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)
    is_settled: bool = False

    def takes(self, stream: bytes, written: Written) -> bool:
        """Return whether a record becomes a request."""
        return stream == self.key.stream and matches(self.key.pattern, written.subject)


class BindingsModel:
    """The bindings that the broker should have; the records of the streams in ``kept`` are stored."""

    def __init__(self, streams: StreamsModel, kept: Container[bytes]) -> None:
        self._streams = streams
        self._kept = kept
        self._bound: dict[BindingKey, Bound] = {}

    def __iter__(self) -> Iterator[Bound]:
        return iter(list(self._bound.values()))

    def __contains__(self, key: BindingKey) -> bool:
        return key in self._bound

    def bind(self, key: BindingKey, position: int) -> None:
        """Bind a stream to a service from a position on; 0 is the oldest record, and LIVE_ONLY the next one."""
        bound = self._bound[key] = Bound(key)
        if position != mlm.LIVE_ONLY:
            bound.missing = {number: each for number, each in self._stored(bound).items() if each.position >= position}

    def _stored(self, bound: Bound) -> dict[int, Written]:
        """Return the records that are stored, and match a binding."""
        stream = bound.key.stream
        stored = self._streams.stored(stream) if stream in self._kept else []
        return {each.number: each for each in stored if bound.takes(stream, each)}

    def unbind(self, key: BindingKey) -> None:
        """End a binding."""
        del self._bound[key]

    def wrote(self, stream: bytes, written: Written) -> None:
        """Record that a record is written next."""
        for bound in self:
            if bound.takes(stream, written):
                bound.missing[written.number] = written

    def requested(self, service: bytes, number: int) -> Written:
        """Check that a record may become a request now, and return it."""
        for bound in self:
            if bound.key.service == service and number in bound.missing:
                written = bound.made[number] = bound.missing.pop(number)
                return written
        for bound in self:
            if bound.key.service == service and number in bound.again:
                bound.again.discard(number)
                return bound.made[number]
        raise AssertionError(f"record {number} becomes a request to {service!r}, but is not bound, or was one before")

    def check_all_made(self, may_lag: Container[BindingKey]) -> None:
        """Check that no record was left out; one that the stream has removed is none."""
        for bound in self:
            if bound.key.stream in self._kept:
                stored = self._stored(bound)
                bound.missing = {number: each for number, each in bound.missing.items() if number in stored}
            left_out = {} if bound.key in may_lag else bound.missing
            assert not left_out, f"{bound.key} has left out {left_out}"

    def settled(self) -> None:
        """Record that everything is written."""
        for bound in self:
            bound.is_settled = True

    def crashed(self) -> None:
        """Record that the broker has crashed: any record may become a request again."""
        for bound in self:
            bound.again |= bound.made.keys()

    def restarted(self, there: set[BindingKey], is_clean: bool, is_durable: bool, lost: set[tuple[bytes, int]]) -> None:
        """Record that the broker was restarted: with which bindings, and without which requests, by service and number.

        Their records have to become requests again.
        """
        for bound in self:
            is_promised = is_durable and (is_clean or bound.is_settled)
            assert bound.key in there or not is_promised, f"{bound.key} is lost"
            if bound.key not in there:
                self.unbind(bound.key)
        for key in there - self._bound.keys():
            # Its end was not written; it is not known how far it was.
            bound = self._bound[key] = Bound(key, made=self._stored_for(key))
            bound.again = set(bound.made)
        for bound in self:
            stored = self._stored(bound)
            for number in [each for each in bound.again if (bound.key.service, each) in lost]:
                bound.missing[number] = bound.made[number]
                bound.again.discard(number)
            bound.missing = {number: each for number, each in bound.missing.items() if number in stored}

    def _stored_for(self, key: BindingKey) -> dict[int, Written]:
        return self._stored(Bound(key))
