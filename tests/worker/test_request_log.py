"""The log lines of requests."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from alaska.lua.request import Request
from alaska.system.frequent import Records
from alaska.worker.request_log import RequestLog

REQUEST = Request(b"client", b"default", b"a\nb", b"id \xff", (b"content",), attempt=2)


class RequestLogTests(SynchronousTestCase):
    """Lines with the id and the attempt of the request."""

    def setUp(self) -> None:
        self.records = Records()
        self.records.wake = lambda: None
        self.log = RequestLog(self.records)

    def logged(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the text and the fields of each record."""
        return [(kind.text(*values), kind.fields(*values)) for _, kind, values in self.records.take()]

    def test_request(self) -> None:
        """A request has one line when it arrives, and one with its outcome and run time when it ends."""
        self.log.begun(REQUEST)
        self.log.ended(REQUEST, "ok", 0.0012344)
        (begun, fields), (ended, more) = self.logged()
        named = r"address: default, subject: a\nb, "
        self.assertEqual(begun, rf"[SREQ]( {named}sender: client, request: id \xff, attempt: 2 )")
        self.assertEqual(ended, rf"[DONE]( {named}request: id \xff, attempt: 2, ms: 1.234, outcome: ok )")
        same = {"service": "default", "subject": r"a\nb", "sender": "client", "request": r"id \xff", "attempt": 2}
        self.assertEqual(fields, same)
        self.assertEqual(more, {**same, "ms": 1.234, "outcome": "ok"})

    def test_failed(self) -> None:
        """The outcome of a request is shown as it is given."""
        for outcome in ("failed", "retried", "snoozed"):
            self.log.ended(REQUEST, outcome, 1)
        self.assertEqual([fields["outcome"] for _, fields in self.logged()], ["failed", "retried", "snoozed"])

    def test_sends(self) -> None:
        """The messages of a script have the id of its request."""
        self.log.mailed(REQUEST, b"s", b"box")
        self.log.published(REQUEST, b"s", b"news")
        self.log.asked(REQUEST, b"s", b"other")
        self.log.replied(REQUEST)
        texts = [text for text, _ in self.logged()]
        self.assertEqual(
            texts,
            [
                r"[MBOX]( subject: 's', mailbox: 'box', request: id \xff )",
                r"[STRM]( subject: 's', topic: 'news', request: id \xff )",
                r"[SERV]( subject: 's', service: 'other', request: id \xff )",
                r"[RPLY]( subject: 'a\nb', mailbox: 'client', request: id \xff )",
            ],
        )
