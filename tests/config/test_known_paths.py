"""Lines of a file that have no effect."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.config import BrokerSettings, WorkerSettings
from alaska.config.zpl import loads


class WarningTests(SynchronousTestCase):
    """Warnings about lines that have no effect."""

    def test_unknown(self) -> None:
        """An unknown name gives a warning with a similar name, or the same name in another section, if there is one."""
        text = (
            "worker\n    poll\n        size = 1\n    pool\n        sise = 1\n    colour = red\n    filter = x\nWorker\n"
        )
        self.assertEqual(
            WorkerSettings.file_warnings(loads(text, "a.cfg")),
            [
                "a.cfg:2: 'worker/poll' is not known and has no effect; did you mean worker/pool?",
                "a.cfg:5: 'worker/pool/sise' is not known and has no effect; did you mean worker/pool/size?",
                "a.cfg:6: 'worker/colour' is not known and has no effect",
                "a.cfg:7: 'worker/filter' is not known and has no effect; did you mean worker/service/filter?",
                "a.cfg:8: 'Worker' is not known and has no effect; did you mean worker?",
            ],
        )

    def test_given_again(self) -> None:
        """A name that is given again gives a warning, unless it may be repeated."""
        text = "mlm_server\n    bind\n    bind\n    echo = 1\n    echo = 2\n    store\n    store\nmlm_server\n"
        self.assertEqual(
            BrokerSettings.file_warnings(loads(text, "a.cfg")),
            [
                "a.cfg:7: mlm_server/store is given again and has no effect: line 6 counts",
                "a.cfg:8: mlm_server is given again and has no effect: line 1 counts",
            ],
        )

    def test_slash_in_a_name(self) -> None:
        """A path that is written as one name gives a warning."""
        self.assertEqual(
            WorkerSettings.file_warnings(loads("worker/pool/size = 4", "a.cfg")),
            ["a.cfg:1: the name 'worker/pool/size' has no effect: write sections instead of the /"],
        )

    def test_value_of_a_section(self) -> None:
        """A section with a value gives a warning."""
        self.assertEqual(
            WorkerSettings.file_warnings(loads("worker\n    pool = 4", "a.cfg")),
            ["a.cfg:2: worker/pool is a section, its value has no effect"],
        )

    def test_below_a_value(self) -> None:
        """A name below a setting gives a warning."""
        tree = loads("worker\n    verbose = 1\n        x = 1", "a.cfg")
        self.assertEqual(
            WorkerSettings.file_warnings(tree), ["a.cfg:3: 'worker/verbose/x' is not known and has no effect"]
        )
