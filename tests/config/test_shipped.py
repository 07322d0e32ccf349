"""The shipped settings file, and the tables in docs/settings.md."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.config import BrokerSettings, WorkerSettings, load_worker, settings_table
from alaska.config.http import DEFAULT_HTTP_ENDPOINT
from alaska.config.zpl import loads
from tests import PROJECT
from tests.config import czmq

MARKER = "<!-- settings -->"


class ShippedFileTests(SynchronousTestCase):
    """The shipped alaska.cfg."""

    def test_alaska_cfg(self) -> None:
        """The shipped file has the defaults, an embedded broker, and HTTP."""
        loaded = load_worker(PROJECT / "alaska.cfg", {})
        self.assertEqual(loaded.settings, WorkerSettings(broker_embedded=True, http_endpoint=DEFAULT_HTTP_ENDPOINT))
        self.assertEqual((loaded.created, loaded.warnings), (False, ()))

    def test_c_reads_alaska_cfg(self) -> None:
        """The C worker reads the same tree from it."""
        if czmq.MISSING:
            raise SkipTest(czmq.MISSING)
        library = czmq.Library()
        self.addCleanup(library.close)
        text = (PROJECT / "alaska.cfg").read_bytes()
        answer = library.load(text)
        assert answer is not None
        self.assertEqual(loads(answer[1], ""), loads(text, ""))


class TableTests(SynchronousTestCase):
    """The tables of settings."""

    def test_page(self) -> None:
        """The tables in docs/settings.md are those that `settings_table` returns."""
        page = PROJECT / "docs" / "settings.md"
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        if MARKER not in text:
            raise SkipTest(f"settings.md has no {MARKER}")
        self.assertEqual(text.partition(MARKER)[2].strip()[: len(settings_table().strip())], settings_table().strip())

    def test_table(self) -> None:
        """Each setting has one row with its value, its default, its value in a new file, and its meaning."""
        rows = settings_table().split("\n")
        paths = [entry.path for cls in (WorkerSettings, BrokerSettings) for entry in cls.entries().values()]
        for path in paths:
            listed = [row for row in rows if row.startswith(f"| `{path}` | ")]
            self.assertEqual(len(listed), paths.count(path), path)
        self.assertIn(
            "| `worker/broker/embedded` | 0 or 1 | `0`; `1` in a new file | restart "
            "| Run a broker in the worker process, at `worker/broker/endpoint`, unless another one serves it. |",
            rows,
        )
