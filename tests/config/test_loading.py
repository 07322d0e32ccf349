"""Loading and creating settings files."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska.config import BrokerSettings, WorkerSettings, load_broker, load_worker
from alaska.config.http import DEFAULT_HTTP_ENDPOINT
from alaska.errors import ConfigurationError
from tests.recorded import load as vectors

HTTP_SECTION = f'http\n    endpoint = "{DEFAULT_HTTP_ENDPOINT}"\n'


class FileTests(SynchronousTestCase):
    """Files that exist, and files that are missing."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_worker_file_is_created(self) -> None:
        """A missing worker file is created as by the C worker, with an embedded broker and HTTP added."""
        saved = {case["case"]: case["saved"] for case in vectors("zpl.json")["save"]}
        loaded = load_worker(self.path, {})
        self.assertEqual(loaded.settings, WorkerSettings(broker_embedded=True, http_endpoint=DEFAULT_HTTP_ENDPOINT))
        self.assertEqual((loaded.created, loaded.warnings), (True, ()))
        self.assertEqual(
            self.path.read_text().replace('        embedded = "1"\n', ""),
            saved["the worker's defaults, as it writes them"] + HTTP_SECTION,
        )

    def test_broker_file_is_created(self) -> None:
        """A missing broker file is created as by the C broker, with HTTP added."""
        saved = {case["case"]: case["saved"] for case in vectors("zpl.json")["save"]}
        loaded = load_broker(self.path, {})
        self.assertEqual(
            (loaded.settings, loaded.created, loaded.warnings),
            (BrokerSettings(timeout=5000, http_endpoint=DEFAULT_HTTP_ENDPOINT), True, ()),
        )
        self.assertEqual(self.path.read_text(), saved["the broker's defaults, as it writes them"] + HTTP_SECTION)

    def test_loaded_again(self) -> None:
        """A created file gives the same settings when it is loaded again, and is not changed."""
        first = load_worker(self.path, {})
        text = self.path.read_text()
        again = load_worker(str(self.path), {})
        self.assertEqual((again.settings, again.created), (first.settings, False))
        self.assertEqual(self.path.read_text(), text)

    def test_environment_is_not_written(self) -> None:
        """A variable overrides the values of a created file, but is not written to it."""
        loaded = load_worker(self.path, {"ALASKA_WORKER_POOL_SIZE": "9"})
        self.assertEqual(loaded.settings.pool_size, 9)
        self.assertEqual(load_worker(self.path, {}).settings.pool_size, 4)

    def test_cannot_be_created(self) -> None:
        """If the file cannot be created, the defaults apply, and a warning gives the reason."""
        path = self.path / "alaska.cfg"
        loaded = load_worker(path, {})
        self.assertEqual(loaded.settings, WorkerSettings(broker_embedded=True, http_endpoint=DEFAULT_HTTP_ENDPOINT))
        self.assertFalse(loaded.created)
        self.assertEqual(loaded.warnings, (f"{path} is missing and cannot be created: No such file or directory",))

    def test_bad_file_is_not_changed(self) -> None:
        """A bad file is refused and not changed; the C programs would overwrite it with defaults."""
        self.path.write_text("worker\n  x\n")
        error = self.assertRaises(ConfigurationError, load_worker, self.path, {})
        self.assertIn(f"{self.path}:2: indentation", str(error))
        self.assertEqual(self.path.read_text(), "worker\n  x\n")

    def test_warnings(self) -> None:
        """Lines and settings without effect give warnings."""
        self.path.write_text("server\n    auth\n        plain = p\n    tiemout = 1\n")
        loaded = load_broker(self.path, {})
        self.assertEqual(
            loaded.warnings,
            (
                f"{self.path}:4: 'server/tiemout' is not known and has no effect; did you mean server/timeout?",
                "server/auth/plain has no effect: mlm_server/security/mechanism is not plain",
            ),
        )

    def test_process_environment(self) -> None:
        """By default, the environment of the process is used."""
        os.environ["MALAMUTE_SERVER_TIMEOUT"] = "77"
        self.addCleanup(os.environ.pop, "MALAMUTE_SERVER_TIMEOUT")
        self.assertEqual(load_broker(self.path).settings.timeout, 77)
