"""Free sections: settings whose names the user chooses."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from alaska.config import WorkerSettings
from alaska.config.settings import Section
from alaska.config.zpl import loads

HEAD = "worker\n    scripts\n        env\n"


def env(text: str, environ: Mapping[str, str] | None = None) -> Section:
    """Return the free section of a worker's file."""
    return WorkerSettings.from_tree(loads(HEAD + text, "a.cfg"), environ).scripts_env


class SectionTests(SynchronousTestCase):
    """What stands below worker/scripts/env."""

    def test_values(self) -> None:
        """Each name has its value, in order; one without a value has an empty one."""
        self.assertEqual(
            env('            b = "1"\n            a = x\n            c\n'), (("b", "1"), ("a", "x"), ("c", ""))
        )

    def test_sections(self) -> None:
        """A name with others below it is a section."""
        text = "            mail\n                host = h\n                port = 25\n"
        self.assertEqual(env(text), (("mail", (("host", "h"), ("port", "25"))),))

    def test_absent(self) -> None:
        """Without the section there are no names."""
        self.assertEqual(WorkerSettings.from_tree(loads("worker\n", "a.cfg")).scripts_env, ())
        self.assertEqual(WorkerSettings().scripts_env, ())

    def test_environment(self) -> None:
        """A variable goes before the value of a name that stands in the file."""
        variables = {"ALASKA_WORKER_SCRIPTS_ENV_MAIL_HOST": "other"}
        text = "            mail\n                host = h\n            mail-host = i\n"
        self.assertEqual(env(text, variables), (("mail", (("host", "other"),)), ("mail-host", "other")))

    def test_only_in_the_environment(self) -> None:
        """A variable that belongs to no name of the file adds one in lower case, within a section if it names one."""
        variables = {
            "ALASKA_WORKER_SCRIPTS_ENV_MAIL_PORT": "25",
            "ALASKA_WORKER_SCRIPTS_ENV_CURRENCY": "EUR",
            "ALASKA_WORKER_SCRIPTS_ENV_": "nameless",
        }
        text = "            mail\n                host = h\n"
        self.assertEqual(env(text, variables), (("mail", (("host", "h"), ("port", "25"))), ("currency", "EUR")))
        found = WorkerSettings.from_tree(loads("worker\n", "a.cfg"), variables).scripts_env
        self.assertEqual(found, (("currency", "EUR"), ("mail_port", "25")))

    def test_no_oddities(self) -> None:
        """Any name is known there, at any depth."""
        text = "            anything\n                deeper\n                    still = 1\n"
        self.assertEqual(WorkerSettings.oddities(loads(HEAD + text, "a.cfg")), [])

    def test_oddities(self) -> None:
        """What has no effect is told there as well."""
        text = "            a = 1\n            a = 2\n            b = 3\n                c = 4\n            d/e = 5\n"
        self.assertEqual(
            WorkerSettings.oddities(loads(HEAD + text, "a.cfg")),
            [
                "a.cfg:5: worker/scripts/env/a is given again and has no effect: line 4 counts",
                "a.cfg:6: worker/scripts/env/b is a section, its value has no effect",
                "a.cfg:8: the name 'd/e' has no effect: write sections instead of the /",
            ],
        )
        self.assertEqual(env(text), (("a", "1"), ("b", (("c", "4"),))))

    def test_table(self) -> None:
        """The table of settings has the section in one row."""
        (row,) = [row for row in WorkerSettings.table().splitlines() if "worker/scripts/env" in row]
        self.assertIn("a section with any names", row)
