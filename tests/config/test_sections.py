"""Free-form sections: the user chooses the names."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from alaska.config import WorkerSettings
from alaska.config.entries import Section
from alaska.config.zpl import loads

HEAD = "worker\n    scripts\n        env\n"


def env(text: str, environ: Mapping[str, str] | None = None) -> Section:
    """Return the free-form section of a worker's file."""
    return WorkerSettings.from_tree(loads(HEAD + text, "a.cfg"), environ).scripts_env


class SectionTests(SynchronousTestCase):
    """The content of worker/scripts/env."""

    def test_values(self) -> None:
        """The names are read in order; a name without a value has the empty value."""
        self.assertEqual(
            env('            b = "1"\n            a = x\n            c\n'), (("b", "1"), ("a", "x"), ("c", ""))
        )

    def test_sections(self) -> None:
        """A name with names below it is a section."""
        text = "            mail\n                host = h\n                port = 25\n"
        self.assertEqual(env(text), (("mail", (("host", "h"), ("port", "25"))),))

    def test_absent(self) -> None:
        """A missing section is empty."""
        self.assertEqual(WorkerSettings.from_tree(loads("worker\n", "a.cfg")).scripts_env, ())
        self.assertEqual(WorkerSettings().scripts_env, ())

    def test_environment(self) -> None:
        """A variable overrides the value of a name in the file."""
        variables = {"ALASKA_WORKER_SCRIPTS_ENV_MAIL_HOST": "other"}
        text = "            mail\n                host = h\n            mail-host = i\n"
        self.assertEqual(env(text, variables), (("mail", (("host", "other"),)), ("mail-host", "other")))

    def test_only_in_the_environment(self) -> None:
        """A variable that matches no name of the file adds one in lower case, within a section if it names one."""
        variables = {
            "ALASKA_WORKER_SCRIPTS_ENV_MAIL_PORT": "25",
            "ALASKA_WORKER_SCRIPTS_ENV_CURRENCY": "EUR",
            "ALASKA_WORKER_SCRIPTS_ENV_": "nameless",
        }
        text = "            mail\n                host = h\n"
        self.assertEqual(env(text, variables), (("mail", (("host", "h"), ("port", "25"))), ("currency", "EUR")))
        found = WorkerSettings.from_tree(loads("worker\n", "a.cfg"), variables).scripts_env
        self.assertEqual(found, (("currency", "EUR"), ("mail_port", "25")))

    def test_any_name_is_known(self) -> None:
        """Any name at any depth is accepted without a warning."""
        text = "            anything\n                deeper\n                    still = 1\n"
        self.assertEqual(WorkerSettings.file_warnings(loads(HEAD + text, "a.cfg")), [])

    def test_warnings(self) -> None:
        """Lines without effect give warnings."""
        text = "            a = 1\n            a = 2\n            b = 3\n                c = 4\n            d/e = 5\n"
        self.assertEqual(
            WorkerSettings.file_warnings(loads(HEAD + text, "a.cfg")),
            [
                "a.cfg:5: worker/scripts/env/a is given again and has no effect: line 4 counts",
                "a.cfg:6: worker/scripts/env/b is a section, its value has no effect",
                "a.cfg:8: the name 'd/e' has no effect: write sections instead of the /",
            ],
        )
        self.assertEqual(env(text), (("a", "1"), ("b", (("c", "4"),))))

    def test_table(self) -> None:
        """The section has one row in the table of settings."""
        (row,) = [row for row in WorkerSettings.table().splitlines() if "worker/scripts/env" in row]
        self.assertIn("a section with any names", row)
