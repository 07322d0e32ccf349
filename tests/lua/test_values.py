"""Encoding of values for the pipe between processes."""

from __future__ import annotations

import contextlib
import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import InterpreterLost, LimitExceeded, ScriptBroken, ScriptError, ScriptNotFound
from alaska.lua.options import LuaOptions
from alaska.lua.request import Outcome, Request, Send, SendKind
from alaska.lua.runner import SETTINGS, ScriptSettings
from alaska.lua.values import OUTCOMES, REQUESTS, BadValue
from alaska.system.retry_plan import Backoff, Plan

FRAMES = st.lists(st.binary()).map(tuple)
SENDS = st.builds(Send, st.sampled_from(SendKind), st.binary(), st.binary(), FRAMES, st.binary())
NUMBERS = st.integers(0, 2**63)
HEADERS = st.lists(st.tuples(st.binary(), st.binary())).map(tuple)
MAYBE = st.none() | NUMBERS
TIMES = st.floats(allow_nan=False)
SMALL = st.integers(0, 2**31)
PLANS = st.none() | st.builds(Plan, st.none() | SMALL, st.none() | st.builds(Backoff, SMALL, SMALL))
OUTCOMES_WITHOUT_ERROR = st.builds(Outcome, st.lists(SENDS).map(tuple), st.binary(), st.none(), TIMES)
TEXTS = st.text(max_size=50)


class RoundTripTests(SynchronousTestCase):
    """Decoding returns the encoded value."""

    @given(
        st.builds(
            Request,
            *[st.binary()] * 4,
            FRAMES,
            NUMBERS,
            NUMBERS,
            st.binary(),
            TIMES,
            MAYBE,
            NUMBERS,
            NUMBERS,
            HEADERS,
            plan=PLANS,
            snoozes=NUMBERS,
            position=MAYBE,
        )
    )
    def test_requests(self, request: Request) -> None:
        """Any request is decoded unchanged."""
        self.assertEqual(REQUESTS.decode(REQUESTS.encode(request)), request)

    @given(OUTCOMES_WITHOUT_ERROR)
    def test_outcomes(self, outcome: Outcome) -> None:
        """Any outcome without an error is decoded unchanged."""
        self.assertEqual(OUTCOMES.decode(OUTCOMES.encode(outcome)), outcome)

    @given(TEXTS | st.binary().map(lambda octets: octets.decode("utf-8", "surrogateescape")), TEXTS)
    def test_errors(self, text: str, setting: str) -> None:
        """Errors of every class are decoded unchanged, even if a text is not valid UTF-8."""
        errors = ScriptError(text), ScriptNotFound(text), InterpreterLost(text), LimitExceeded(text, setting)
        for error in errors:
            decoded = OUTCOMES.decode(OUTCOMES.encode(Outcome(error=error))).error
            assert decoded is not None
            self.assertEqual((type(decoded), str(decoded), decoded.args), (type(error), str(error), error.args))
        assert isinstance(decoded, LimitExceeded)
        self.assertEqual(decoded.limit, setting)

    def test_attributes_of_an_error(self) -> None:
        """An error keeps its position, traceback and limit."""
        error = ScriptBroken("a: b", file="\udcff.lua", line=3, traceback=("x", "y"), limit="l")
        decoded = OUTCOMES.decode(OUTCOMES.encode(Outcome(error=error))).error
        assert isinstance(decoded, ScriptBroken)
        for name in ("message", "file", "line", "traceback", "limit"):
            self.assertEqual(getattr(decoded, name), getattr(error, name))

    def test_settings(self) -> None:
        """Runner settings are decoded unchanged."""
        settings = ScriptSettings(b"services", LuaOptions(timeout=7, modules=("a", "b")), True, b"[1]")
        self.assertEqual(SETTINGS.decode(SETTINGS.encode(settings)), settings)


class RefusalTests(SynchronousTestCase):
    """Invalid octets are refused."""

    @given(st.binary())
    def test_any_octets(self, octets: bytes) -> None:
        """Any octets are either decoded or refused with BadValue."""
        try:
            OUTCOMES.decode(octets)
        except BadValue as error:
            self.assertTrue(str(error))

    @given(OUTCOMES_WITHOUT_ERROR, st.data())
    def test_damaged(self, outcome: Outcome, data: st.DataObject) -> None:
        """An outcome with a changed octet, or cut short, is decoded as another outcome or refused."""
        octets = bytearray(OUTCOMES.encode(outcome))
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        for damaged in (bytes(octets), bytes(octets[: data.draw(st.integers(0, len(octets)))])):
            with contextlib.suppress(BadValue):
                self.assertIsInstance(OUTCOMES.decode(damaged), Outcome)

    def test_wrong_types(self) -> None:
        """Fields of wrong types are refused."""
        request = Request(b"", b"", b"", b"", ())
        self.assertRaises(BadValue, OUTCOMES.decode, REQUESTS.encode(request))
        for field, value in (("output", "text"), ("output", 1), ("seconds", "1"), ("sends", ((1, 2, 3, 4, 5),))):
            outcome = Outcome()
            setattr(outcome, field, value)
            self.assertRaises(BadValue, OUTCOMES.decode, OUTCOMES.encode(outcome))

    def test_deep(self) -> None:
        """Deeply nested values are refused without a crash."""
        self.assertRaises(BadValue, OUTCOMES.decode, b"\x91" * 1_000_000)

    def test_errors_of_other_kinds(self) -> None:
        """Only script errors are decoded: no other class is instantiated."""

        def octets(kind: str, message: bytes | int = b"x") -> bytes:
            """Return an encoded outcome with an error."""
            failure = (kind, message, None, None, (), None)
            return msgspec.msgpack.encode(((), b"", failure, 0.0, (), None, 0, (), None, None, b""))

        for kind in ("AlaskaError", "SystemExit", "Popen"):
            self.assertRaises(BadValue, OUTCOMES.decode, octets(kind))
        self.assertRaises(BadValue, OUTCOMES.decode, octets("ScriptError", 1))
        self.assertEqual(str(OUTCOMES.decode(octets("ScriptError")).error), "x")

    def test_texts_that_cannot_be_sent(self) -> None:
        """Errors whose text cannot be encoded again are not decoded."""
        octets = OUTCOMES.encode(Outcome(error=ScriptError("why \udcff")))
        for end in (b"\xed\xa0\x80", b"\xed\xb0\x80"):
            with self.assertRaises(BadValue):
                OUTCOMES.decode(octets.replace(b"\xed\xb3\xbf", end))

    def test_nan(self) -> None:
        """A NaN as run time is decoded: the runner has to check it."""
        self.assertTrue(math.isnan(OUTCOMES.decode(OUTCOMES.encode(Outcome(seconds=math.nan))).seconds))
