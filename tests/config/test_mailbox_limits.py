"""Limits of mailboxes that nobody reads in the broker's settings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.limits import UnreadLimits
from alaska.broker.tap import limits_of
from alaska.config.kinds import MAX_LIFETIME, MAX_OCTETS
from alaska.config.mailbox_limits import LIMIT, MOST_LIMITS, MailboxLimit
from alaska.errors import ConfigurationError, PatternError
from tests.config.texts import broker, one

PATH = "mlm_server/mailbox/unread"


def several(*values: str) -> str:
    """Return a text with several limits."""
    return "\n".join(["mlm_server", "    mailbox", *[f"        unread = '{value}'" for value in values]])


class MailboxLimitTests(SynchronousTestCase):
    """Values that are accepted, and others."""

    def test_all(self) -> None:
        """A limit has a pattern, and its parts in any order."""
        found = broker(one(PATH, "^audit age=7d messages=10  octets=max")).mailbox_unread
        self.assertEqual(found, (MailboxLimit(b"^audit", 10, MAX_OCTETS, 7 * 86_400_000),))

    def test_in_force(self) -> None:
        """What a limit does not say is as in general, and what is max has no effect."""
        text = several("^audit messages=10", "^log octets=5 age=max")
        found = limits_of(broker(text)).unread_of
        general = UnreadLimits()
        expected = (
            (b"^audit", UnreadLimits(10, general.most_octets, general.most_seconds)),
            (b"^log", UnreadLimits(general.most, 5, MAX_LIFETIME / 1000)),
        )
        self.assertEqual(found, expected)

    def test_wrong(self) -> None:
        """Anything else is refused, with the setting that is meant."""
        for text in (
            "",
            "^audit",
            "^audit 10",
            "^audit count=10",
            "^audit messages=",
            "^audit messages=-1",
            "^audit messages=1 messages=2",
            "^audit age=7",
            "^audit age=0s",
            "^audit age=999999999999d",
            f"^audit octets={2**64}",
        ):
            error = self.assertRaises(ConfigurationError, broker, one(PATH, text))
            self.assertIn(PATH, str(error))
        self.assertRaises(PatternError, LIMIT.read, "( messages=1")

    def test_conflicts(self) -> None:
        """A pattern is given once, and there are not too many."""
        for texts in (["a messages=1", "a messages=2"], [f"a{n} messages=1" for n in range(MOST_LIMITS + 1)]):
            self.assertRaises(ConfigurationError, broker, several(*texts))
        self.assertEqual(len(broker(several("a messages=1", "b messages=1")).mailbox_unread), 2)

    @given(
        st.from_regex(r"\^?[a-zä]{1,20}", fullmatch=True),
        st.integers(0, MAX_OCTETS),
        st.none() | st.just(MAX_OCTETS),
        st.none() | st.integers(1, 10**9) | st.just(MAX_LIFETIME),
    )
    def test_written(self, pattern: str, messages: int, octets: int | None, age: int | None) -> None:
        """A limit is written as it is read."""
        limit = MailboxLimit(pattern.encode(), messages, octets, age)
        self.assertEqual(LIMIT.read(LIMIT.write(limit)), limit)
