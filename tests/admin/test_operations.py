"""The table of what can be asked of broker and worker."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from alaska.access import Level
from alaska.admin.operations import BROKER, WORKER
from alaska.admin.requests import OneLetter, Query, QueueQuery


class OperationTests(SynchronousTestCase):
    """Each row of the table has types that can be written as JSON, and described by a schema."""

    def test_schemas(self) -> None:
        """The types of all requests and answers have a JSON schema."""
        for table in (BROKER, WORKER):
            types = [each for one in table.values() for each in (one.takes, one.returns)]
            schemas, components = msgspec.json.schema_components(types)
            self.assertEqual(len(schemas), len(types))
            self.assertIn("Page_Script_", components)

    def test_levels(self) -> None:
        """Whoever may only view can change nothing."""
        changes = {"purge", "pause", "resume", "close-client", "drain", "drop-letter", "replay-letters"}
        self.assertEqual({name for name in changes if BROKER[name].level is Level.VIEW}, set())
        self.assertTrue(all(BROKER[name].is_change for name in changes))
        self.assertFalse(BROKER["read-letter"].is_change)

    def test_bounds(self) -> None:
        """Numbers out of range, long names, unknown names and unknown orders are refused."""
        for type_, text in (
            (Query, b'{"limit": 0}'),
            (Query, b'{"limit": 1001}'),
            (Query, b'{"sort": "octets"}'),
            (Query, b'{"match": "%b"}' % (b"x" * 1025)),
            (Query, b'{"unknown": 1}'),
            (QueueQuery, b'{"sort": "name"}'),
            (OneLetter, b'{"position": -1}'),
            (OneLetter, b"{}"),
        ):
            with self.assertRaises(msgspec.ValidationError, msg=str(text)):
                msgspec.json.decode(text, type=type_)
        self.assertEqual(msgspec.json.decode(b'{"sort": "octets"}', type=QueueQuery).sort, "octets")
